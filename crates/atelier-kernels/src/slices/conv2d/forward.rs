//! The convolution as a product of matrices, weights by pixels, whose second factor exists only in parts that fit into
//! the fast caches ("implicit GEMM"; Chetlur et al., arXiv 1410.0759).

use super::super::scratch::Scratch;
use super::super::simd::{self, Operation, apart, load, store};
use super::super::threads;
use super::geometry::{Geometry, Vector, parts, split, vectors};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Vectors of a tile: with 6 rows of weights, 12 sums in 16 registers.
const PANEL: usize = 2;
/// Products at once, so that a panel stays in the first cache.
const DEPTH: usize = 320;
/// Numbers of the frame at once, so that they stay in the second cache.
const FRAME: usize = 48 << 10;

/// A convolution of some pictures.
pub struct Forward<'a> {
    pub geometry: &'a Geometry,
    /// `[batch, channels, height, width]`.
    pub input: &'a [f32],
    /// `[out_channels, channels, kernel height, kernel width]`.
    pub weight: &'a [f32],
    /// `[out_channels]`.
    pub bias: Option<&'a [f32]>,
}

impl Forward<'_> {
    /// Writes `[batch, out_channels, height, width]`.
    pub fn run(&self, out_channels: usize, output: &mut [f32]) {
        let pixels = self.geometry.pixels();
        if output.is_empty() {
            return;
        }
        let batch = output.len() / (out_channels * pixels);
        let (pictures, rows, channels) = self.split(batch, out_channels);
        let mut planes = output.chunks_exact_mut(pixels);
        let mut tasks = Vec::new();
        for pictures in split(&(0..batch), pictures) {
            let mut group = Vec::new();
            for rows in split(&(0..self.geometry.out[0]), rows) {
                for channels in split(&(0..out_channels), channels) {
                    group.push(Task {
                        forward: self,
                        pictures: pictures.clone(),
                        rows: rows.clone(),
                        channels,
                        output: Vec::new(),
                    });
                }
            }
            for _ in pictures {
                for channel in 0..out_channels {
                    let mut plane = planes.next().unwrap_or_default();
                    for task in group.iter_mut().filter(|task| task.channels.contains(&channel)) {
                        let (part, rest) = plane.split_at_mut(task.rows.len() * self.geometry.out[1]);
                        task.output.push(part);
                        plane = rest;
                    }
                }
            }
            tasks.extend(group);
        }
        threads::for_each(tasks, simd::dispatch);
    }

    /// How many pictures, rows and output channels a task has: several tasks for each thread where there is work enough.
    fn split(&self, batch: usize, out_channels: usize) -> (usize, usize, usize) {
        let [height, width] = self.geometry.out;
        let threads = threads::count();
        if threads == 1 || batch * height * width * out_channels * self.geometry.depth() < 1 << 18 {
            return (batch, height, out_channels);
        }
        let tasks = 4 * threads;
        if batch >= tasks {
            return (batch.div_ceil(tasks), height, out_channels);
        }
        let tasks = tasks.div_ceil(batch);
        // A task of fewer pixels would read the weights more often than it needs to.
        let bands = (height * width / 256).clamp(1, tasks).min(height);
        let slices = if bands == 1 { threads.div_ceil(batch).min(out_channels.div_ceil(16)) } else { 1 };
        (1, height.div_ceil(bands), out_channels.div_ceil(slices).next_multiple_of(8))
    }
}

/// Some output channels of some rows of some pictures.
struct Task<'a, 'b> {
    forward: &'a Forward<'a>,
    pictures: Range<usize>,
    rows: Range<usize>,
    channels: Range<usize>,
    /// The rows of every picture and channel.
    output: Vec<&'b mut [f32]>,
}

impl WithSimd for Task<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if cfg!(target_arch = "wasm32") {
            // Half of the registers go into products that are not fused with the sums; 2 by 3 is faster than 2 by 6.
            self.run::<S, 3, 2>(simd);
        } else if S::REGISTER_COUNT >= 32 {
            self.run::<S, 12, 8>(simd);
        } else {
            self.run::<S, 6, 4>(simd);
        }
    }
}

impl Task<'_, '_> {
    #[inline(always)]
    fn run<S: Simd, const MANY: usize, const FEW: usize>(mut self, simd: S) {
        let geometry = self.forward.geometry;
        let target = (FRAME / geometry.channels.max(1)).max(4 * PANEL * S::F32_LANES);
        for (pictures, rows) in parts(&self.pictures, &self.rows, geometry.out[1], target) {
            let layout = geometry.layout(pictures.len(), rows.len());
            let taps = geometry.taps(&layout);
            let vectors = vectors(geometry, &layout, pictures.len(), &rows, S::F32_LANES);
            let input = &self.forward.input[pictures.start * geometry.picture()..]
                [..pictures.len() * geometry.picture()];
            let place = Place {
                picture: pictures.start - self.pictures.start,
                pixel: (rows.start - self.rows.start) * geometry.out[1],
            };
            if geometry.is_direct() {
                self.convolve::<S, MANY, FEW>(simd, input, &taps, &vectors, place);
            } else {
                let mut frame = Scratch::new(geometry.channels * layout.channel);
                geometry.fill(input, &rows, &layout, &mut frame);
                self.convolve::<S, MANY, FEW>(simd, &frame, &taps, &vectors, place);
            }
        }
    }

