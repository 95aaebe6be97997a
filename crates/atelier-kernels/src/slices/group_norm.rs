//! Group normalisation (Wu and He, arXiv 1803.08494) with the SiLU that follows it in every residual block, and its
//! gradients: one pass over memory each, as a group fits into a fast cache.

use super::math::{silu, silu_derivative};
use super::scratch::Scratch;
use super::simd::{self, load, moments, store};
use super::threads;
use pulp::{Simd, WithSimd};

/// What is normalised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNormShape {
    /// Pictures.
    pub batch: usize,
    /// Channels, a multiple of `groups`.
    pub channels: usize,
    /// Groups of channels, each of mean 0 and variance 1 after the normalisation; positive.
    pub groups: usize,
    /// Pixels of a channel.
    pub pixels: usize,
    /// Added to the variance.
    pub epsilon: f32,
    /// Whether SiLU is applied to the result.
    pub silu: bool,
}

impl GroupNormShape {
    fn numbers(&self) -> usize {
        self.batch * self.channels * self.pixels
    }

    fn group_channels(&self) -> usize {
        self.channels / self.groups
    }

    /// Numbers of one group of one picture.
    fn group(&self) -> usize {
        self.group_channels() * self.pixels
    }

    /// Groups of one task: several tasks for each thread.
    fn groups_each(&self) -> usize {
        (self.batch * self.groups).div_ceil(8 * threads::count()).max(8192 / self.group().max(1)).max(1)
    }
}

/// What the normalised values are multiplied by and what is added, `[channels]` each.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    /// Factors.
    pub scale: &'a [f32],
    /// Summands.
    pub shift: &'a [f32],
}

/// Normalises `input` `[batch, channels, pixels]` to `output`.
///
/// # Panics
///
/// If a slice has another length than `shape` says.
pub fn group_norm(shape: &GroupNormShape, input: &[f32], affine: Affine<'_>, output: &mut [f32]) {
    check(shape, &[input.len(), output.len()], affine);
    if output.is_empty() {
        return;
    }
    let each = shape.groups_each();
    let size = each * shape.group();
    let tasks = input.chunks(size).zip(output.chunks_mut(size)).enumerate();
    let tasks = tasks.map(|(i, (input, output))| Forward { shape, affine, first: i * each, input, output });
    threads::for_each(tasks.collect(), simd::dispatch);
}

/// Where the gradients of [`group_norm`] go.
#[derive(Debug)]
pub struct GroupNormGradients<'a> {
    /// Of the input, `[batch, channels, pixels]`.
    pub input: &'a mut [f32],
    /// Of the factors, `[channels]`.
    pub scale: &'a mut [f32],
    /// Of the summands, `[channels]`.
    pub shift: &'a mut [f32],
}

/// The gradients of [`group_norm`], where `gradient` `[batch, channels, pixels]` is that of the output.
///
/// # Panics
///
/// If a slice has another length than `shape` says.
pub fn group_norm_gradients(
    shape: &GroupNormShape,
    input: &[f32],
    affine: Affine<'_>,
    gradient: &[f32],
    results: GroupNormGradients<'_>,
) {
    let GroupNormGradients { input: of_input, scale: of_scale, shift: of_shift } = results;
    check(shape, &[input.len(), gradient.len(), of_input.len()], affine);
    check(shape, &[], Affine { scale: of_scale, shift: of_shift });
    of_scale.fill(0.0);
    of_shift.fill(0.0);
    if input.is_empty() {
        return;
    }
    let each = shape.groups_each();
    let size = each * shape.group();
    // Of every picture and channel: the gradients of shift and scale.
    let mut sums = Scratch::new(2 * shape.batch * shape.channels);
    let numbers = input.chunks(size).zip(gradient.chunks(size)).zip(of_input.chunks_mut(size));
    let tasks = numbers.zip(sums.chunks_mut(2 * each * shape.group_channels())).enumerate();
    let tasks = tasks.map(|(i, (((input, gradient), result), sums))| Backward {
        shape,
        affine,
        first: i * each,
        input,
        gradient,
        result,
        sums,
    });
    threads::for_each(tasks.collect(), simd::dispatch);
    for picture in sums.as_chunks::<2>().0.chunks_exact(shape.channels) {
        for (([shift, scale], of_shift), of_scale) in picture.iter().zip(&mut *of_shift).zip(&mut *of_scale) {
            *of_shift += shift;
            *of_scale += scale;
        }
    }
}

fn check(shape: &GroupNormShape, lengths: &[usize], affine: Affine<'_>) {
    assert!(
        lengths.iter().all(|length| *length == shape.numbers())
            && [affine.scale.len(), affine.shift.len()] == [shape.channels; 2],
        "a slice of a group norm has another length than its shape says"
    );
}

struct Forward<'a, 'b> {
    shape: &'a GroupNormShape,
    affine: Affine<'a>,
    /// The first group, counted over all pictures.
    first: usize,
    input: &'a [f32],
    output: &'b mut [f32],
}

