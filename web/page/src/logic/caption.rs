//! The caption builder: choices that change the text of a prompt, and that are read back from it.
//!
//! The text is the one truth. A choice rewrites its part of it, so that a link, the builder and one's own words agree.

use atelier_criteria::{CriteriaTree, prompt::Prompt};
use atelier_studio::{Genre, STUDIO_LEAVES, SceneSpec};

/// The scene that `prompt` describes, if the builder has it.
#[must_use]
pub fn scene(prompt: &str) -> Option<SceneSpec> {
    let caption = parse(prompt).caption;
    SceneSpec::all().find(|scene| scene.caption() == caption)
}

/// The caption of `prompt`: what the picture shows, without attributes.
#[must_use]
pub fn caption(prompt: &str) -> String {
    parse(prompt).caption
}

/// `prompt` with the caption of `scene`; attributes stay.
#[must_use]
pub fn with_scene(prompt: &str, scene: &SceneSpec) -> String {
    Prompt { caption: scene.caption(), ..parse(prompt) }.compose()
}

/// `scene` in another genre, with the first of its things and lights.
#[must_use]
pub const fn in_genre(genre: Genre) -> SceneSpec {
    SceneSpec {
        genre,
        motif: genre.motifs()[0],
        companion: genre.companions()[0],
        moment: genre.moments()[0],
    }
}

/// Whether `prompt` asks for the attribute `phrase`.
#[must_use]
pub fn asks_for(prompt: &str, phrase: &str) -> bool {
    parse(prompt).positive.iter().any(|own| own == phrase)
}

/// `prompt` with the positive attribute `phrase` if it lacks it, without it otherwise.
#[must_use]
pub fn toggled(prompt: &str, phrase: &str) -> String {
    let mut prompt = parse(prompt);
    if let Some(place) = prompt.positive.iter().position(|own| own == phrase) {
        prompt.positive.remove(place);
    } else {
        prompt.positive.push(phrase.to_owned());
    }
    prompt.compose()
}

/// The attributes that a prompt can ask for: of each dimension with its name, the positive phrases of the leaves that the
/// painter saw.
#[must_use]
pub fn styles() -> Vec<(&'static str, Vec<&'static str>)> {
    let tree = CriteriaTree::embedded();
    let dimensions = tree.roots().map(|root| {
        let known = root.leaves().iter().filter(|leaf| STUDIO_LEAVES.contains(&leaf.id.as_str()));
        (root.name(), known.map(|leaf| leaf.positive.phrase.as_str()).collect())
    });
    dimensions.collect()
}

/// A text that does not follow the template has what stands before its first bar as its caption.
fn parse(prompt: &str) -> Prompt {
    Prompt::parse(prompt).unwrap_or_else(|_| Prompt {
        caption: prompt.split('|').next().unwrap_or_default().trim().to_owned(),
        ..Prompt::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: &str = "a seascape with cliffs and a lighthouse at sunset | positive: clean colour";

    #[test]
    fn a_scene_is_read_back_from_its_text() {
        for own in SceneSpec::all() {
            assert_eq!(scene(&with_scene(PROMPT, &own)), Some(own));
        }
        assert_eq!(scene("a dragon at sunset"), None);
    }

    #[test]
    fn attributes_stay_when_the_scene_changes() {
        let text = with_scene(PROMPT, &in_genre(Genre::StillLife));
        assert_eq!(text, "a still life with apples and a blue jug in morning light | positive: clean colour");
    }

    #[test]
    fn attributes_come_and_go() {
        let both = toggled(PROMPT, "lively brushwork");
        assert!(both.ends_with("| positive: clean colour, lively brushwork"), "{both}");
        assert!(asks_for(&both, "lively brushwork"));
        let none = toggled(&toggled(&both, "clean colour"), "lively brushwork");
        assert_eq!(none, caption(PROMPT));
    }

    #[test]
    fn a_text_that_breaks_the_template_keeps_its_caption() {
        assert_eq!(toggled("a sea | a lake", "clean colour"), "a sea | positive: clean colour");
    }

    #[test]
    fn every_leaf_of_the_studio_can_be_asked_for() {
        let styles = styles();
        assert_eq!(styles.len(), 7);
        assert_eq!(styles.iter().map(|(_, phrases)| phrases.len()).sum::<usize>(), STUDIO_LEAVES.len());
    }
}
