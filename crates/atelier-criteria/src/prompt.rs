//! Prompts in one fixed, reversible template, and the random dropout of their blocks.
//!
//! ```text
//! caption | positive: phrase, phrase | negative: phrase, phrase
//! ```
//!
//! Empty blocks vanish together with their bar, so that the empty prompt is the empty text. To be reversible, a caption
//! has no `|`, no line break and does not begin with `positive:` or `negative:`; a phrase has no `,`, `|`, `:` or line
//! break; neither begins or ends with a space.

use crate::Side;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// A caption with the phrases of the attributes a picture has or shall have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Prompt {
    /// What the picture shows.
    pub caption: String,
    /// Phrases of positive attributes.
    pub positive: Vec<String>,
    /// Phrases of negative attributes.
    pub negative: Vec<String>,
}

/// A text that the template cannot hold, or that does not follow it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PromptError {
    /// The caption would be read back as something else.
    #[error("the caption {caption:?} {reason}")]
    Caption {
        /// The caption.
        caption: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// The phrase would be read back as something else.
    #[error("the phrase {phrase:?} {reason}")]
    Phrase {
        /// The phrase.
        phrase: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// The text does not follow the template.
    #[error(
        "the prompt {text:?} has {part:?} where none can be: write `caption | positive: a, b | negative: c`"
    )]
    Template {
        /// The whole text.
        text: String,
        /// The part at fault.
        part: String,
    },
    /// The probabilities of a dropout are not probabilities.
    #[error(
        "the probabilities of block dropout must be 0 to 1 each and sum to 1, but they are {probabilities:?}"
    )]
    Dropout {
        /// In the order of the fields.
        probabilities: [String; 5],
    },
}

impl Prompt {
    /// A prompt that the template can hold; spaces around the caption are dropped.
    ///
    /// # Errors
    /// See [`Prompt::validate`].
    pub fn new(caption: &str, positive: Vec<String>, negative: Vec<String>) -> Result<Self, PromptError> {
        let prompt = Self { caption: caption.trim().to_owned(), positive, negative };
        prompt.validate()?;
        Ok(prompt)
    }

    /// Checks that [`Prompt::parse`] gives the prompt back from its text.
    ///
    /// # Errors
    /// [`PromptError::Caption`] or [`PromptError::Phrase`] names the text at fault.
    pub fn validate(&self) -> Result<(), PromptError> {
        check_caption(&self.caption)?;
        self.positive.iter().chain(&self.negative).try_for_each(|phrase| check_phrase(phrase))
    }

    /// The text of the prompt.
    #[must_use]
    pub fn compose(&self) -> String {
        self.to_string()
    }

    /// Reads the text of a prompt. Spaces around captions, bars and commas are free.
    ///
    /// # Errors
    /// [`PromptError::Template`] for a block out of place, [`PromptError::Phrase`] for an empty or wrong phrase.
    pub fn parse(text: &str) -> Result<Self, PromptError> {
        let mut prompt = Self::default();
        if text.trim().is_empty() {
            return Ok(prompt);
        }
        // How many of caption, positive block and negative block may not come any more.
        let mut passed = 0;
        for part in text.split('|').map(str::trim) {
            let out_of_place = || PromptError::Template { text: text.to_owned(), part: part.to_owned() };
            let block = Side::BOTH.into_iter().find_map(|side| Some((side, block_of(part, side)?)));
            let place = match block {
                None => 1,
                Some((Side::Positive, _)) => 2,
                Some((Side::Negative, _)) => 3,
            };
            if place <= passed || part.is_empty() {
                return Err(out_of_place());
            }
            passed = place;
            match block {
                None => part.clone_into(&mut prompt.caption),
                Some((Side::Positive, phrases)) => prompt.positive = split_phrases(phrases),
                Some((Side::Negative, phrases)) => prompt.negative = split_phrases(phrases),
            }
        }
        prompt.validate()?;
        Ok(prompt)
    }

    /// How many attributes it names.
    #[must_use]
    pub fn phrases(&self) -> usize {
        self.positive.len() + self.negative.len()
    }

    /// The prompt with one of its attributes alone: `index` counts the positive ones, then the negative ones. Without such an
    /// attribute only the caption is left.
    #[must_use]
    pub fn only_phrase(&self, index: usize) -> Self {
        let one = |phrases: &[String], index: Option<usize>| {
            index.and_then(|index| phrases.get(index)).cloned().into_iter().collect()
        };
        Self {
            caption: self.caption.clone(),
            positive: one(&self.positive, Some(index)),
            negative: one(&self.negative, index.checked_sub(self.positive.len())),
        }
    }

    /// The prompt with only the given blocks.
    #[must_use]
    pub fn keep(&self, blocks: Blocks) -> Self {
        let keep = |phrases: &[String], kept: bool| if kept { phrases.to_vec() } else { Vec::new() };
        Self {
            caption: if blocks == Blocks::Empty { String::new() } else { self.caption.clone() },
            positive: keep(&self.positive, matches!(blocks, Blocks::Both | Blocks::OnlyPositive)),
            negative: keep(&self.negative, matches!(blocks, Blocks::Both | Blocks::OnlyNegative)),
        }
    }
}

