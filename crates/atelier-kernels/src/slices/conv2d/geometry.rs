//! Where a convolution reads.

use super::super::scratch::LONGEST;
use std::ops::Range;

/// A convolution as the kernels see it: the input, spread out by zeros, lies at `offset` in a frame of zeros.
#[derive(Clone, Debug)]
pub struct Geometry {
    /// Channels of the input.
    pub channels: usize,
    /// Height and width of the input.
    pub size: [usize; 2],
    /// From one pixel of the input to the next in the frame; more than 1 for the gradient of a convolution with strides.
    pub spread: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// From one place of the kernel in the frame to the next.
    pub stride: [usize; 2],
    /// Where the first pixel of the input is in the frame; negative if it is cut off.
    pub offset: [isize; 2],
    /// Height and width of the output.
    pub out: [usize; 2],
}

/// How the part of the frame that some rows of the output read lies in memory: for every channel, the pixels of each
/// remainder by the strides together, so that neighbours in the output read neighbours in memory. A channel of all
/// pictures lies together, as it is read together.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Rows of one remainder.
    height: usize,
    /// Columns of one remainder.
    pub width: usize,
    /// From one channel to the next.
    pub channel: usize,
    /// From one picture to the next.
    pub picture: usize,
}

impl Geometry {
    /// Products that make one number of the output.
    pub fn depth(&self) -> usize {
        self.channels * self.kernel[0] * self.kernel[1]
    }

    /// Numbers of one picture of the input.
    pub fn picture(&self) -> usize {
        self.channels * self.size[0] * self.size[1]
    }

    /// Pixels of the output.
    pub fn pixels(&self) -> usize {
        self.out[0] * self.out[1]
    }

    /// The same with one long row, where rows make no difference.
    pub fn flattened(mut self) -> Self {
        if self.is_direct() && self.kernel == [1, 1] {
            // Rows of a length that every vector divides, as far as possible.
            let pixels = self.pixels();
            let width = if pixels.is_multiple_of(64) { 64 } else { pixels };
            self.size = [pixels.checked_div(width).unwrap_or(0), width];
            self.out = self.size;
        }
        self
    }

    /// Whether the frame is the input itself.
    pub fn is_direct(&self) -> bool {
        let frame = [0, 1].map(|i| self.out[i] + self.kernel[i] - 1);
        self.spread == [1, 1] && self.stride == [1, 1] && self.offset == [0, 0] && frame == self.size
    }

    /// The layout for `rows` rows of the output of `pictures` pictures.
    pub fn layout(&self, pictures: usize, rows: usize) -> Layout {
        if self.is_direct() {
            let [height, width] = self.size;
            return Layout { height, width, channel: height * width, picture: self.picture() };
        }
        let extent = |places: usize, i: usize| {
            ((places.max(1) - 1) * self.stride[i] + self.kernel[i]).div_ceil(self.stride[i])
        };
        let (height, width) = (extent(rows, 0), extent(self.out[1], 1));
        let picture = self.stride[0] * self.stride[1] * height * width;
        Layout { height, width, channel: picture * pictures, picture }
    }

    /// Where the product of each weight of an output channel reads, for the first pixel of the output.
    pub fn taps(&self, layout: &Layout) -> Vec<usize> {
        let ([kernel_height, kernel_width], [down, right]) = (self.kernel, self.stride);
        let mut taps = Vec::with_capacity(self.depth());
        for channel in 0..self.channels {
            for y in 0..kernel_height {
                for x in 0..kernel_width {
                    let remainder = (y % down) * right + x % right;
                    let row = remainder * layout.height + y / down;
                    taps.push(channel * layout.channel + row * layout.width + x / right);
                }
            }
        }
        taps
    }

    /// Writes what `rows` of the output read of `input`, some pictures, to `frame`.
    #[inline(always)]
    pub fn fill(&self, input: &[f32], rows: &Range<usize>, layout: &Layout, frame: &mut [f32]) {
        let [height, width] = self.size;
        let [down, right] = self.stride;
        let planes = input.chunks_exact((height * width).max(1)).enumerate();
        for (index, input) in planes {
            let (picture, channel) = (index / self.channels, index % self.channels);
            let start = channel * layout.channel + picture * layout.picture;
            let frame = &mut frame[start..start + layout.picture];
            for (remainder, lines) in frame.chunks_exact_mut(layout.height * layout.width).enumerate() {
                let (below, beside) = (remainder / right, remainder % right);
                let span = self.span(beside, layout.width);
                for (row, line) in lines.chunks_exact_mut(layout.width).enumerate() {
                    match self.source((rows.start + row) * down + below, 0) {
                        Some(y) => span.fill(&input[y * width..][..width], line),
                        None => clear(line),
                    }
                }
            }
        }
    }

    /// What of a row of the input is in a line of the frame that begins at column `first`.
    #[inline(always)]
    fn span(&self, first: usize, line: usize) -> Span {
        let (stride, spread) = (self.stride[1], self.spread[1]);
        debug_assert!(stride == 1 || spread == 1, "either a convolution or the gradient of one");
        // Which number of the spread-out input the first place is, if it is one.
        let start = first as isize - self.offset[1];
        let before = ((-start).max(0) as usize).div_ceil(stride);
        let after_start = (start + (before * stride) as isize) as usize;
        let column = after_start.div_ceil(spread);
        let before = (before + column * spread - after_start).min(line);
        let left = self.size[1].saturating_sub(column);
        let count = left.div_ceil(stride).min((line - before).div_ceil(spread));
        Span { before, column, count, stride, spread }
    }

