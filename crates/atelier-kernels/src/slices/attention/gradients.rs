//! The gradients of an attention, with the scores computed once more.

use super::super::products::{TileOperation, dispatch_tiles};
use super::super::scratch::Scratch;
use super::super::simd::{load, store};
use super::super::threads;
use super::blocks::{KEYS, Lines, Panels, QUERIES, beginnings, block, multiply, panel};
use super::forward::exponentials;
use super::{AttentionShape, Rows};
use pulp::Simd;

/// What the forward pass had and gave, and what came back.
#[derive(Clone, Copy, Debug)]
pub struct AttentionGradients<'a> {
    /// Query, key and value.
    pub inputs: [Rows<'a>; 3],
    /// The output.
    pub output: Rows<'a>,
    /// The logarithms of the sums, `[batch, heads, queries]`.
    pub logarithms: &'a [f32],
    /// The gradient of the output.
    pub gradient: Rows<'a>,
}

/// The gradients of [`super::attention`] with respect to query, key and value, in `results`, each `[batch, length, heads,
/// channels]`.
///
/// # Panics
///
/// If a slice has another length than `shape` says, or ends before a row does.
pub fn attention_gradients(shape: &AttentionShape, given: AttentionGradients<'_>, results: [&mut [f32]; 3]) {
    let AttentionShape { batch, heads, queries, keys, channels, value_channels, .. } = *shape;
    let sizes = [(queries, channels), (keys, channels), (keys, value_channels)];
    let mut tasks = Vec::new();
    for sequence in 0..batch {
        for head in 0..heads {
            tasks.push(Task { shape, given, place: [sequence, head], results: Default::default() });
        }
    }
    for (kind, (result, (length, channels))) in results.into_iter().zip(sizes).enumerate() {
        assert_eq!(result.len(), batch * heads * length * channels, "a gradient of an attention");
        for (row, line) in result.chunks_exact_mut((heads * channels).max(1)).enumerate() {
            for (head, line) in line.chunks_exact_mut(channels).enumerate() {
                tasks[row / length * heads + head].results[kind].push(line);
            }
        }
    }
    threads::for_each(tasks, dispatch_tiles);
}