impl fmt::Display for Prompt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bar = "";
        if !self.caption.is_empty() {
            formatter.write_str(&self.caption)?;
            bar = " | ";
        }
        for (side, phrases) in [(Side::Positive, &self.positive), (Side::Negative, &self.negative)] {
            if !phrases.is_empty() {
                write!(formatter, "{bar}{side}: {}", phrases.join(", "))?;
                bar = " | ";
            }
        }
        Ok(())
    }
}

impl FromStr for Prompt {
    type Err = PromptError;

    fn from_str(text: &str) -> Result<Self, PromptError> {
        Self::parse(text)
    }
}

/// The phrases in `part`, if it is the block of `side`.
fn block_of(part: &str, side: Side) -> Option<&str> {
    part.strip_prefix(side.as_str())?.strip_prefix(':')
}

fn split_phrases(phrases: &str) -> Vec<String> {
    phrases.split(',').map(|phrase| phrase.trim().to_owned()).collect()
}

fn check_caption(caption: &str) -> Result<(), PromptError> {
    let refused = |reason| Err(PromptError::Caption { caption: caption.to_owned(), reason });
    if caption.contains('|') {
        return refused("has a `|`, which separates the blocks of a prompt; remove it");
    }
    if caption.contains(char::is_control) {
        return refused("has a line break or another control character; remove it");
    }
    if caption.trim() != caption {
        return refused("begins or ends with a space; remove it");
    }
    if Side::BOTH.into_iter().any(|side| block_of(caption, side).is_some()) {
        return refused("begins like a block of attributes; reword it");
    }
    Ok(())
}

/// Whether the template can hold `phrase`.
pub(crate) fn check_phrase(phrase: &str) -> Result<(), PromptError> {
    let refused = |reason| Err(PromptError::Phrase { phrase: phrase.to_owned(), reason });
    if phrase.is_empty() {
        return refused("is empty; remove it");
    }
    if phrase.contains([',', '|', ':']) {
        return refused("has a `,`, `|` or `:`, which separate the parts of a prompt; reword it");
    }
    if phrase.contains(char::is_control) {
        return refused("has a line break or another control character; remove it");
    }
    if phrase.trim() != phrase {
        return refused("begins or ends with a space; remove it");
    }
    Ok(())
}

/// Which blocks of a prompt are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blocks {
    /// Caption, positive and negative attributes.
    Both,
    /// Caption and positive attributes.
    OnlyPositive,
    /// Caption and negative attributes.
    OnlyNegative,
    /// The caption alone.
    Neither,
    /// Nothing: the empty prompt.
    Empty,
}

/// How often which blocks are kept in training, so that one model can be asked for each of them later: with
/// both sets of attributes, with either, with the caption alone, and without a prompt for classifier-free guidance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BlockDropout {
    /// Probability of [`Blocks::Both`].
    pub keep_both: f32,
    /// Probability of [`Blocks::OnlyPositive`].
    pub only_positive: f32,
    /// Probability of [`Blocks::OnlyNegative`].
    pub only_negative: f32,
    /// Probability of [`Blocks::Neither`].
    pub neither: f32,
    /// Probability of [`Blocks::Empty`].
    pub empty: f32,
}

impl Default for BlockDropout {
    fn default() -> Self {
        Self { keep_both: 0.3, only_positive: 0.2, only_negative: 0.2, neither: 0.2, empty: 0.1 }
    }
}

impl BlockDropout {
    /// Every choice with its probability.
    const fn choices(&self) -> [(Blocks, f32); 5] {
        [
            (Blocks::Both, self.keep_both),
            (Blocks::OnlyPositive, self.only_positive),
            (Blocks::OnlyNegative, self.only_negative),
            (Blocks::Neither, self.neither),
            (Blocks::Empty, self.empty),
        ]
    }

    /// Checks that the probabilities are in `[0, 1]` and sum to 1 (to 1e-4: decimal fractions are rounded).
    ///
    /// # Errors
    /// [`PromptError::Dropout`].
    pub fn validate(&self) -> Result<(), PromptError> {
        let probabilities = self.choices().map(|(_, probability)| probability);
        let sum: f32 = probabilities.iter().sum();
        if probabilities.iter().all(|p| (0.0..=1.0).contains(p)) && (sum - 1.0).abs() <= 1e-4 {
            Ok(())
        } else {
            Err(PromptError::Dropout { probabilities: probabilities.map(|p| p.to_string()) })
        }
    }

