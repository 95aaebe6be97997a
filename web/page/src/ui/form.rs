//! What is to be painted: the values of the form, which a link can fill in.

use super::{alert::Notices, router::Router};
use crate::logic::caption;
use atelier_studio::{Genre, SceneSpec};
use atelier_web_messages::{Choice, Recipe, Sampler};
use leptos::prelude::*;

/// The values of the form.
#[derive(Clone, Copy)]
pub struct Form {
    pub choice: RwSignal<Choice>,
    pub prompt: RwSignal<String>,
    pub steps: RwSignal<u32>,
    pub guidance: RwSignal<f64>,
    pub sampler: RwSignal<Sampler>,
    pub seed: RwSignal<u64>,
    pub count: RwSignal<u32>,
    /// Whether the seed stays after a painting.
    pub locked: RwSignal<bool>,
    /// All of it but the models.
    pub recipe: Memo<Recipe>,
    /// The scene of the caption builder: that of the prompt, or the last one that it was.
    pub scene: Memo<SceneSpec>,
    /// Whether the form says what the link of the address says.
    pub is_from_link: Memo<bool>,
}

impl Form {
    pub fn provide(router: Router, notices: Notices) -> Self {
        let Recipe { prompt, steps, guidance, sampler, count, .. } = Recipe::default();
        let (choice, prompt, steps) =
            (RwSignal::new(Choice::default()), RwSignal::new(prompt), RwSignal::new(steps));
        let (guidance, sampler) = (RwSignal::new(guidance), RwSignal::new(sampler));
        let (seed, count) = (RwSignal::new(random_seed()), RwSignal::new(count));
        let recipe = Memo::new(move |_| Recipe {
            prompt: prompt.get(),
            steps: steps.get(),
            guidance: guidance.get(),
            sampler: sampler.get(),
            seed: seed.get(),
            count: count.get(),
        });
        let scene = Memo::new(move |last: Option<&SceneSpec>| {
            let first = || caption::in_genre(Genre::Landscape);
            prompt.with(|prompt| caption::scene(prompt)).or(last.copied()).unwrap_or_else(first)
        });
        let link = RwSignal::new(None);
        let is_from_link = Memo::new(move |_| link.with(|link| *link == Some((recipe.get(), choice.get()))));
        let locked = RwSignal::new(false);
        let form = Self {
            choice,
            prompt,
            steps,
            guidance,
            sampler,
            seed,
            count,
            locked,
            recipe,
            scene,
            is_from_link,
        };
        Effect::new(move |_| {
            let Some(query) = router.recipe() else { return };
            match Recipe::from_query(&query) {
                Ok((recipe, choice)) => {
                    link.set(Some((recipe.clone(), choice)));
                    form.fill(recipe, choice);
                }
                Err(error) => notices.alert(format!("This link cannot be painted: {error}.")),
            }
        });
        provide_context(form);
        form
    }

    fn fill(self, recipe: Recipe, choice: Choice) {
        self.choice.set(choice);
        self.prompt.set(recipe.prompt);
        self.steps.set(recipe.steps);
        self.guidance.set(recipe.guidance);
        self.sampler.set(recipe.sampler);
        self.seed.set(recipe.seed);
        self.count.set(recipe.count);
    }

    pub fn throw_dice(self) {
        self.seed.set(random_seed());
    }

    /// Rewrites the caption with another scene.
    pub fn set_scene(self, scene: &SceneSpec) {
        self.prompt.update(|prompt| *prompt = caption::with_scene(prompt, scene));
    }

    /// Rewrites the caption with a scene by chance, another one than before.
    pub fn surprise(self) {
        let all: Vec<SceneSpec> =
            SceneSpec::all().filter(|scene| *scene != self.scene.get_untracked()).collect();
        self.set_scene(&all[random_below(all.len() as f64) as usize]);
    }
}

/// A seed that is short enough to be told to somebody.
fn random_seed() -> u64 {
    random_below(1e6) as u64
}

fn random_below(limit: f64) -> f64 {
    (js_sys::Math::random() * limit).floor()
}
