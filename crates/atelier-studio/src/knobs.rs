//! Which side of which leaf a painting shows.

use std::ops::RangeInclusive;

use atelier_criteria::{Labels, Side};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::leaves::LeafKnob;

/// For every leaf of the studio: its positive side, its negative side, or (`None`) a neutral middle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knobs {
    sides: [Option<Side>; LeafKnob::ALL.len()],
}

impl Default for Knobs {
    fn default() -> Self {
        Self::neutral()
    }
}

impl Knobs {
    /// Every leaf in its neutral middle.
    #[must_use]
    pub const fn neutral() -> Self {
        Self { sides: [None; LeafKnob::ALL.len()] }
    }

    /// Between `active.start()` and `active.end()` different leaves, each on either side with equal probability.
    #[must_use]
    pub fn draw(rng: &mut ChaCha8Rng, active: RangeInclusive<usize>) -> Self {
        let count = rng.random_range(active).min(LeafKnob::ALL.len());
        let mut knobs = Self::neutral();
        let mut order: [usize; LeafKnob::ALL.len()] = std::array::from_fn(|index| index);
        for place in 0..count {
            order.swap(place, rng.random_range(place..LeafKnob::ALL.len()));
            knobs.sides[order[place]] = Some(if rng.random() { Side::Positive } else { Side::Negative });
        }
        knobs
    }

    /// The side of one leaf.
    #[must_use]
    pub const fn side(&self, knob: LeafKnob) -> Option<Side> {
        self.sides[knob.index()]
    }

    /// The same knobs with one leaf set to `side`.
    #[must_use]
    pub fn with(mut self, knob: LeafKnob, side: Option<Side>) -> Self {
        self.sides[knob.index()] = side;
        self
    }

    /// The ids of the leaves that are not neutral, in the order of the catalogue.
    #[must_use]
    pub fn labels(&self) -> Labels {
        let ids = |side| {
            let on_side = |knob: &LeafKnob| self.side(*knob) == Some(side);
            LeafKnob::ALL.into_iter().filter(on_side).map(|knob| knob.id().to_owned()).collect()
        };
        Labels { positive: ids(Side::Positive), negative: ids(Side::Negative) }
    }

    /// The value that belongs to the leaf's side.
    pub(crate) fn pick<T>(&self, knob: LeafKnob, negative: T, neutral: T, positive: T) -> T {
        match self.side(knob) {
            Some(Side::Negative) => negative,
            None => neutral,
            Some(Side::Positive) => positive,
        }
    }
}
