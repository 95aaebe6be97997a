//! Which examples are trained on together, and in which order.

use atelier_core::noise::{NoisePosition, NoiseSource};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, mem};

/// Batches of examples of one size, drawn without replacement, epoch by epoch.
///
/// An epoch is a permutation of all examples. Each joins those of its size that are waiting, and leaves with them when they
/// fill a batch. Examples that are waiting when the epoch ends wait on in the next one, before its own: every example is
/// used as often as any other, and every batch is full. Where all are of one size, batches simply go on from epoch to epoch.
#[derive(Debug, Clone)]
pub struct Batches {
    source: NoiseSource,
    /// Of every example.
    sizes: Vec<[u32; 2]>,
    batch: usize,
    position: Position,
    /// The batches of the current epoch.
    epoch: Vec<Vec<usize>>,
    /// Those that its batches leave over.
    waiting: Vec<usize>,
}

/// Where [`Batches`] stand, for checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The source of permutations before the current epoch.
    pub epoch: NoisePosition,
    /// Examples that were waiting then.
    pub waiting: Vec<usize>,
    /// Batches of the current epoch that were used.
    pub used: usize,
}

impl Batches {
    /// Batches of `batch` examples each, at least 1; `sizes` has the width and height of every example, and at least one.
    pub fn new(source: &NoiseSource, sizes: Vec<[u32; 2]>, batch: usize) -> Self {
        let start = Position { epoch: source.position(), waiting: Vec::new(), used: 0 };
        Self::at(start, sizes, batch)
    }

    /// Goes on from `position` with the same examples.
    pub fn at(position: Position, sizes: Vec<[u32; 2]>, batch: usize) -> Self {
        let source = NoiseSource::at(position.epoch);
        let waiting = position.waiting.iter().copied().filter(|&example| example < sizes.len()).collect();
        let used = position.used;
        let mut batches = Self { source, sizes, batch, position, epoch: Vec::new(), waiting };
        batches.begin_epoch();
        batches.position.used = used;
        batches
    }

    /// Where it stands.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The examples of the next batch.
    pub fn next_batch(&mut self) -> Vec<usize> {
        // An epoch may fill no batch at all.
        while self.position.used >= self.epoch.len() {
            self.begin_epoch();
        }
        self.position.used += 1;
        self.epoch[self.position.used - 1].clone()
    }

    fn begin_epoch(&mut self) {
        let waiting = mem::take(&mut self.waiting);
        self.position = Position { epoch: self.source.position(), waiting: waiting.clone(), used: 0 };
        self.epoch.clear();
        let mut queues: BTreeMap<[u32; 2], Vec<usize>> = BTreeMap::new();
        for example in waiting.into_iter().chain(self.source.permutation(self.sizes.len())) {
            let queue = queues.entry(self.sizes[example]).or_default();
            queue.push(example);
            if queue.len() >= self.batch {
                self.epoch.push(mem::take(queue));
            }
        }
        self.waiting = queues.into_values().flatten().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn batches(sizes: &[u32], batch: usize) -> Batches {
        let sizes = sizes.iter().map(|&side| [side, 64]).collect();
        Batches::new(&NoiseSource::with_stream(3, 1), sizes, batch)
    }

    proptest! {
        #[test]
        fn batches_are_full_of_one_size_and_no_example_is_favoured(
            sizes in prop::collection::vec(1..4_u32, 1..20),
            batch in 1..6_usize,
        ) {
            let mut batches = batches(&sizes, batch);
            let mut uses = vec![0_usize; sizes.len()];
            for _ in 0..40 {
                let drawn = batches.next_batch();
                prop_assert_eq!(drawn.len(), batch);
                prop_assert!(drawn.iter().all(|&example| sizes[example] == sizes[drawn[0]]));
                drawn.iter().for_each(|&example| uses[example] += 1);
            }
            // What remains of the current epoch, and what waits for the next, completes the counts of whole epochs.
            batches.epoch[batches.position.used..].iter().flatten().for_each(|&example| uses[example] += 1);
            batches.waiting.iter().for_each(|&example| uses[example] += 1);
            prop_assert!(uses.iter().all(|&count| count == uses[0]), "{uses:?}");
        }

        #[test]
        fn a_position_continues_with_the_same_batches(
            sizes in prop::collection::vec(1..4_u32, 1..20),
            batch in 1..6_usize,
            done in 0..30_usize,
        ) {
            let mut straight = batches(&sizes, batch);
            for _ in 0..done {
                straight.next_batch();
            }
            let position = straight.position().clone();
            let mut resumed = Batches::at(position, straight.sizes.clone(), batch);
            for _ in 0..10 {
                prop_assert_eq!(straight.next_batch(), resumed.next_batch());
            }
        }
    }

    #[test]
    fn batches_of_one_size_run_through_the_permutations() {
        let mut source = NoiseSource::with_stream(3, 1);
        let expected: Vec<usize> = (0..5).flat_map(|_| source.permutation(7)).collect();
        let mut batches = batches(&[64; 7], 3);
        let drawn: Vec<usize> = (0..11).flat_map(|_| batches.next_batch()).collect();
        assert_eq!(drawn, expected[..33]);
    }

    #[test]
    fn a_position_of_other_data_does_no_harm() {
        let mut large = batches(&[1, 1, 2, 2, 3, 3, 1], 4);
        large.next_batch();
        let position = large.position().clone();
        let mut small = Batches::at(position, vec![[8, 8]; 2], 4);
        assert!(small.next_batch().iter().all(|&example| example < 2));
    }
}
