//! Large pictures in overlapping tiles, as `AutoencoderKL` of diffusers has them.

use burn::tensor::{Tensor, TensorData};

/// The share of a tile that overlaps with the next one (`tile_overlap_factor`).
const OVERLAP: f64 = 0.25;

/// Applies `f` to square tiles of `x`, `[batch, channels, height, width]`, of side `tile`, and joins the results, whose
/// side is `output_tile`; in the overlaps one result fades into the next.
pub(super) fn tiled(
    x: &Tensor<4>,
    tile: usize,
    output_tile: usize,
    f: impl Fn(Tensor<4>) -> Tensor<4>,
) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let stride = ((tile as f64 * (1.0 - OVERLAP)) as usize).max(1);
    let blend = (output_tile as f64 * OVERLAP) as usize;
    let kept = output_tile - blend;
    let mut joined: Vec<Tensor<4>> = Vec::new();
    let mut above: Vec<Tensor<4>> = Vec::new();
    for top in (0..height).step_by(stride) {
        let mut row: Vec<Tensor<4>> = Vec::new();
        for left in (0..width).step_by(stride) {
            let part =
                x.clone().narrow(2, top, tile.min(height - top)).narrow(3, left, tile.min(width - left));
            row.push(f(part));
        }
        // A tile fades in from its neighbours as these were joined, as in diffusers.
        let mut strip: Vec<Tensor<4>> = Vec::new();
        let mut faded: Vec<Tensor<4>> = Vec::new();
        for (column, result) in row.into_iter().enumerate() {
            let result = match above.get(column) {
                Some(above) => fade(above, result, 2, blend),
                None => result,
            };
            let result = match faded.last() {
                Some(before) => fade(before, result, 3, blend),
                None => result,
            };
            let [_, _, rows, columns] = result.dims();
            strip.push(result.clone().narrow(2, 0, kept.min(rows)).narrow(3, 0, kept.min(columns)));
            faded.push(result);
        }
        joined.push(Tensor::cat(strip, 3));
        above = faded;
    }
    Tensor::cat(joined, 2)
}

/// `after`, whose first rows (`axis` 2) or columns (3) fade in from the last ones of `before`.
fn fade(before: &Tensor<4>, after: Tensor<4>, axis: usize, extent: usize) -> Tensor<4> {
    let (length_before, length) = (before.dims()[axis], after.dims()[axis]);
    let extent = extent.min(length_before).min(length);
    if extent == 0 {
        return after;
    }
    let shares: Vec<f32> = (0..extent).map(|i| i as f32 / extent as f32).collect();
    let mut shape = [1; 4];
    shape[axis] = extent;
    let share = Tensor::<4>::from_data(TensorData::new(shares, shape), &after.device());
    let end = before.clone().narrow(axis, length_before - extent, extent);
    let start = after.clone().narrow(axis, 0, extent);
    let blended = end.clone() + (start - end) * share;
    if extent == length {
        return blended;
    }
    Tensor::cat(vec![blended, after.narrow(axis, extent, length - extent)], axis)
}
