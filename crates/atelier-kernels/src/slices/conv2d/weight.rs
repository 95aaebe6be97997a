//! The gradient of the weights: for every weight, a sum over all pixels.

use super::super::scratch::Scratch;
use super::super::{simd, threads};
use super::geometry::{Geometry, parts, split};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Output channels of a tile: with 3 columns of the kernel, 12 sums in 16 registers.
const ROWS: usize = 4;
const COLUMNS: usize = 3;
/// Pixels at once, so that what a tile reads stays in the first cache.
const PIXELS: usize = 1024;
/// Sums that are made apart from each other, of different pictures, and added at the end. The same whatever the number
/// of threads, so that the result is the same.
const PARTS: usize = 8;

/// The gradient of the weights of a convolution.
pub struct WeightGradient<'a> {
    pub geometry: &'a Geometry,
    /// `[batch, channels, height, width]`.
    pub input: &'a [f32],
    /// Gradient of the output, `[batch, out_channels, height, width]`.
    pub gradient: &'a [f32],
    pub out_channels: usize,
}

impl WeightGradient<'_> {
    /// Writes `[out_channels, channels, kernel height, kernel width]`.
    pub fn run(&self, result: &mut [f32]) {
        let geometry = self.geometry;
        result.fill(0.0);
        if self.gradient.is_empty() || result.is_empty() {
            return;
        }
        let batch = self.gradient.len() / (self.out_channels * geometry.pixels());
        let parts = parts(&(0..batch), &(0..geometry.out[0]), geometry.out[1], PIXELS);
        let count = PARTS.min(parts.len());
        let slices = PARTS.div_ceil(count).min(self.out_channels.div_ceil(4 * ROWS));
        let channels = self.out_channels.div_ceil(slices).next_multiple_of(ROWS);
        let mut others = Scratch::new((count - 1) * result.len());
        others.fill(0.0);
        let each = parts.len().div_ceil(count);
        let results = std::iter::once(&mut *result).chain(others.chunks_exact_mut(self.weights()));
        let mut tasks = Vec::new();
        for (parts, result) in parts.chunks(each).zip(results) {
            let results = result.chunks_mut(channels * geometry.depth());
            for (channels, result) in split(&(0..self.out_channels), channels).zip(results) {
                tasks.push(Task { whole: self, parts, channels, result });
            }
        }
        threads::for_each(tasks, simd::dispatch);
        for other in others.chunks_exact(self.weights()) {
            for (sum, other) in result.iter_mut().zip(other) {
                *sum += other;
            }
        }
    }

    fn weights(&self) -> usize {
        self.out_channels * self.geometry.depth()
    }
}

struct Task<'a, 'b> {
    whole: &'a WeightGradient<'a>,
    parts: &'a [(Range<usize>, Range<usize>)],
    channels: Range<usize>,
    result: &'b mut [f32],
}

impl WithSimd for Task<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for (pictures, rows) in self.parts {
            self.part(simd, pictures, rows);
        }
    }
}

impl Task<'_, '_> {
    #[inline(always)]
    fn part<S: Simd>(&mut self, simd: S, pictures: &Range<usize>, rows: &Range<usize>) {
        let &WeightGradient { geometry, input, gradient, out_channels } = self.whole;
        let lanes = S::F32_LANES;
        let layout = geometry.layout(pictures.len(), rows.len());
        let taps = geometry.taps(&layout);
        let lines = Lines::new(geometry, layout.width, rows, lanes);
        let vectors = pictures.len() * lines.starts.len();
        let mut reads = Vec::with_capacity(vectors);
        for picture in 0..pictures.len() {
            reads.extend(lines.starts.iter().map(|start| picture * layout.picture + start));
        }
        let last = reads.iter().max().map_or(0, |read| read + lanes) + taps.iter().max().unwrap_or(&0);
        let mut packed = Scratch::new(self.channels.len() * vectors * lanes);
        for (channel, packed) in self.channels.clone().zip(packed.chunks_exact_mut(vectors * lanes)) {
            let pictures = pictures.clone().zip(packed.chunks_exact_mut(lines.starts.len() * lanes));
            for (picture, packed) in pictures {
                let plane = (picture * out_channels + channel) * geometry.pixels();
                lines.pack(&gradient[plane + rows.start * geometry.out[1]..], geometry.out[1], packed);
            }
        }
        let input = &input[pictures.start * geometry.picture()..pictures.end * geometry.picture()];
        if geometry.is_direct() && last <= input.len() {
            self.products(simd, input, &taps, &reads, &packed);
            return;
        }
        let size = if geometry.is_direct() { input.len() } else { geometry.channels * layout.channel };
        let mut frame = Scratch::new(last.max(size));
        frame[size..].fill(0.0);
        if geometry.is_direct() {
            frame[..size].copy_from_slice(input);
        } else {
            geometry.fill(input, rows, &layout, &mut frame);
        }
        self.products(simd, &frame, &taps, &reads, &packed);
    }

