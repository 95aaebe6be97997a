//! A batch, divided among the processors.

use atelier_kernels::{parts_of_a_batch, side_by_side};
use burn::tensor::Tensor;
use core::ops::Range;

/// `pass` of all rows of `x`, in parts that are computed side by side where that is faster: on the processor, without
/// gradients.
pub(super) fn in_parts(x: &Tensor<4>, pass: impl Fn(Range<usize>) -> Tensor<4> + Send + Sync) -> Tensor<4> {
    let rows = x.dims()[0];
    let Some(parts) = parts_of_a_batch(x) else { return pass(0..rows) };
    let each = rows.div_ceil(parts).max(1);
    let parts = (0..rows).step_by(each).map(|first| first..rows.min(first + each)).collect();
    let mut results = side_by_side(parts, &pass);
    match results.len() {
        0 => pass(0..rows),
        1 => results.remove(0),
        _ => Tensor::cat(results, 0),
    }
}
