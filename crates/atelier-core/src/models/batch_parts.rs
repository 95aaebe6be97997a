//! A batch, divided among the processors.

use atelier_kernels::{parts_of_a_batch, side_by_side};
use burn::tensor::Tensor;
use core::ops::Range;

/// `pass` of all rows of `x`, in parts that are computed side by side where that is faster: on the processor, without
/// gradients.
pub(super) fn in_parts(x: &Tensor<4>, pass: impl Fn(Range<usize>) -> Tensor<4> + Sync) -> Tensor<4> {
    let rows = x.dims()[0];
    let parts = parts_of_a_batch(x);
    if parts < 2 {
        return pass(0..rows);
    }
    let each = rows.div_ceil(parts);
    let parts = (0..rows).step_by(each).map(|first| first..rows.min(first + each)).collect();
    Tensor::cat(side_by_side(parts, pass), 0)
}
