//! The output of an attention.

use super::super::math::exp;
use super::super::products::{TileOperation, dispatch_tiles};
use super::super::scratch::Scratch;
use super::super::simd::{load, store, sum};
use super::super::threads;
use super::blocks::{KEYS, Panels, QUERIES, beginnings, block, multiply, panel};
use super::{AttentionShape, Rows};
use pulp::Simd;

/// `softmax(scale query keyᵀ) value` of every head, in `output` `[batch, queries, heads, value_channels]`; and in
/// `logarithms` `[batch, heads, queries]` the logarithm of the sum of the exponentials of every query's scores, which the
/// gradients need.
///
/// # Panics
///
/// If a slice has another length than `shape` says, or ends before a row does.
pub fn attention(
    shape: &AttentionShape,
    [query, key, value]: [Rows<'_>; 3],
    output: &mut [f32],
    logarithms: &mut [f32],
) {
    let AttentionShape { batch, heads, queries, value_channels, .. } = *shape;
    assert_eq!(output.len(), batch * heads * queries * value_channels, "the output of an attention");
    assert_eq!(logarithms.len(), batch * heads * queries, "the logarithms of an attention");
    if output.is_empty() {
        return;
    }
    assert!(shape.keys > 0, "an attention needs keys");
    let each = queries_each(shape);
    let mut tasks = Vec::new();
    let mut logarithms = logarithms.chunks_exact_mut(queries);
    for (sequence, output) in output.chunks_exact_mut(queries * heads * value_channels).enumerate() {
        let first = tasks.len();
        for head in 0..heads {
            let parts = logarithms.next().unwrap_or_default().chunks_mut(each).enumerate();
            tasks.extend(parts.map(|(i, logarithms)| Task {
                shape,
                rows: [query, key, value],
                place: [sequence, head],
                first: i * each,
                output: Vec::new(),
                logarithms,
            }));
        }
        let blocks = queries.div_ceil(each);
        for (row, line) in output.chunks_exact_mut(heads * value_channels).enumerate() {
            for (head, line) in line.chunks_exact_mut(value_channels).enumerate() {
                tasks[first + head * blocks + row / each].output.push(line);
            }
        }
    }
    threads::for_each(tasks, dispatch_tiles);
}

/// Queries of one task: several tasks for each thread where there are queries enough.
fn queries_each(shape: &AttentionShape) -> usize {
    let tasks = match threads::count() {
        1 => 1,
        threads => (4 * threads).div_ceil(shape.batch * shape.heads),
    };
    // A task of fewer would spend its time putting keys and values in order.
    shape.queries.div_ceil(tasks).next_multiple_of(QUERIES).max(4 * QUERIES)
}

/// Some queries of one head.
struct Task<'a, 'b> {
    shape: &'a AttentionShape,
    rows: [Rows<'a>; 3],
    /// Sequence and head.
    place: [usize; 2],
    /// The first query.
    first: usize,
    output: Vec<&'b mut [f32]>,
    logarithms: &'b mut [f32],
}

impl TileOperation for Task<'_, '_> {
    #[inline(always)]
    fn run<S: Simd, const MANY: usize, const FEW: usize>(self, simd: S) {
        let Self { shape, rows: [query, key, value], place: [sequence, head], first, output, logarithms } =
            self;
        let AttentionShape { keys, channels, value_channels, scale, .. } = *shape;
        let query = query.head(sequence, head, channels);
        let key_panels = Panels::of_rows::<S>(key.head(sequence, head, channels), keys, scale);
        let value_panels = Panels::of_channels::<S>(value.head(sequence, head, value_channels), keys);
        let width = value_channels.next_multiple_of(panel::<S>());
        let mut scores = Scratch::new(QUERIES * KEYS);
        let mut sums = Scratch::new(QUERIES * width);
        let mut outputs = output.into_iter().zip(logarithms);
        for start in (0..outputs.len()).step_by(QUERIES) {
            let count = QUERIES.min(outputs.len());
            let queries = &block(query, first + start, count)[..count];
            let mut found = [Softmax { largest: f32::NEG_INFINITY, total: 0.0 }; QUERIES];
            sums[..count * width].fill(0.0);
            for start in (0..keys).step_by(KEYS) {
                let block_keys = KEYS.min(keys - start);
                for column in (0..block_keys).step_by(panel::<S>()) {
                    let columns = key_panels.get::<S>((start + column) / panel::<S>(), 0, channels);
                    multiply::<S, MANY, FEW>(simd, queries, columns, &mut scores[column..], KEYS, false);
                }
                let lines = scores.chunks_exact_mut(KEYS).zip(sums.chunks_exact_mut(width));
                for ((scores, sums), found) in lines.zip(&mut found).take(count) {
                    found.take_in(simd, &mut scores[..block_keys], sums);
                }
                let weights = &beginnings(&scores, block_keys)[..count];
                for column in (0..width).step_by(panel::<S>()) {
                    let columns = value_panels.get::<S>(column / panel::<S>(), start, block_keys);
                    multiply::<S, MANY, FEW>(simd, weights, columns, &mut sums[column..], width, true);
                }
            }
            for (sums, found) in sums.chunks_exact(width).zip(&found).take(count) {
                let Some((output, logarithm)) = outputs.next() else { break };
                *logarithm = found.largest + found.total.ln();
                let factor = simd.splat_f32s(found.total.recip());
                for (sums, output) in sums.chunks(S::F32_LANES).zip(output.chunks_mut(S::F32_LANES)) {
                    store(simd, output, simd.mul_f32s(load(simd, sums), factor));
                }
            }
        }
    }
}

/// The largest score of a query so far, and the sum of the exponentials of all, relative to it.
#[derive(Clone, Copy)]
struct Softmax {
    largest: f32,
    total: f32,
}

impl Softmax {
    /// Turns more scores to exponentials relative to the largest so far, and what was summed with others as well.
    #[inline(always)]
    fn take_in<S: Simd>(&mut self, simd: S, scores: &mut [f32], sums: &mut [f32]) {
        let largest = self.largest.max(maximum(simd, scores));
        // Zero for the first scores, where both sums are zero anyway.
        let factor = (self.largest - largest).exp();
        if factor != 1.0 {
            self.total *= factor;
            let factor = simd.splat_f32s(factor);
            for sum in S::as_mut_simd_f32s(sums).0 {
                *sum = simd.mul_f32s(*sum, factor);
            }
        }
        self.largest = largest;
        exponentials(simd, scores, largest);
        self.total += sum(simd, scores);
    }
}

#[inline(always)]
fn maximum<S: Simd>(simd: S, numbers: &[f32]) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(numbers);
    let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
    for vector in vectors {
        largest = simd.max_f32s(largest, *vector);
    }
    rest.iter().copied().fold(simd.reduce_max_f32s(largest), f32::max)
}

/// `exp(number - offset)`.
#[inline(always)]
pub fn exponentials<S: Simd>(simd: S, numbers: &mut [f32], offset: f32) {
    let offset = simd.splat_f32s(offset);
    for numbers in numbers.chunks_mut(S::F32_LANES) {
        let value = exp(simd, simd.sub_f32s(load(simd, numbers), offset));
        store(simd, numbers, value);
    }
}
