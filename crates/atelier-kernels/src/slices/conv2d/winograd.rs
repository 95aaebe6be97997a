//! The 3x3 convolution with 16 products for the nine times four of 2x2 pixels of the output: F(2x2, 3x3) of Lavin and Gray,
//! "Fast Algorithms for Convolutional Neural Networks" (arXiv 1509.09308).
//!
//! The output is divided into tiles of 2x2 pixels. The 4x4 pixels that a tile reads and the kernel are each transformed to
//! 16 numbers, whose products are summed over the channels and transformed back. All factors of the transforms are 1 and
//! 1/2, so that errors stay about three times those of plain sums; larger tiles would save more and lose digits.

use super::super::products::{PANEL, Packed, Products, TileOperation, dispatch_tiles, many_rows};
use super::super::scratch::{LONGEST, Scratch};
use super::super::simd::apart;
use super::super::threads;
use super::forward::{FRAME, Forward};
use super::geometry::{Geometry, Vector, parts, vectors};
use super::regions::{Region, regions};
use pulp::Simd;

/// Numbers that stand for a tile, or for a kernel.
const NUMBERS: usize = 16;
/// Channels of a side from which on the transforms are worth it.
const CHANNELS: usize = 16;
/// Tiles of a picture for which the transform of the weights is worth it. Of one picture, as the result for it must not depend
/// on the others of its batch.
const TILES: usize = 64;
/// Transformed weights that are kept meanwhile, at most.
const WEIGHTS: usize = 16 << 20;

/// A convolution by transforms.
pub struct Winograd<'a> {
    forward: &'a Forward<'a>,
    /// How tiles read: kernels of 4x4, 2 pixels apart.
    tiles: Geometry,
    out_channels: usize,
}

impl<'a> Winograd<'a> {
    /// If the convolution is of 3x3, without strides, and large enough to gain.
    pub fn new(forward: &'a Forward<'a>, out_channels: usize) -> Option<Self> {
        let geometry = forward.geometry;
        let out = geometry.out.map(|places| places.div_ceil(2));
        let fits = geometry.kernel == [3, 3] && geometry.stride == [1, 1] && geometry.spread == [1, 1];
        let gains = geometry.channels >= CHANNELS
            && out_channels >= CHANNELS
            && out[0] * out[1] >= TILES
            && NUMBERS * geometry.channels * out_channels <= WEIGHTS;
        let tiles = Geometry { kernel: [4, 4], stride: [2, 2], out, ..geometry.clone() };
        (fits && gains).then_some(Self { forward, tiles, out_channels })
    }

    /// Writes `[batch, out_channels, height, width]`.
    pub fn run(&self, batch: usize, output: &mut [f32]) {
        let channels = self.tiles.channels;
        let mut weights = Scratch::new(NUMBERS * self.out_channels * channels);
        transform_weights(self.forward.weight, &mut weights);
        let [height, _] = self.forward.geometry.out;
        let threads = threads::count();
        let each = if threads == 1 {
            [batch, height]
        } else if batch >= 4 * threads {
            [batch.div_ceil(4 * threads), height]
        } else {
            // Whole tiles.
            [1, height.div_ceil((4 * threads).div_ceil(batch)).next_multiple_of(2)]
        };
        let each = [each[0], each[1], self.out_channels];
        let regions = regions(output, batch, self.out_channels, self.forward.geometry.out, each);
        let weights = &*weights;
        let tasks = regions.into_iter().map(|region| Task { winograd: self, weights, region });
        threads::for_each(tasks.collect(), dispatch_tiles);
    }
}

/// `G g Gᵀ` of every kernel, the first numbers of all kernels first.
fn transform_weights(weight: &[f32], transformed: &mut [f32]) {
    let kernels = weight.as_chunks::<9>().0;
    let half = |[a, b, c]: [f32; 3]| {
        let (sum, difference) = (0.5 * (a + c), 0.5 * b);
        [a, sum + difference, sum - difference, c]
    };
    for (index, [a, b, c, d, e, f, g, h, i]) in kernels.iter().enumerate() {
        let columns = [half([*a, *d, *g]), half([*b, *e, *h]), half([*c, *f, *i])];
        for row in 0..4 {
            let numbers = half([columns[0][row], columns[1][row], columns[2][row]]);
            for (column, number) in numbers.into_iter().enumerate() {
                transformed[(4 * row + column) * kernels.len() + index] = number;
            }
        }
    }
}

/// The convolution of one region of the output.
struct Task<'a, 'b> {
    winograd: &'a Winograd<'a>,
    weights: &'a [f32],
    region: Region<'b>,
}

