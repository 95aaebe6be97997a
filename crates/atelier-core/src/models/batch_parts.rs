//! A batch, divided among the processors.

use atelier_kernels::{on_all_threads, parts_of_a_batch, side_by_side};
use burn::tensor::Tensor;
use core::ops::Range;

/// `pass` of `x` `[batch, …]` and `rest`, of which `rows_of` gives some rows: in parts side by side where that is faster, on
/// the processor without gradients, otherwise at once.
pub(super) fn divided<T: Send + Sync>(
    x: Tensor<4>,
    rest: T,
    rows_of: impl Fn(&T, Range<usize>) -> T + Sync,
    pass: impl Fn(Tensor<4>, T) -> Tensor<4> + Send + Sync,
) -> Tensor<4> {
    let rows = x.dims()[0];
    match parts_of_a_batch(&x) {
        None => pass(x, rest),
        Some(0 | 1) => on_all_threads(|| pass(x, rest)),
        Some(parts) => {
            let each = rows.div_ceil(parts);
            let parts = (0..rows).step_by(each).map(|first| first..rows.min(first + each));
            let parts = parts.map(|rows| (x.clone().narrow(0, rows.start, rows.len()), rows_of(&rest, rows)));
            Tensor::cat(side_by_side(parts.collect(), |(x, rest)| pass(x, rest)), 0)
        }
    }
}