    #[inline(always)]
    fn convolve<S: Simd, const MANY: usize, const FEW: usize>(
        &mut self,
        simd: S,
        frame: &[f32],
        taps: &[usize],
        vectors: &[Vector],
        place: Place,
    ) {
        let blocks = taps.len().div_ceil(DEPTH);
        let depth = taps.len().div_ceil(blocks.max(1)).max(1);
        let mut packed = Scratch::new(depth * PANEL * S::F32_LANES);
        // Copying costs more than it saves if the copy is hardly used.
        let few = self.channels.len() <= 2 * MANY;
        for (block, taps) in taps.chunks(depth).enumerate() {
            for vectors in vectors.chunks(PANEL) {
                let to = Target { vectors, place, first: block * depth };
                match vectors {
                    [a, b] if few && [a.piece, b.piece] == [S::F32_LANES; 2] => {
                        let frames = [&frame[a.reads[0]..], &frame[b.reads[0]..]];
                        self.panel::<S, MANY, FEW, PANEL>(simd, Adjacent { frames, taps }, to);
                    }
                    [_] => {
                        pack::<S>(frame, taps, vectors, &mut packed);
                        let (packed, _) = S::as_simd_f32s(&packed[..taps.len() * PANEL * S::F32_LANES]);
                        self.panel::<S, MANY, FEW, 1>(simd, Packed::<S>(packed.as_chunks().0), to);
                    }
                    _ => {
                        pack::<S>(frame, taps, vectors, &mut packed);
                        let (packed, _) = S::as_simd_f32s(&packed[..taps.len() * PANEL * S::F32_LANES]);
                        self.panel::<S, MANY, FEW, PANEL>(simd, Packed::<S>(packed.as_chunks().0), to);
                    }
                }
            }
        }
    }

    /// Adds the products with `columns` to the sums of some vectors.
    #[inline(always)]
    fn panel<S: Simd, const MANY: usize, const FEW: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        columns: impl Columns<S, VECTORS>,
        to: Target<'_>,
    ) {
        let channels = self.channels.len();
        // As many tiles of many rows as leave a multiple of few.
        let even = channels.next_multiple_of(MANY - FEW);
        let few = [0, 2, 1][even % MANY / (MANY - FEW)];
        let many = even.saturating_sub(few * FEW) / MANY * MANY;
        for start in (0..many).step_by(MANY) {
            self.tile::<S, MANY, VECTORS>(simd, columns, start, to);
        }
        for start in (many..channels).step_by(FEW) {
            self.tile::<S, FEW, VECTORS>(simd, columns, start, to);
        }
    }

    /// The same for the output channels from `start` on.
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        columns: impl Columns<S, VECTORS>,
        start: usize,
        to: Target<'_>,
    ) {
        let Forward { geometry, weight, bias, .. } = self.forward;
        let (channels, depth) = (self.channels.len(), geometry.depth());
        let weight = &weight[(self.channels.start + start) * depth + to.first..];
        let count = ROWS.min(channels - start);
        let mut rows: [&[f32]; ROWS] = [&[]; ROWS];
        for (i, row) in rows.iter_mut().enumerate() {
            // Rows that are too many repeat the last one and are not written.
            *row = &weight[i.min(count - 1) * depth..][..columns.len()];
        }
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        for (i, sums) in sums.iter_mut().enumerate().take(count) {
            for (vector, sum) in to.vectors.iter().zip(sums) {
                *sum = if to.first > 0 {
                    let output = &self.output[(to.place.picture + vector.picture) * channels + start + i];
                    let pixel = to.place.pixel + vector.pixel;
                    load(simd, &output[pixel..pixel + vector.count])
                } else {
                    simd.splat_f32s(bias.map_or(0.0, |bias| bias[self.channels.start + start + i]))
                };
            }
        }
        let sums = apart(simd, Products { rows, columns, sums });
        for (i, sums) in sums.iter().enumerate().take(count) {
            for (vector, sum) in to.vectors.iter().zip(sums) {
                let output = &mut self.output[(to.place.picture + vector.picture) * channels + start + i];
                let pixel = to.place.pixel + vector.pixel;
                store(simd, &mut output[pixel..pixel + vector.count], *sum);
            }
        }
    }
}