impl TileOperation for Task<'_, '_> {
    #[inline(always)]
    fn run<S: Simd, const MANY: usize, const FEW: usize>(mut self, simd: S) {
        let Winograd { forward, tiles, out_channels } = self.winograd;
        let panel = PANEL * S::F32_LANES;
        // One panel more than there are channels: at distances of a power of two, all numbers of a tile would compete for the
        // same few lines of the first cache.
        let (input, output) = ((tiles.channels + 1) * panel, (out_channels + 1) * panel);
        let mut inputs = Scratch::new(NUMBERS * input);
        let mut outputs = Scratch::new(NUMBERS * output);
        // Rows of tiles.
        let rows = self.region.rows.start / 2..self.region.rows.end.div_ceil(2);
        let target = (FRAME / 4 / tiles.channels).max(panel);
        for (pictures, rows) in parts(&self.region.pictures, &rows, tiles.out[1], target) {
            let layout = tiles.layout(pictures.len(), rows.len());
            let taps = tiles.taps(&layout);
            let vectors = vectors(tiles, &layout, pictures.len(), &rows, S::F32_LANES);
            let mut frame = Scratch::new(tiles.channels * layout.channel);
            let numbers = pictures.start * tiles.picture()..pictures.end * tiles.picture();
            tiles.fill(&forward.input[numbers], &rows, &layout, &mut frame);
            for vectors in vectors.chunks(PANEL) {
                for (j, vector) in vectors.iter().enumerate() {
                    transform_inputs(simd, &frame, &taps, vector, j, &mut inputs);
                }
                let weights = self.weights.chunks_exact(out_channels * tiles.channels);
                let inputs = inputs.chunks_exact(input).map(|numbers| &numbers[..input - panel]);
                let outputs_of = outputs.chunks_exact_mut(output);
                for ((weights, inputs), outputs) in weights.zip(inputs).zip(outputs_of) {
                    let columns = Packed::<S>(S::as_simd_f32s(inputs).0.as_chunks().0);
                    let outputs = S::as_mut_simd_f32s(&mut outputs[..output - panel]).0;
                    let outputs = outputs.as_chunks_mut::<PANEL>().0;
                    let many = many_rows::<MANY, FEW>(*out_channels);
                    let (first, last) = outputs.split_at_mut(many.min(*out_channels));
                    let weights = weights.split_at(first.len() * tiles.channels);
                    multiply::<S, MANY>(simd, weights.0, columns, first);
                    multiply::<S, FEW>(simd, weights.1, columns, last);
                }
                for (j, vector) in vectors.iter().enumerate() {
                    let first_row = 2 * (rows.start - self.region.rows.start / 2);
                    let picture = pictures.start - self.region.pictures.start + vector.picture;
                    self.transform_outputs(simd, &outputs, vector, j, picture, first_row);
                }
            }
        }
    }
}

impl Task<'_, '_> {
    /// `Aᵀ m A` of the tiles of a vector, of all output channels.
    #[inline(always)]
    fn transform_outputs<S: Simd>(
        &mut self,
        simd: S,
        sums: &[f32],
        vector: &Vector,
        j: usize,
        picture: usize,
        first_row: usize,
    ) {
        let Winograd { forward, tiles, out_channels } = self.winograd;
        let width = forward.geometry.out[1];
        let (sums, _) = S::as_simd_f32s(sums);
        // The tiles of a vector may be in several rows.
        let mut segments = [Segment::default(); LONGEST];
        let mut count = 0;
        let mut lane = 0;
        while lane < vector.count {
            let (y, x) = ((vector.pixel + lane) / tiles.out[1], (vector.pixel + lane) % tiles.out[1]);
            let length = (tiles.out[1] - x).min(vector.count - lane);
            let end = width.min(2 * (x + length));
            segments[count] = Segment { lane, length, row: first_row + 2 * y, start: 2 * x, end };
            count += 1;
            lane += length;
        }
        let bias = forward.bias.map(|bias| bias.of_picture(self.region.pictures.start + picture));
        for channel in 0..*out_channels {
            let bias = simd.splat_f32s(bias.map_or(0.0, |bias| bias[channel]));
            let mut tile = [bias; NUMBERS];
            for (i, number) in tile.iter_mut().enumerate() {
                *number = sums[(i * (out_channels + 1) + channel) * PANEL + j];
            }
            let mut columns = [[bias; 2]; 4];
            for (x, column) in columns.iter_mut().enumerate() {
                *column = fold_output(simd, [tile[x], tile[4 + x], tile[8 + x], tile[12 + x]]);
            }
            let [a, b, c, d] = columns;
            let output = &mut self.region.output[picture * out_channels + channel];
            for row in 0..2 {
                let [left, right] = fold_output(simd, [a[row], b[row], c[row], d[row]]);
                let mut columns = [[0.0; LONGEST]; 2];
                S::as_mut_simd_f32s(&mut columns[0]).0[0] = simd.add_f32s(left, bias);
                S::as_mut_simd_f32s(&mut columns[1]).0[0] = simd.add_f32s(right, bias);
                for segment in &segments[..count] {
                    let start = (segment.row + row) * width;
                    if let Some(line) = output.get_mut(start + segment.start..start + segment.end) {
                        let lanes = segment.lane..segment.lane + segment.length;
                        interleave(&columns[0][lanes.clone()], &columns[1][lanes], line);
                    }
                }
            }
        }
    }
}

/// Tiles of a vector that are in one row.
#[derive(Clone, Copy, Default)]
struct Segment {
    /// The first of them in the vector.
    lane: usize,
    length: usize,
    /// Their first row, and columns, of the output.
    row: usize,
    start: usize,
    end: usize,
}