    /// The blocks to keep for a number drawn uniformly from `[0, 1)`.
    #[must_use]
    pub fn draw(&self, uniform: f32) -> Blocks {
        let possible = || self.choices().into_iter().filter(|(_, probability)| *probability > 0.0);
        let mut sum = 0.0;
        for (blocks, probability) in possible() {
            sum += probability;
            if uniform < sum {
                return blocks;
            }
        }
        // The sum of the probabilities may be rounded to a little under 1.
        possible().next_back().map_or(Blocks::Both, |(blocks, _)| blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_phrase_stays_on_its_side() {
        let own = |phrases: &[&str]| phrases.iter().map(|phrase| (*phrase).to_owned()).collect();
        let prompt =
            Prompt { caption: "a pond".to_owned(), positive: own(&["a", "b"]), negative: own(&["c"]) };
        let texts: Vec<String> = (0..4).map(|index| prompt.only_phrase(index).compose()).collect();
        assert_eq!(texts, ["a pond | positive: a", "a pond | positive: b", "a pond | negative: c", "a pond"]);
        assert_eq!(prompt.phrases(), 3);
    }

    fn prompt() -> impl Strategy<Value = Prompt> {
        // Punctuation, capitals and other scripts; what the template separates by is refused by `validate`.
        let words = "[ a-zA-Zéß漢0-9.;:,'|-]{0,30}";
        let phrases =
            || prop::collection::vec("[a-zé -]{1,20}".prop_map(|text| text.trim().to_owned()), 0..4);
        (words, phrases(), phrases()).prop_map(|(caption, positive, negative)| Prompt {
            caption,
            positive,
            negative,
        })
    }

    fn example() -> Prompt {
        let phrases = |text: &str| vec![text.to_owned()];
        Prompt::new("a sea", phrases("clean colour"), phrases("tilted horizon")).expect("a prompt")
    }

    proptest! {
        #[test]
        fn whatever_validates_is_read_back(prompt in prompt()) {
            prop_assume!(prompt.validate().is_ok());
            prop_assert_eq!(Prompt::parse(&prompt.compose()), Ok(prompt));
        }

        #[test]
        fn whatever_parses_is_a_prompt(text in "[a-z |,:]{0,20}(\\| ?positive: ?[a-z, ]{0,12})?(\\|negative:[a-z,]{0,9})?") {
            if let Ok(prompt) = Prompt::parse(&text) {
                prop_assert_eq!(Prompt::parse(&prompt.compose()), Ok(prompt));
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = Prompt::parse(&text);
        }

        #[test]
        fn a_draw_never_gives_what_has_no_probability(uniform in 0.0_f32..1.0) {
            let dropout =
                BlockDropout { keep_both: 0.0, only_positive: 0.7, only_negative: 0.3, neither: 0.0, empty: 0.0 };
            let drawn = dropout.draw(uniform);
            prop_assert!(matches!(drawn, Blocks::OnlyPositive | Blocks::OnlyNegative));
        }
    }

    #[test]
    fn blocks_are_dropped_as_often_as_configured() {
        let dropout = BlockDropout::default();
        dropout.validate().expect("probabilities");
        for (blocks, probability) in dropout.choices() {
            let drawn = (0..1000).filter(|i| dropout.draw((*i as f32 + 0.5) / 1000.0) == blocks).count();
            // An interval of the grid begins and ends within one point of its ideal place.
            assert!((drawn as f32 - 1000.0 * probability).abs() <= 1.0, "{blocks:?}: {drawn}");
        }
    }

    #[test]
    fn kept_blocks_are_all_that_remains() {
        let text = |blocks| example().keep(blocks).compose();
        assert_eq!(text(Blocks::Both), "a sea | positive: clean colour | negative: tilted horizon");
        assert_eq!(text(Blocks::OnlyPositive), "a sea | positive: clean colour");
        assert_eq!(text(Blocks::OnlyNegative), "a sea | negative: tilted horizon");
        assert_eq!(text(Blocks::Neither), "a sea");
        assert_eq!(text(Blocks::Empty), "");
    }

    #[test]
    fn what_the_template_cannot_hold_is_refused() {
        for caption in ["a | b", "a\nb", "positive: a", "negative:"] {
            let refused = Prompt::new(caption, Vec::new(), Vec::new());
            assert!(matches!(refused, Err(PromptError::Caption { .. })), "{caption:?}: {refused:?}");
        }
        for phrase in ["", "a, b", "a | b", "a: b", "a\tb", " a"] {
            let refused = Prompt::new("a", vec![phrase.to_owned()], Vec::new());
            assert!(matches!(refused, Err(PromptError::Phrase { .. })), "{phrase:?}: {refused:?}");
        }
        for text in ["a | b", "positive: a | a sea", "negative: a | positive: b", "a || positive: b"] {
            let refused = Prompt::parse(text);
            assert!(matches!(refused, Err(PromptError::Template { .. })), "{text:?}: {refused:?}");
        }
    }

    #[test]
    fn probabilities_must_sum_to_one() {
        let even = BlockDropout { keep_both: 0.2, neither: 0.3, ..BlockDropout::default() };
        assert_eq!(even.validate(), Ok(()));
        for keep_both in [0.5, -0.1, f32::NAN] {
            assert!(BlockDropout { keep_both, ..BlockDropout::default() }.validate().is_err(), "{keep_both}");
        }
    }
}