impl WithSimd for Forward<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, affine, first, input, output } = self;
        let groups = input.chunks_exact(shape.group()).zip(output.chunks_exact_mut(shape.group()));
        for (index, (input, output)) in groups.enumerate() {
            let (mean, inverse) = moments(simd, shape.epsilon, input);
            let first_channel = (first + index) % shape.groups * shape.group_channels();
            let channels = input.chunks_exact(shape.pixels).zip(output.chunks_exact_mut(shape.pixels));
            for (channel, (input, output)) in channels.enumerate() {
                let scale = affine.scale[first_channel + channel] * inverse;
                let shift = affine.shift[first_channel + channel] - mean * scale;
                let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(shift));
                for (input, output) in input.chunks(S::F32_LANES).zip(output.chunks_mut(S::F32_LANES)) {
                    let value = simd.mul_add_e_f32s(load(simd, input), scale, shift);
                    store(simd, output, if shape.silu { silu(simd, value) } else { value });
                }
            }
        }
    }
}

struct Backward<'a, 'b> {
    shape: &'a GroupNormShape,
    affine: Affine<'a>,
    first: usize,
    input: &'a [f32],
    gradient: &'a [f32],
    result: &'b mut [f32],
    sums: &'b mut [f32],
}

impl WithSimd for Backward<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, affine, first, input, gradient, result, sums } = self;
        let (group, pixels) = (shape.group(), shape.pixels);
        let slices =
            input.chunks_exact(group).zip(gradient.chunks_exact(group)).zip(result.chunks_exact_mut(group));
        let sums = sums.chunks_exact_mut(2 * shape.group_channels());
        for (index, (((input, gradient), result), sums)) in slices.zip(sums).enumerate() {
            let (mean, inverse) = moments(simd, shape.epsilon, input);
            let first_channel = (first + index) % shape.groups * shape.group_channels();
            // First the gradient before the activation, times the factors, and its sums.
            let (mut plain, mut weighted) = (0.0, 0.0);
            for channel in 0..shape.group_channels() {
                let part = channel * pixels..(channel + 1) * pixels;
                let scale = affine.scale[first_channel + channel];
                let line = Line {
                    mean,
                    inverse,
                    scale,
                    shift: affine.shift[first_channel + channel],
                    silu: shape.silu,
                };
                let found =
                    line.before(simd, &input[part.clone()], &gradient[part.clone()], &mut result[part]);
                sums[2 * channel..2 * channel + 2].copy_from_slice(&found);
                plain += scale * found[0];
                weighted += scale * found[1];
            }
            // Then the part of it that changes neither mean nor variance.
            let count = group as f32;
            let slope = -inverse * inverse * weighted / count;
            let constant = -inverse * plain / count - slope * mean;
            let (inverse, slope, constant) =
                (simd.splat_f32s(inverse), simd.splat_f32s(slope), simd.splat_f32s(constant));
            for (input, result) in input.chunks(S::F32_LANES).zip(result.chunks_mut(S::F32_LANES)) {
                let line = simd.mul_add_e_f32s(slope, load(simd, input), constant);
                let value = simd.mul_add_e_f32s(inverse, load(simd, result), line);
                store(simd, result, value);
            }
        }
    }
}

/// A channel of a group.
struct Line {
    mean: f32,
    inverse: f32,
    scale: f32,
    shift: f32,
    silu: bool,
}