/// What sums are for.
#[derive(Clone, Copy)]
struct Target<'a> {
    vectors: &'a [Vector],
    place: Place,
    /// The first weight of each output channel that is multiplied.
    first: usize,
}

/// The second factor: some vectors for each weight of an output channel.
trait Columns<S: Simd, const VECTORS: usize>: Copy {
    /// How many weights.
    fn len(&self) -> usize;

    /// The vectors of weight `k`.
    fn get(&self, k: usize) -> [S::f32s; VECTORS];
}

/// Vectors that were copied together.
#[derive(Clone, Copy)]
struct Packed<'a, S: Simd>(&'a [[S::f32s; PANEL]]);

impl<S: Simd, const VECTORS: usize> Columns<S, VECTORS> for Packed<'_, S> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn get(&self, k: usize) -> [S::f32s; VECTORS] {
        std::array::from_fn(|j| self.0[k][j])
    }
}

/// Vectors whose numbers lie next to each other in the frame.
#[derive(Clone, Copy)]
struct Adjacent<'a, const VECTORS: usize> {
    /// From what the first weight would read on, if it read at 0.
    frames: [&'a [f32]; VECTORS],
    taps: &'a [usize],
}

impl<S: Simd, const VECTORS: usize> Columns<S, VECTORS> for Adjacent<'_, VECTORS> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.taps.len()
    }

    #[inline(always)]
    fn get(&self, k: usize) -> [S::f32s; VECTORS] {
        let tap = self.taps[k];
        std::array::from_fn(|j| S::as_simd_f32s(&self.frames[j][tap..tap + S::F32_LANES]).0[0])
    }
}

/// Where a part begins in its task.
#[derive(Clone, Copy)]
struct Place {
    picture: usize,
    pixel: usize,
}

/// `sums + rows * columns`: the innermost loop, a function of its own so that all registers are its own.
struct Products<'a, S: Simd, T, const ROWS: usize, const VECTORS: usize> {
    rows: [&'a [f32]; ROWS],
    columns: T,
    sums: [[S::f32s; VECTORS]; ROWS],
}

impl<S: Simd, T, const ROWS: usize, const VECTORS: usize> Operation<S> for Products<'_, S, T, ROWS, VECTORS>
where
    T: Columns<S, VECTORS>,
{
    type Output = [[S::f32s; VECTORS]; ROWS];

    #[inline(always)]
    fn run(self, simd: S) -> Self::Output {
        let Self { mut rows, columns, mut sums } = self;
        let depth = columns.len();
        for row in &mut rows {
            *row = &row[..depth];
        }
        for k in 0..depth {
            let columns = columns.get(k);
            for (row, sums) in rows.iter().zip(&mut sums) {
                let weight = simd.splat_f32s(row[k]);
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = simd.mul_add_e_f32s(weight, column, *sum);
                }
            }
        }
        sums
    }
}

/// Copies what some vectors read at each of `taps` together.
#[inline(always)]
fn pack<S: Simd>(frame: &[f32], taps: &[usize], vectors: &[Vector], packed: &mut [f32]) {
    let lanes = S::F32_LANES;
    if let [a, b] = vectors
        && [a.piece, b.piece] == [lanes; 2]
    {
        let (packed, _) = S::as_mut_simd_f32s(packed);
        let (first, second) = (&frame[a.reads[0]..], &frame[b.reads[0]..]);
        for (target, tap) in packed.as_chunks_mut::<PANEL>().0.iter_mut().zip(taps) {
            target[0] = S::as_simd_f32s(&first[*tap..*tap + lanes]).0[0];
            target[1] = S::as_simd_f32s(&second[*tap..*tap + lanes]).0[0];
        }
        return;
    }
    for (j, vector) in vectors.iter().enumerate() {
        let targets =
            packed.chunks_exact_mut(PANEL * lanes).map(|line| &mut line[j * lanes..(j + 1) * lanes]);
        if vector.piece == lanes {
            for (target, tap) in targets.zip(taps) {
                let start = tap + vector.reads[0];
                S::as_mut_simd_f32s(target).0[0] = S::as_simd_f32s(&frame[start..start + lanes]).0[0];
            }
        } else if vector.piece == 4 {
            for (target, tap) in targets.zip(taps) {
                for (piece, read) in
                    target.as_chunks_mut::<4>().0.iter_mut().zip(vector.reads.iter().step_by(4))
                {
                    piece.copy_from_slice(&frame[tap + read..tap + read + 4]);
                }
            }
        } else {
            for (target, tap) in targets.zip(taps) {
                for (value, read) in target.iter_mut().zip(&vector.reads) {
                    *value = frame[tap + read];
                }
            }
        }
    }
}
