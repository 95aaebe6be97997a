//! The caption builder: choices, one's own words, and what the painter does not know.

use super::form::Form;
use crate::logic::{caption, figures::capitalised, words};
use atelier_criteria::prompt::Prompt;
use atelier_studio::{Companion, Genre, Moment, Motif, SceneSpec};
use atelier_web_messages::Recipe;
use leptos::prelude::*;

#[component]
pub fn CaptionBuilder() -> impl IntoView {
    view! {
        <fieldset class="scene">
            <legend>"What to paint"</legend>
            <SceneSelects />
        </fieldset>
        <Styles />
        <PromptField />
    }
}

/// Genre, things and light.
#[component]
fn SceneSelects() -> impl IntoView {
    let form: Form = expect_context();
    let scene = form.scene;
    let genre = Memo::new(move |_| scene.get().genre);
    let set_genre = move |index: usize| form.set_scene(&caption::in_genre(Genre::ALL[index]));
    let change = move |change: fn(&mut SceneSpec, usize)| {
        move |index: usize| {
            let mut scene = scene.get_untracked();
            change(&mut scene, index);
            form.set_scene(&scene);
        }
    };
    let set_motif = change(|scene, index| scene.motif = scene.genre.motifs()[index]);
    let set_companion = change(|scene, index| scene.companion = scene.genre.companions()[index]);
    let set_moment = change(|scene, index| scene.moment = scene.genre.moments()[index]);
    view! {
        <Choice
            label="Subject"
            id="genre"
            options=Signal::derive(|| Genre::ALL.map(|genre| without_article(genre.phrase())).to_vec())
            chosen=Signal::derive(move || place(&Genre::ALL, genre.get()))
            choose=Callback::new(set_genre)
        />
        <Choice
            label="Main motif"
            id="motif"
            options=Signal::derive(move || genre.get().motifs().iter().map(|motif| Motif::phrase(*motif)).collect())
            chosen=Signal::derive(move || place(genre.get().motifs(), scene.get().motif))
            choose=Callback::new(set_motif)
        />
        <Choice
            label="Setting"
            id="companion"
            options=Signal::derive(move || {
                genre.get().companions().iter().map(|companion| Companion::phrase(*companion)).collect()
            })
            chosen=Signal::derive(move || place(genre.get().companions(), scene.get().companion))
            choose=Callback::new(set_companion)
        />
        <Choice
            label="Time of day"
            id="moment"
            options=Signal::derive(move || genre.get().moments().iter().map(|moment| Moment::phrase(*moment)).collect())
            chosen=Signal::derive(move || place(genre.get().moments(), scene.get().moment))
            choose=Callback::new(set_moment)
        />
    }
}

fn without_article(phrase: &'static str) -> &'static str {
    phrase.strip_prefix("a ").unwrap_or(phrase)
}

/// Where `one` is among `all`. For a moment, while the genre changes, it may not be there.
fn place<T: PartialEq>(all: &[T], one: T) -> usize {
    all.iter().position(|other| *other == one).unwrap_or_default()
}

/// One list to choose from.
#[component]
fn Choice(
    label: &'static str,
    id: &'static str,
    options: Signal<Vec<&'static str>>,
    /// The place of what is chosen.
    chosen: Signal<usize>,
    choose: Callback<usize>,
) -> impl IntoView {
    let on_change = move |event| {
        if let Ok(index) = event_target_value(&event).parse() {
            choose.run(index);
        }
    };
    view! {
        <div class="field">
            <label for=id>{label}</label>
            <select id=id on:change=on_change>
                {move || {
                    let option = |(index, phrase): (usize, &&'static str)| {
                        view! {
                            <option value=index.to_string() selected=move || chosen.get() == index prop:selected=move || chosen.get() == index>
                                {capitalised(phrase)}
                            </option>
                        }
                    };
                    options.get().iter().enumerate().map(option).collect::<Vec<_>>()
                }}
            </select>
        </div>
    }
}

/// The attributes that the picture shall have.
#[component]
fn Styles() -> impl IntoView {
    let form: Form = expect_context();
    let chosen =
        move || form.prompt.with(|prompt| Prompt::parse(prompt).map_or(0, |prompt| prompt.positive.len()));
    let groups = caption::styles().into_iter().map(|(dimension, phrases)| {
        let chips = phrases.into_iter().map(|phrase| {
            let pressed = Memo::new(move |_| form.prompt.with(|prompt| caption::asks_for(prompt, phrase)));
            let toggle = move |_| form.prompt.update(|prompt| *prompt = caption::toggled(prompt, phrase));
            view! {
                <button class="chip" type="button" aria-pressed=move || pressed.get().to_string() on:click=toggle>
                    {phrase}
                </button>
            }
        });
        view! {
            <div class="chips" role="group" aria-label=dimension>
                <p>{dimension}</p>
                {chips.collect::<Vec<_>>()}
            </div>
        }
    });
    view! {
        <details class="styles">
            <summary>
                "Style"
                <span class="hint">
                    {move || match chosen() {
                        0 => " as it comes".to_owned(),
                        1 => " 1 attribute".to_owned(),
                        count => format!(" {count} attributes"),
                    }}
                </span>
            </summary>
            {groups.collect::<Vec<_>>()}
        </details>
    }
}

/// The whole prompt, for one's own words.
#[component]
fn PromptField() -> impl IntoView {
    let form: Form = expect_context();
    let unknown = Memo::new(move |_| form.prompt.with(|prompt| words::unknown(prompt)));
    let problem = Memo::new(move |_| {
        form.prompt.with(|prompt| Prompt::parse(prompt).err().map(|error| capitalised(&error.to_string())))
    });
    view! {
        <div class="field prompt">
            <label for="prompt">"In words"</label>
            <button class="quiet" type="button" on:click=move |_| form.surprise()>"Surprise me"</button>
            <textarea
                id="prompt"
                rows="2"
                maxlength=Recipe::MAX_PROMPT.to_string()
                spellcheck="false"
                aria-describedby="unknown-words prompt-problem"
                prop:value=move || form.prompt.get()
                on:input=move |event| form.prompt.set(event_target_value(&event))
            ></textarea>
            <p id="unknown-words" class="warning" hidden=move || unknown.with(Vec::is_empty)>
                {move || unknown.with(|unknown| {
                    (!unknown.is_empty()).then(|| format!("The painter does not know: {}", unknown.join(", ")))
                })}
            </p>
            <p id="prompt-problem" class="warning" hidden=move || problem.with(Option::is_none)>
                {move || problem.get().map(|problem| format!("{problem}."))}
            </p>
        </div>
    }
}
