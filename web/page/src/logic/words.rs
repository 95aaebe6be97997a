//! Which words of a prompt the painter knows.

use atelier_criteria::{CriteriaTree, Side};
use atelier_studio::{STUDIO_LEAVES, captions};
use std::{collections::BTreeSet, sync::OnceLock};

/// The words of `text` as the tokenizer separates them: in small letters, without punctuation.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// The words of the paintings that the painter learned from: of their captions, their attributes, and the template.
fn known() -> &'static BTreeSet<String> {
    static KNOWN: OnceLock<BTreeSet<String>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let leaves = STUDIO_LEAVES.iter().filter_map(|id| CriteriaTree::embedded().leaf(id));
        let phrases = leaves.flat_map(|leaf| Side::BOTH.map(|side| leaf.attribute(side).phrase.as_str()));
        let template = Side::BOTH.map(Side::as_str);
        let attributes = phrases.chain(template).flat_map(words);
        captions::vocabulary().into_iter().chain(attributes).collect()
    })
}

/// The words of `prompt` that the painter has never seen, each once, in the order of the text.
#[must_use]
pub fn unknown(prompt: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in words(prompt) {
        if !known().contains(&word) && !found.contains(&word) {
            found.push(word);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use atelier_studio::SceneSpec;

    #[test]
    fn every_caption_and_every_attribute_of_the_studio_is_known() {
        for scene in SceneSpec::all() {
            assert_eq!(unknown(&scene.caption()), Vec::<String>::new());
        }
        assert!(
            unknown("A Seascape, with cliffs | positive: clean colour | negative: flat cut-out forms")
                .is_empty()
        );
    }

    #[test]
    fn other_words_are_named_once() {
        assert_eq!(unknown("a dragon by moonlight, a green dragon"), ["dragon", "green"]);
        assert_eq!(unknown("a sea-dragon; 漢字"), ["sea", "dragon", "漢字"]);
    }
}
