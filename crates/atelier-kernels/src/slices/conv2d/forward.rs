//! The convolution as a product of matrices, weights by pixels, whose second factor exists only in parts that fit into
//! the fast caches ("implicit GEMM"; Chetlur et al., arXiv 1410.0759).

use super::super::products::{Columns, PANEL, Packed, Products, TileOperation, dispatch_tiles, many_rows};
use super::super::scratch::Scratch;
use super::super::simd::{apart, load, store};
use super::super::threads;
use super::geometry::{Geometry, Vector, parts, vectors};
use super::regions::{Region, regions};
use super::winograd::Winograd;
use pulp::Simd;

/// Products at once, so that a panel stays in the first cache.
const DEPTH: usize = 320;
/// Numbers of the frame at once, so that they stay in the second cache.
pub const FRAME: usize = 48 << 10;

/// A convolution of some pictures.
pub struct Forward<'a> {
    pub geometry: &'a Geometry,
    /// `[batch, channels, height, width]`.
    pub input: &'a [f32],
    /// `[out_channels, channels, kernel height, kernel width]`.
    pub weight: &'a [f32],
    /// What is added.
    pub bias: Option<Bias<'a>>,
}

/// A number for every output channel.
#[derive(Clone, Copy)]
pub struct Bias<'a> {
    /// `[out_channels]`, or `[batch, out_channels]`.
    pub numbers: &'a [f32],
    pub out_channels: usize,
}

impl<'a> Bias<'a> {
    /// `[out_channels]`.
    pub fn of_picture(self, picture: usize) -> &'a [f32] {
        if self.numbers.len() == self.out_channels {
            self.numbers
        } else {
            &self.numbers[picture * self.out_channels..][..self.out_channels]
        }
    }
}

impl Forward<'_> {
    /// Writes `[batch, out_channels, height, width]`.
    pub fn run(&self, out_channels: usize, output: &mut [f32]) {
        let pixels = self.geometry.pixels();
        if output.is_empty() {
            return;
        }
        let batch = output.len() / (out_channels * pixels);
        if let Some(winograd) = Winograd::new(self, out_channels) {
            winograd.run(batch, output);
            return;
        }
        let each = self.split(batch, out_channels);
        let regions = regions(output, batch, out_channels, self.geometry.out, each);
        let tasks = regions.into_iter().map(|region| Task { forward: self, region });
        threads::for_each(tasks.collect(), dispatch_tiles);
    }

    /// How many pictures, rows and output channels a task has: several tasks for each thread where there is work enough.
    fn split(&self, batch: usize, out_channels: usize) -> [usize; 3] {
        let [height, width] = self.geometry.out;
        let threads = threads::count();
        if threads == 1 || batch * height * width * out_channels * self.geometry.depth() < 1 << 18 {
            return [batch, height, out_channels];
        }
        let tasks = 4 * threads;
        if batch >= tasks {
            return [batch.div_ceil(tasks), height, out_channels];
        }
        let tasks = tasks.div_ceil(batch);
        // A task of fewer pixels would read the weights more often than it needs to.
        let bands = (height * width / 256).clamp(1, tasks).min(height);
        let slices = if bands == 1 { threads.div_ceil(batch).min(out_channels.div_ceil(16)) } else { 1 };
        [1, height.div_ceil(bands), out_channels.div_ceil(slices).next_multiple_of(8)]
    }
}

/// The convolution of one region of the output.
struct Task<'a, 'b> {
    forward: &'a Forward<'a>,
    region: Region<'b>,
}

impl TileOperation for Task<'_, '_> {
    #[inline(always)]
    fn run<S: Simd, const MANY: usize, const FEW: usize>(mut self, simd: S) {
        let geometry = self.forward.geometry;
        let target = (FRAME / geometry.channels.max(1)).max(4 * PANEL * S::F32_LANES);
        for (pictures, rows) in parts(&self.region.pictures, &self.region.rows, geometry.out[1], target) {
            let layout = geometry.layout(pictures.len(), rows.len());
            let taps = geometry.taps(&layout);
            let vectors = vectors(geometry, &layout, pictures.len(), &rows, S::F32_LANES);
            let input = &self.forward.input[pictures.start * geometry.picture()..]
                [..pictures.len() * geometry.picture()];
            let place = Place {
                picture: pictures.start - self.region.pictures.start,
                pixel: (rows.start - self.region.rows.start) * geometry.out[1],
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
}

impl Task<'_, '_> {
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
        let few = self.region.channels.len() <= 2 * MANY;
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
        let channels = self.region.channels.len();
        let many = many_rows::<MANY, FEW>(channels);
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
        let (channels, depth) = (self.region.channels.len(), geometry.depth());
        let weight = &weight[(self.region.channels.start + start) * depth + to.first..];
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
                    let output =
                        &self.region.output[(to.place.picture + vector.picture) * channels + start + i];
                    let pixel = to.place.pixel + vector.pixel;
                    load(simd, &output[pixel..pixel + vector.count])
                } else {
                    let picture = self.region.pictures.start + to.place.picture + vector.picture;
                    let channel = self.region.channels.start + start + i;
                    simd.splat_f32s(bias.map_or(0.0, |bias| bias.of_picture(picture)[channel]))
                };
            }
        }
        let sums = apart(simd, Products { rows, columns, sums });
        for (i, sums) in sums.iter().enumerate().take(count) {
            for (vector, sum) in to.vectors.iter().zip(sums) {
                let output =
                    &mut self.region.output[(to.place.picture + vector.picture) * channels + start + i];
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