    /// The row (`axis` 0) or column (1) of the input at `place` of the frame.
    #[inline(always)]
    fn source(&self, place: usize, axis: usize) -> Option<usize> {
        let place = place.checked_add_signed(-self.offset[axis])?;
        let spread = self.spread[axis];
        if spread == 1 {
            return (place < self.size[axis]).then_some(place);
        }
        (place % spread == 0 && place / spread < self.size[axis]).then_some(place / spread)
    }
}

/// Which numbers of a row of the input are where in a line of the frame; zeros are around and between them.
struct Span {
    /// Zeros before the first number.
    before: usize,
    /// Its column in the input.
    column: usize,
    count: usize,
    /// From one number to the next in the input.
    stride: usize,
    /// And in the frame.
    spread: usize,
}

impl Span {
    #[inline(always)]
    fn fill(&self, input: &[f32], line: &mut [f32]) {
        let Self { before, column, count, stride, spread } = *self;
        if spread > 1 || count == 0 {
            line.fill(0.0);
            let places = line.iter_mut().skip(before).step_by(spread);
            for (value, input) in places.zip(input.iter().skip(column).step_by(stride)).take(count) {
                *value = *input;
            }
            return;
        }
        clear(&mut line[..before]);
        let (covered, after) = line[before..].split_at_mut(count);
        let input = &input[column..];
        match stride {
            1 => covered.copy_from_slice(&input[..count]),
            2 => {
                // In pairs, of which the last may be half.
                for (value, [input, _]) in covered.iter_mut().zip(input.as_chunks().0) {
                    *value = *input;
                }
                covered[count - 1] = input[2 * (count - 1)];
            }
            _ => {
                for (value, input) in covered.iter_mut().zip(input.iter().step_by(stride)) {
                    *value = *input;
                }
            }
        }
        clear(after);
    }
}

/// Writes zeros, mostly a single one.
#[inline(always)]
fn clear(numbers: &mut [f32]) {
    if let [number] = numbers {
        *number = 0.0;
    } else {
        numbers.fill(0.0);
    }
}

/// Numbers of one vector of the output, and where they are read and written.
#[derive(Clone, Copy, Debug)]
pub struct Vector {
    /// Where each number reads, relative to the taps.
    pub reads: [usize; LONGEST],
    /// How many numbers at a time lie next to each other: all, 4 or 1.
    pub piece: usize,
    /// Which of the pictures.
    pub picture: usize,
    /// The first pixel, counted from the first of the rows.
    pub pixel: usize,
    /// Numbers that are pixels; the others repeat the first.
    pub count: usize,
}

/// The vectors of `lanes` numbers that make `rows` of the output of `pictures` pictures.
pub fn vectors(
    geometry: &Geometry,
    layout: &Layout,
    pictures: usize,
    rows: &Range<usize>,
    lanes: usize,
) -> Vec<Vector> {
    let width = geometry.out[1];
    let pixels = rows.len() * width;
    let first_row = if geometry.is_direct() { rows.start } else { 0 };
    let mut vectors = Vec::with_capacity(pictures * pixels.div_ceil(lanes));
    for picture in 0..pictures {
        for pixel in (0..pixels).step_by(lanes) {
            let count = lanes.min(pixels - pixel);
            let mut reads = [0; LONGEST];
            for (lane, read) in reads.iter_mut().enumerate().take(lanes) {
                let pixel = if lane < count { pixel + lane } else { pixel };
                let row = first_row + pixel / width;
                *read = picture * layout.picture + row * layout.width + pixel % width;
            }
            let together = |piece: usize| {
                reads[..lanes].chunks(piece).all(|part| part[part.len() - 1] == part[0] + part.len() - 1)
            };
            let piece = if together(lanes) {
                lanes
            } else if lanes > 4 && together(4) {
                4
            } else {
                1
            };
            vectors.push(Vector { reads, piece, picture, pixel, count });
        }
    }
    vectors
}

/// The pictures and rows of a task in parts of about `target` pixels, or of a few rows.
pub fn parts(
    pictures: &Range<usize>,
    rows: &Range<usize>,
    width: usize,
    target: usize,
) -> Vec<(Range<usize>, Range<usize>)> {
    let pixels = (rows.len() * width).max(1);
    let (pictures_each, rows_each) = if 2 * pixels > 3 * target {
        (1, (target / width.max(1)).max(4))
    } else {
        ((target / pixels).max(1), rows.len())
    };
    split(pictures, pictures_each)
        .flat_map(|pictures| split(rows, rows_each).map(move |rows| (pictures.clone(), rows)))
        .collect()
}

/// `range` in pieces of `each`, the last perhaps shorter.
pub fn split(range: &Range<usize>, each: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let range = range.clone();
    range.clone().step_by(each.max(1)).map(move |start| start..(start + each.max(1)).min(range.end))
}