/// One head.
struct Task<'a, 'b> {
    shape: &'a AttentionShape,
    given: AttentionGradients<'a>,
    /// Sequence and head.
    place: [usize; 2],
    results: [Vec<&'b mut [f32]>; 3],
}

impl TileOperation for Task<'_, '_> {
    #[inline(always)]
    fn run<S: Simd, const MANY: usize, const FEW: usize>(self, simd: S) {
        let AttentionShape { heads, queries, keys, channels, value_channels, scale, .. } = *self.shape;
        let AttentionGradients { inputs: [query, key, value], output, logarithms, gradient } = self.given;
        let [sequence, head] = self.place;
        let [query, key] = [query, key].map(|rows| rows.head(sequence, head, channels));
        let [value, output, gradient] =
            [value, output, gradient].map(|rows| rows.head(sequence, head, value_channels));
        let logarithms = &logarithms[(sequence * heads + head) * queries..][..queries];
        let [mut of_query, of_key, of_value] = self.results;

        let panel = panel::<S>();
        let scored_keys = Panels::of_rows::<S>(key, keys, scale);
        let scored_values = Panels::of_rows::<S>(value, keys, 1.0);
        let summed_keys = Panels::of_channels::<S>(key, keys);
        let key_columns = keys.next_multiple_of(panel);
        let width = channels.next_multiple_of(panel);
        // Of keys and values: a line for each channel.
        let mut key_sums = Scratch::new(channels * key_columns);
        let mut value_sums = Scratch::new(value_channels * key_columns);
        key_sums.fill(0.0);
        value_sums.fill(0.0);
        let [mut weights, mut slopes] = [(); 2].map(|()| Scratch::new(QUERIES * KEYS));
        let mut query_sums = Scratch::new(QUERIES * width);
        let mut queries_across = Scratch::new(channels * QUERIES);
        let mut gradients_across = Scratch::new(value_channels * QUERIES);
        for first in (0..queries).step_by(QUERIES) {
            let count = QUERIES.min(queries - first);
            let query_rows = block(query, first, count);
            let gradient_rows = block(gradient, first, count);
            across(&query_rows[..count], &mut queries_across);
            across(&gradient_rows[..count], &mut gradients_across);
            let mut products = [0.0; QUERIES];
            for (i, product) in products.iter_mut().enumerate().take(count) {
                *product = dot(simd, gradient_rows[i], output.row(first + i));
            }
            query_sums[..count * width].fill(0.0);
            for start in (0..keys).step_by(KEYS) {
                let block_keys = KEYS.min(keys - start);
                for column in (0..block_keys).step_by(panel) {
                    let index = (start + column) / panel;
                    let columns = scored_keys.get::<S>(index, 0, channels);
                    let rows = &query_rows[..count];
                    multiply::<S, MANY, FEW>(simd, rows, columns, &mut weights[column..], KEYS, false);
                    let columns = scored_values.get::<S>(index, 0, value_channels);
                    let rows = &gradient_rows[..count];
                    multiply::<S, MANY, FEW>(simd, rows, columns, &mut slopes[column..], KEYS, false);
                }
                let lines = weights.chunks_exact_mut(KEYS).zip(slopes.chunks_exact_mut(KEYS));
                for (i, (weights, slopes)) in lines.enumerate().take(count) {
                    exponentials(simd, &mut weights[..block_keys], logarithms[first + i]);
                    through_softmax(
                        simd,
                        &weights[..block_keys],
                        &mut slopes[..block_keys],
                        products[i],
                        scale,
                    );
                }
                let rows = beginnings(&slopes, block_keys);
                for column in (0..width).step_by(panel) {
                    let columns = summed_keys.get::<S>(column / panel, start, block_keys);
                    let target = &mut query_sums[column..];
                    multiply::<S, MANY, FEW>(simd, &rows[..count], columns, target, width, true);
                }
                for column in (0..block_keys).step_by(panel) {
                    let pairs = [
                        (&gradients_across, &weights, &mut value_sums, value_channels),
                        (&queries_across, &slopes, &mut key_sums, channels),
                    ];
                    for (rows, numbers, target, channels) in pairs {
                        let columns = Lines { numbers, stride: KEYS, first: column, rows: count };
                        let target = &mut target[start + column..];
                        add_lines::<S, MANY, FEW>(simd, rows, columns, channels, target, key_columns);
                    }
                }
            }
            let lines = of_query.iter_mut().skip(first).zip(query_sums.chunks_exact(width));
            for (line, sums) in lines.take(count) {
                line.copy_from_slice(&sums[..channels]);
            }
        }
        back(of_key, &key_sums, key_columns);
        back(of_value, &value_sums, key_columns);
    }
}

/// Rows as columns of `target`, whose lines are `QUERIES` long.
fn across(rows: &[&[f32]], target: &mut [f32]) {
    for (i, row) in rows.iter().enumerate() {
        for (place, number) in target[i..].iter_mut().step_by(QUERIES).zip(*row) {
            *place = *number;
        }
    }
}

/// Columns of `sums` as rows.
fn back(rows: Vec<&mut [f32]>, sums: &[f32], stride: usize) {
    for (i, row) in rows.into_iter().enumerate() {
        for (number, sum) in row.iter_mut().zip(sums[i..].iter().step_by(stride)) {
            *number = *sum;
        }
    }
}

/// Adds the products of the first `columns.rows` numbers of each line of `across` with `columns` to lines of `target`.
#[inline(always)]
fn add_lines<S: Simd, const MANY: usize, const FEW: usize>(
    simd: S,
    across: &[f32],
    columns: Lines<'_>,
    channels: usize,
    target: &mut [f32],
    stride: usize,
) {
    for first in (0..channels).step_by(QUERIES) {
        let count = QUERIES.min(channels - first);
        let mut rows: [&[f32]; QUERIES] = [&[]; QUERIES];
        for (i, row) in rows.iter_mut().enumerate().take(count) {
            *row = &across[(first + i) * QUERIES..][..columns.rows];
        }
        let target = &mut target[first * stride..];
        multiply::<S, MANY, FEW>(simd, &rows[..count], columns, target, stride, true);
    }
}

/// From the gradients of the weights to those of the products: `scale weight (gradient - product)`.
#[inline(always)]
fn through_softmax<S: Simd>(simd: S, weights: &[f32], gradients: &mut [f32], product: f32, scale: f32) {
    let (product, scale) = (simd.splat_f32s(product), simd.splat_f32s(scale));
    for (weights, gradients) in weights.chunks(S::F32_LANES).zip(gradients.chunks_mut(S::F32_LANES)) {
        let weight = simd.mul_f32s(load(simd, weights), scale);
        let value = simd.mul_f32s(weight, simd.sub_f32s(load(simd, gradients), product));
        store(simd, gradients, value);
    }
}

#[inline(always)]
fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let mut sum = simd.splat_f32s(0.0);
    for (a, b) in a.chunks(S::F32_LANES).zip(b.chunks(S::F32_LANES)) {
        sum = simd.mul_add_e_f32s(load(simd, a), load(simd, b), sum);
    }
    simd.reduce_sum_f32s(sum)
}