impl Line {
    /// Writes the gradient with respect to the normalised values to `result`; gives the sums of that with respect to
    /// what the activation reads, and of its product with the normalised values.
    #[inline(always)]
    fn before<S: Simd>(&self, simd: S, input: &[f32], gradient: &[f32], result: &mut [f32]) -> [f32; 2] {
        let splat = |value| simd.splat_f32s(value);
        let (inverse, offset) = (splat(self.inverse), splat(-self.mean * self.inverse));
        let (scale, shift) = (splat(self.scale), splat(self.shift));
        let lanes = S::F32_LANES;
        let (mut plain, mut weighted) = (splat(0.0), splat(0.0));
        let slices = input.chunks(lanes).zip(gradient.chunks(lanes)).zip(result.chunks_mut(lanes));
        for ((input, gradient), result) in slices {
            let normalised = simd.mul_add_e_f32s(load(simd, input), inverse, offset);
            // Zero beyond the end.
            let mut gradient = load(simd, gradient);
            if self.silu {
                let value = simd.mul_add_e_f32s(normalised, scale, shift);
                gradient = simd.mul_f32s(gradient, silu_derivative(simd, value));
            }
            plain = simd.add_f32s(plain, gradient);
            weighted = simd.mul_add_e_f32s(gradient, normalised, weighted);
            store(simd, result, simd.mul_f32s(gradient, scale));
        }
        [simd.reduce_sum_f32s(plain), simd.reduce_sum_f32s(weighted)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::simd::tests::{numbers, with_every_length};
    use super::*;
    use proptest::prelude::*;

    /// The normalisation in f64, and the gradients of the sum of its products with `gradient`.
    struct Plain {
        output: Vec<f64>,
        input: Vec<f64>,
        scale: Vec<f64>,
        shift: Vec<f64>,
        /// The largest summands of the gradient of the input.
        largest: f64,
        /// The magnitudes of the summands of the gradients of scale and shift, together.
        magnitude: f64,
    }

    fn plain(shape: &GroupNormShape, input: &[f32], affine: Affine<'_>, gradient: &[f32]) -> Plain {
        let mut result = Plain {
            output: vec![0.0; input.len()],
            input: vec![0.0; input.len()],
            scale: vec![0.0; shape.channels],
            shift: vec![0.0; shape.channels],
            largest: 0.0,
            magnitude: 0.0,
        };
        let count = shape.group() as f64;
        for group in 0..shape.batch * shape.groups {
            let range = group * shape.group()..(group + 1) * shape.group();
            let x: Vec<f64> = input[range.clone()].iter().map(|x| f64::from(*x)).collect();
            let mean = x.iter().sum::<f64>() / count;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            let inverse = (variance + f64::from(shape.epsilon)).sqrt().recip();
            let mut inner = vec![0.0; x.len()];
            let normalised: Vec<f64> = x.iter().map(|x| (x - mean) * inverse).collect();
            for i in 0..x.len() {
                let channel = group % shape.groups * shape.group_channels() + i / shape.pixels;
                let (scale, shift) = (f64::from(affine.scale[channel]), f64::from(affine.shift[channel]));
                let value = normalised[i] * scale + shift;
                let sigmoid = 1.0 / (1.0 + (-value).exp());
                let mut gradient = f64::from(gradient[range.start + i]);
                if shape.silu {
                    gradient *= sigmoid * (1.0 + value * (1.0 - sigmoid));
                }
                result.output[range.start + i] = if shape.silu { value * sigmoid } else { value };
                result.scale[channel] += gradient * normalised[i];
                result.shift[channel] += gradient;
                result.magnitude += gradient.abs() * normalised[i].abs().max(1.0);
                result.largest = result.largest.max(inverse * (gradient * scale).abs());
                inner[i] = gradient * scale;
            }
            let mean_gradient = inner.iter().sum::<f64>() / count;
            let product = inner.iter().zip(&normalised).map(|(a, b)| a * b).sum::<f64>() / count;
            for i in 0..x.len() {
                result.input[range.start + i] =
                    inverse * (inner[i] - mean_gradient - normalised[i] * product);
            }
        }
        result
    }

    #[track_caller]
    fn assert_close(name: &str, found: &[f32], expected: &[f64], magnitude: f64) {
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            let error = (f64::from(*found) - expected).abs();
            assert!(error <= 5e-6 * magnitude, "{name}[{i}]: {found} instead of {expected}, of {magnitude}");
        }
    }

    fn check_all(shape: &GroupNormShape) {
        let input: Vec<f32> = numbers(1, shape.numbers()).iter().map(|x| 2.0 * x + 0.3).collect();
        let gradient = numbers(2, shape.numbers());
        let (scale, shift) = (numbers(3, shape.channels), numbers(4, shape.channels));
        let affine = Affine { scale: &scale, shift: &shift };
        let expected = plain(shape, &input, affine, &gradient);
        with_every_length(|| {
            let mut output = vec![f32::NAN; shape.numbers()];
            group_norm(shape, &input, affine, &mut output);
            let largest = expected.output.iter().fold(1.0, |largest: f64, x| largest.max(x.abs()));
            assert_close("output", &output, &expected.output, largest);
            let (mut scale, mut shift) = (vec![f32::NAN; shape.channels], vec![f32::NAN; shape.channels]);
            let results = GroupNormGradients { input: &mut output, scale: &mut scale, shift: &mut shift };
            group_norm_gradients(shape, &input, affine, &gradient, results);
            assert_close("gradient of the input", &output, &expected.input, expected.largest);
            assert_close("gradient of the scale", &scale, &expected.scale, expected.magnitude);
            assert_close("gradient of the shift", &shift, &expected.shift, expected.magnitude);
        });
    }

    #[test]
    fn no_pictures_have_no_gradient() {
        let shape = GroupNormShape { batch: 0, channels: 4, groups: 2, pixels: 9, epsilon: 1e-5, silu: true };
        let (mut scale, mut shift) = ([1.0; 4], [1.0; 4]);
        let results = GroupNormGradients { input: &mut [], scale: &mut scale, shift: &mut shift };
        group_norm_gradients(&shape, &[], Affine { scale: &[1.0; 4], shift: &[0.0; 4] }, &[], results);
        assert_eq!((scale, shift), ([0.0; 4], [0.0; 4]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_shape_agrees_with_plain_sums(
            batch in 1..4_usize,
            groups in 1..6_usize,
            each in 1..6_usize,
            pixels in 1..80_usize,
            silu: bool,
        ) {
            // A group of one or two numbers is all rounding.
            prop_assume!(each * pixels > 4);
            check_all(&GroupNormShape { batch, channels: groups * each, groups, pixels, epsilon: 1e-5, silu });
        }
    }
}
