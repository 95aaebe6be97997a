//! Probabilities in plain words.

use crate::logic::figures::capitalised;
use atelier_criteria::{Leaf, Side};

/// How sure a reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sureness {
    /// It could be either side.
    Undecided,
    /// Above 65 %.
    Likely,
    /// Above 85 %.
    VeryLikely,
    /// Above 95 %.
    Certain,
}

/// What a probability says: the side that is more probable, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The more probable side.
    pub side: Side,
    /// Its probability, 0.5 to 1.
    pub probability: f64,
    /// How sure it is.
    pub sureness: Sureness,
}

impl Verdict {
    /// The verdict for the probability of the positive side.
    #[must_use]
    pub fn of(positive: f64) -> Self {
        let (side, probability) =
            if positive >= 0.5 { (Side::Positive, positive) } else { (Side::Negative, 1.0 - positive) };
        let sureness = match probability {
            above if above > 0.95 => Sureness::Certain,
            above if above > 0.85 => Sureness::VeryLikely,
            above if above > 0.65 => Sureness::Likely,
            _ => Sureness::Undecided,
        };
        Self { side, probability, sureness }
    }

    /// What the verdict is about: `Muddy colour`, or `Could be either: muddy colour`.
    #[must_use]
    pub fn subject(&self, leaf: &Leaf) -> String {
        let phrase = &leaf.attribute(self.side).phrase;
        if self.sureness == Sureness::Undecided {
            format!("Could be either: {} or {}", leaf.positive.phrase, leaf.negative.phrase)
        } else {
            capitalised(phrase)
        }
    }

    /// How sure it is, with its figures: `likely (82 % ± 6)`. `error` is the half-width of the probability's range.
    #[must_use]
    pub fn odds(&self, error: f64) -> String {
        let percent = percent(self.probability, error);
        match self.sureness {
            Sureness::Undecided => format!("({percent})"),
            Sureness::Likely => format!("likely ({percent})"),
            Sureness::VeryLikely => format!("very likely ({percent})"),
            Sureness::Certain => format!("certain ({percent})"),
        }
    }

    /// The whole sentence: `Muddy colour: likely (82 % ± 6)`.
    #[must_use]
    pub fn sentence(&self, leaf: &Leaf, error: f64) -> String {
        let joint = if self.sureness == Sureness::Undecided { " " } else { ": " };
        format!("{}{joint}{}", self.subject(leaf), self.odds(error))
    }
}

/// A probability with its error in percent: `82 % ± 6`. No reading is free of error, so that it is at least 1, and nothing is
/// 0 or 100 %.
#[must_use]
pub fn percent(probability: f64, error: f64) -> String {
    match 100.0 * probability {
        above if above > 99.0 => "over 99 %".to_owned(),
        below if below < 1.0 => "under 1 %".to_owned(),
        percent => format!("{percent:.0} % ± {:.0}", (100.0 * error).max(1.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atelier_criteria::CriteriaTree;

    fn sentence(probability: f64, error: f64) -> String {
        let leaf = CriteriaTree::embedded().leaf("color-relations.purity.mixture.cleanliness.clean").unwrap();
        Verdict::of(probability).sentence(leaf, error)
    }

    #[test]
    fn the_more_probable_side_is_named() {
        assert_eq!(sentence(0.18, 0.06), "Muddy colour: likely (82 % ± 6)");
        assert_eq!(sentence(0.9, 0.031), "Clean colour: very likely (90 % ± 3)");
        assert_eq!(sentence(0.001, 0.0), "Muddy colour: certain (over 99 %)");
        assert_eq!(sentence(0.6, 0.12), "Could be either: clean colour or muddy colour (60 % ± 12)");
    }

    #[test]
    fn words_begin_above_their_thresholds() {
        let sureness = |probability| Verdict::of(probability).sureness;
        assert_eq!(sureness(0.65), Sureness::Undecided);
        assert_eq!(sureness(0.651), Sureness::Likely);
        assert_eq!(sureness(0.85), Sureness::Likely);
        assert_eq!(sureness(0.95), Sureness::VeryLikely);
        assert_eq!(sureness(0.951), Sureness::Certain);
        assert_eq!(sureness(0.04), Sureness::Certain);
    }
}