/// `Bᵀ` times a column.
#[inline(always)]
fn fold_input<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
    [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, d)]
}

/// `Aᵀ` times a column.
#[inline(always)]
fn fold_output<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
    let (sum, difference) = (simd.add_f32s(b, c), simd.sub_f32s(b, c));
    [simd.add_f32s(a, sum), simd.sub_f32s(difference, d)]
}

/// Numbers of `left` and `right` by turns.
#[inline(always)]
fn interleave(left: &[f32], right: &[f32], target: &mut [f32]) {
    // Fours, so that they are unpacked in registers.
    let (fours, rest) = target.as_chunks_mut::<8>();
    let done = 4 * fours.len();
    for ((target, left), right) in fours.iter_mut().zip(left.as_chunks::<4>().0).zip(right.as_chunks::<4>().0)
    {
        let [a, b, c, d] = *left;
        let [e, f, g, h] = *right;
        *target = [a, e, b, f, c, g, d, h];
    }
    let (left, right) = (&left[done..], &right[done..]);
    let (pairs, rest) = rest.as_chunks_mut::<2>();
    let last = pairs.len();
    for ((pair, left), right) in pairs.iter_mut().zip(left).zip(right) {
        *pair = [*left, *right];
    }
    if let [number] = rest {
        *number = left[last];
    }
}

/// `Bᵀ d B` of the tiles of a vector, of all channels; the first numbers of all channels first.
#[inline(always)]
fn transform_inputs<S: Simd>(
    simd: S,
    frame: &[f32],
    taps: &[usize],
    vector: &Vector,
    j: usize,
    transformed: &mut [f32],
) {
    let lanes = S::F32_LANES;
    let (taps, _) = taps.as_chunks::<NUMBERS>();
    let channels = taps.len();
    let planes = transformed.chunks_exact_mut((channels + 1) * PANEL * lanes);
    let mut planes =
        planes.map(|plane| &mut S::as_mut_simd_f32s(plane).0.as_chunks_mut::<PANEL>().0[..channels]);
    let planes: [&mut [[S::f32s; PANEL]]; NUMBERS] =
        std::array::from_fn(|_| planes.next().unwrap_or_default());
    for (channel, taps) in taps.iter().enumerate() {
        let mut tile = [simd.splat_f32s(0.0); NUMBERS];
        if vector.piece == lanes {
            // Columns 0 and 2, and 1 and 3, are neighbours in the frame.
            for y in 0..4 {
                for x in 0..2 {
                    let start = taps[4 * y + x] + vector.reads[0];
                    let line = &frame[start..start + lanes + 1];
                    tile[4 * y + x] = S::as_simd_f32s(&line[..lanes]).0[0];
                    tile[4 * y + x + 2] = S::as_simd_f32s(&line[1..]).0[0];
                }
            }
        } else {
            for (number, tap) in tile.iter_mut().zip(taps) {
                let mut numbers = [0.0; LONGEST];
                if vector.piece == 4 {
                    let pieces = numbers[..lanes].as_chunks_mut::<4>().0;
                    for (piece, read) in pieces.iter_mut().zip(vector.reads.iter().step_by(4)) {
                        piece.copy_from_slice(&frame[tap + read..tap + read + 4]);
                    }
                } else {
                    for (number, read) in numbers[..lanes].iter_mut().zip(&vector.reads) {
                        *number = frame[tap + read];
                    }
                }
                *number = S::as_simd_f32s(&numbers).0[0];
            }
        }
        let mut columns = [[tile[0]; 4]; 4];
        for (x, column) in columns.iter_mut().enumerate() {
            *column = fold_input(simd, [tile[x], tile[4 + x], tile[8 + x], tile[12 + x]]);
        }
        let [a, b, c, d] = columns;
        for row in 0..4 {
            let numbers = fold_input(simd, [a[row], b[row], c[row], d[row]]);
            for (column, number) in numbers.into_iter().enumerate() {
                planes[4 * row + column][channel][j] = number;
            }
        }
    }
}

/// `weights`, rows as long as there are `columns`, times these.
#[inline(always)]
fn multiply<S: Simd, const ROWS: usize>(
    simd: S,
    weights: &[f32],
    columns: Packed<'_, S>,
    outputs: &mut [[S::f32s; PANEL]],
) {
    let depth = columns.0.len();
    for (index, outputs) in outputs.chunks_mut(ROWS).enumerate() {
        let weights = &weights[index * ROWS * depth..];
        let mut rows: [&[f32]; ROWS] = [&[]; ROWS];
        for (i, row) in rows.iter_mut().enumerate() {
            // Rows that are too many repeat the last one and are not written.
            *row = &weights[i.min(outputs.len() - 1) * depth..][..depth];
        }
        let sums = [[simd.splat_f32s(0.0); PANEL]; ROWS];
        let sums = apart(simd, Products { rows, columns, sums });
        outputs.copy_from_slice(&sums[..outputs.len()]);
    }
}