    /// Adds the sums over all of `reads` to the result.
    #[inline(always)]
    fn products<S: Simd>(&mut self, simd: S, frame: &[f32], taps: &[usize], reads: &[usize], packed: &[f32]) {
        let line = reads.len();
        let (packed, _) = S::as_simd_f32s(packed);
        let depth = taps.len();
        let channels = self.channels.len();
        let columns = self.whole.geometry.kernel[1];
        for start in (0..channels).step_by(ROWS) {
            let rows: [&[S::f32s]; ROWS] =
                std::array::from_fn(|i| &packed[(start + i).min(channels - 1) * line..][..line]);
            let mut add = |i: usize, tap: usize, sum: S::f32s| {
                if start + i < channels {
                    self.result[(start + i) * depth + tap] += simd.reduce_sum_f32s(sum);
                }
            };
            let mut tap = 0;
            while tap < depth {
                // The columns of one row of the kernel, or the same pixel of several channels.
                let count = if columns >= COLUMNS { columns - tap % columns } else { depth - tap };
                if count >= COLUMNS {
                    let taps = std::array::from_fn(|j| taps[tap + j]);
                    let sums = dots::<S, COLUMNS>(simd, frame, taps, reads, rows);
                    for (i, sums) in sums.into_iter().enumerate() {
                        for (j, sum) in sums.into_iter().enumerate() {
                            add(i, tap + j, sum);
                        }
                    }
                    tap += COLUMNS;
                } else {
                    let sums = dots::<S, 1>(simd, frame, [taps[tap]], reads, rows);
                    for (i, [sum]) in sums.into_iter().enumerate() {
                        add(i, tap, sum);
                    }
                    tap += 1;
                }
            }
        }
    }
}

/// The sums over all vectors of the products of `rows` and what is read at `taps`: the innermost loop.
#[inline(always)]
fn dots<S: Simd, const TAPS: usize>(
    simd: S,
    frame: &[f32],
    taps: [usize; TAPS],
    reads: &[usize],
    rows: [&[S::f32s]; ROWS],
) -> [[S::f32s; TAPS]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.0); TAPS]; ROWS];
    let rows = rows.map(|row| &row[..reads.len()]);
    let frames = taps.map(|tap| &frame[tap..]);
    for (k, read) in reads.iter().enumerate() {
        let values = frames.map(|frame| S::as_simd_f32s(&frame[*read..*read + S::F32_LANES]).0[0]);
        for i in 0..ROWS {
            for j in 0..TAPS {
                sums[i][j] = simd.mul_add_e_f32s(rows[i][k], values[j], sums[i][j]);
            }
        }
    }
    sums
}

/// How the pixels of some rows of the output are divided into vectors, so that each reads neighbours in memory.
struct Lines {
    /// Where each vector begins, in lines of the frame's width.
    starts: Vec<usize>,
    /// Columns of the frame.
    stride: usize,
    /// Whether each row begins a vector.
    by_row: bool,
    lanes: usize,
    rows: usize,
}

impl Lines {
    fn new(geometry: &Geometry, stride: usize, rows: &Range<usize>, lanes: usize) -> Self {
        let first_row = if geometry.is_direct() { rows.start } else { 0 };
        let width = geometry.out[1];
        // Otherwise the columns of zeros at the end of a line are pixels like others, of gradient zero.
        let by_row = width.is_multiple_of(lanes);
        let lines = (first_row..first_row + rows.len()).map(|row| row * stride);
        let starts = if by_row {
            lines.flat_map(|line| (0..width / lanes).map(move |i| line + i * lanes)).collect()
        } else {
            let numbers = (rows.len().max(1) - 1) * stride + width;
            (0..numbers.div_ceil(lanes)).map(|i| first_row * stride + i * lanes).collect()
        };
        Self { starts, stride, by_row, lanes, rows: rows.len() }
    }

    /// The rows of one channel of the gradient, with zeros where a vector covers no pixel.
    fn pack(&self, gradient: &[f32], width: usize, packed: &mut [f32]) {
        if self.by_row || self.stride == width {
            let count = self.rows * width;
            packed[..count].copy_from_slice(&gradient[..count]);
            packed[count..].fill(0.0);
            return;
        }
        debug_assert!(packed.len() == self.starts.len() * self.lanes);
        packed.fill(0.0);
        for (line, row) in packed.chunks_mut(self.stride).zip(gradient.chunks_exact(width)).take(self.rows) {
            line[..width].copy_from_slice(row);
        }
    }
}
