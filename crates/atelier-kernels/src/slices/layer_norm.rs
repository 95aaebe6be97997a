//! Layer normalisation (Ba, Kiros and Hinton, arXiv 1607.06450) and its gradients, one pass over memory each.

use super::scratch::Scratch;
use super::simd::{self, load, moments, store};
use super::threads;
use pulp::{Simd, WithSimd};

/// Numbers of one task, at least.
const TASK: usize = 1 << 14;
/// Sums that are made apart from each other and added at the end: the same whatever the number of threads.
const PARTS: usize = 16;

/// What rows are multiplied by and what is added, as long as a row each.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm<'a> {
    /// Factors.
    pub scale: &'a [f32],
    /// Summands.
    pub shift: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
}

impl LayerNorm<'_> {
    fn channels(&self) -> usize {
        self.scale.len()
    }

    /// Numbers of whole rows for one task.
    fn task(&self, numbers: usize) -> usize {
        let rows = numbers / self.channels();
        self.channels() * TASK.div_ceil(self.channels()).max(rows.div_ceil(PARTS))
    }

    fn check(&self, lengths: &[usize]) {
        assert!(
            self.channels() > 0
                && self.shift.len() == self.channels()
                && lengths
                    .iter()
                    .all(|length| length.is_multiple_of(self.channels()) && *length == lengths[0]),
            "a slice of a layer norm has another length than its rows say"
        );
    }
}

/// Normalises every row of `input` to mean 0 and variance 1, multiplies and adds.
///
/// # Panics
///
/// If the lengths do not fit together.
pub fn layer_norm(norm: LayerNorm<'_>, input: &[f32], output: &mut [f32]) {
    norm.check(&[input.len(), output.len()]);
    let size = norm.task(input.len());
    let tasks = input.chunks(size).zip(output.chunks_mut(size));
    let tasks = tasks.map(|(input, output)| Forward { norm, input, output });
    threads::for_each(tasks.collect(), simd::dispatch);
}

struct Forward<'a, 'b> {
    norm: LayerNorm<'a>,
    input: &'a [f32],
    output: &'b mut [f32],
}

impl WithSimd for Forward<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { norm: LayerNorm { scale, shift, epsilon }, input, output } = self;
        let (lanes, channels) = (S::F32_LANES, scale.len());
        for (input, output) in input.chunks_exact(channels).zip(output.chunks_exact_mut(channels)) {
            let (mean, inverse) = moments(simd, epsilon, input);
            let (inverse, offset) = (simd.splat_f32s(inverse), simd.splat_f32s(-mean * inverse));
            let affine = scale.chunks(lanes).zip(shift.chunks(lanes));
            for ((input, output), (scale, shift)) in
                input.chunks(lanes).zip(output.chunks_mut(lanes)).zip(affine)
            {
                let normalised = simd.mul_add_e_f32s(load(simd, input), inverse, offset);
                store(simd, output, simd.mul_add_e_f32s(normalised, load(simd, scale), load(simd, shift)));
            }
        }
    }
}

/// Where the gradients of [`layer_norm`] go.
#[derive(Debug)]
pub struct LayerNormGradients<'a> {
    /// Of the input.
    pub input: &'a mut [f32],
    /// Of the factors.
    pub scale: &'a mut [f32],
    /// Of the summands.
    pub shift: &'a mut [f32],
}

/// The gradients of [`layer_norm`], where `gradient` is that of the output.
///
/// # Panics
///
/// If the lengths do not fit together.
pub fn layer_norm_gradients(
    norm: LayerNorm<'_>,
    input: &[f32],
    gradient: &[f32],
    results: LayerNormGradients<'_>,
) {
    let LayerNormGradients { input: of_input, scale: of_scale, shift: of_shift } = results;
    norm.check(&[input.len(), gradient.len(), of_input.len()]);
    let channels = norm.channels();
    assert_eq!([of_scale.len(), of_shift.len()], [channels; 2], "gradients of another layer norm");
    of_scale.fill(0.0);
    of_shift.fill(0.0);
    let size = norm.task(input.len()).max(1);
    let mut sums = Scratch::new(2 * channels * input.len().div_ceil(size));
    sums.fill(0.0);
    let tasks = input.chunks(size).zip(gradient.chunks(size)).zip(of_input.chunks_mut(size));
    let tasks = tasks.zip(sums.chunks_exact_mut(2 * channels));
    let tasks =
        tasks.map(|(((input, gradient), result), sums)| Backward { norm, input, gradient, result, sums });
    threads::for_each(tasks.collect(), simd::dispatch);
    for sums in sums.chunks_exact(2 * channels) {
        let (scale, shift) = sums.split_at(channels);
        for (sum, part) in of_scale.iter_mut().zip(scale).chain(of_shift.iter_mut().zip(shift)) {
            *sum += part;
        }
    }
}

struct Backward<'a, 'b> {
    norm: LayerNorm<'a>,
    input: &'a [f32],
    gradient: &'a [f32],
    result: &'b mut [f32],
    /// Of the factors, then of the summands.
    sums: &'b mut [f32],
}

impl WithSimd for Backward<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { norm: LayerNorm { scale, epsilon, .. }, input, gradient, result, sums } = self;
        let (lanes, channels) = (S::F32_LANES, scale.len());
        let (of_scale, of_shift) = sums.split_at_mut(channels);
        let rows = input.chunks_exact(channels).zip(gradient.chunks_exact(channels));
        for ((input, gradient), result) in rows.zip(result.chunks_exact_mut(channels)) {
            let (mean, inverse) = moments(simd, epsilon, input);
            let (factor, offset) = (simd.splat_f32s(inverse), simd.splat_f32s(-mean * inverse));
            let (mut plain, mut weighted) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
            let vectors = input.chunks(lanes).zip(gradient.chunks(lanes)).zip(result.chunks_mut(lanes));
            let sums = of_scale.chunks_mut(lanes).zip(of_shift.chunks_mut(lanes));
            for ((((input, gradient), result), scale), (of_scale, of_shift)) in
                vectors.zip(scale.chunks(lanes)).zip(sums)
            {
                let normalised = simd.mul_add_e_f32s(load(simd, input), factor, offset);
                // Zero beyond the end.
                let gradient = load(simd, gradient);
                let product = simd.mul_f32s(gradient, load(simd, scale));
                plain = simd.add_f32s(plain, product);
                weighted = simd.mul_add_e_f32s(product, normalised, weighted);
                store(simd, result, product);
                let sum = simd.mul_add_e_f32s(gradient, normalised, load(simd, of_scale));
                store(simd, of_scale, sum);
                let sum = simd.add_f32s(gradient, load(simd, of_shift));
                store(simd, of_shift, sum);
            }
            // The part that changes neither mean nor variance.
            let count = channels as f32;
            let slope = -inverse * inverse * simd.reduce_sum_f32s(weighted) / count;
            let constant = -inverse * simd.reduce_sum_f32s(plain) / count - slope * mean;
            let (slope, constant) = (simd.splat_f32s(slope), simd.splat_f32s(constant));
            for (input, result) in input.chunks(lanes).zip(result.chunks_mut(lanes)) {
                let line = simd.mul_add_e_f32s(slope, load(simd, input), constant);
                let value = simd.mul_add_e_f32s(factor, load(simd, result), line);
                store(simd, result, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simd::tests::{numbers, with_every_length};
    use super::*;

    #[track_caller]
    fn assert_close(found: f32, expected: f64, magnitude: f64) {
        let error = (f64::from(found) - expected).abs();
        assert!(error <= 5e-6 * magnitude, "{found} instead of {expected}, of {magnitude}");
    }

    #[test]
    fn rows_agree_with_plain_sums() {
        for (rows, channels) in [(1, 5), (3, 16), (37, 33), (700, 128)] {
            let input: Vec<f32> = numbers(1, rows * channels).iter().map(|x| 2.0 * x + 0.3).collect();
            let (scale, shift) = (numbers(2, channels), numbers(3, channels));
            let gradient = numbers(4, rows * channels);
            let norm = LayerNorm { scale: &scale, shift: &shift, epsilon: 1e-5 };
            with_every_length(|| {
                let mut output = vec![f32::NAN; rows * channels];
                layer_norm(norm, &input, &mut output);
                let mut of_input = vec![f32::NAN; rows * channels];
                let (mut of_scale, mut of_shift) = (vec![f32::NAN; channels], vec![f32::NAN; channels]);
                let results =
                    LayerNormGradients { input: &mut of_input, scale: &mut of_scale, shift: &mut of_shift };
                layer_norm_gradients(norm, &input, &gradient, results);
                let mut sums = vec![(0.0, 0.0); channels];
                for row in 0..rows {
                    let at = |values: &[f32], c: usize| f64::from(values[row * channels + c]);
                    let mean = |value: &dyn Fn(usize) -> f64| {
                        (0..channels).map(value).sum::<f64>() / channels as f64
                    };
                    let center = mean(&|c| at(&input, c));
                    let variance = mean(&|c| (at(&input, c) - center).powi(2));
                    let inverse = (variance + 1e-5).sqrt().recip();
                    let normalised = |c: usize| (at(&input, c) - center) * inverse;
                    let inner = |c: usize| at(&gradient, c) * f64::from(scale[c]);
                    let plain = mean(&inner);
                    let weighted = mean(&|c| inner(c) * normalised(c));
                    for c in 0..channels {
                        let expected = normalised(c) * f64::from(scale[c]) + f64::from(shift[c]);
                        assert_close(output[row * channels + c], expected, 3.0);
                        let expected = inverse * (inner(c) - plain - normalised(c) * weighted);
                        assert_close(of_input[row * channels + c], expected, 3.0 * inverse);
                        sums[c].0 += at(&gradient, c) * normalised(c);
                        sums[c].1 += at(&gradient, c);
                    }
                }
                for c in 0..channels {
                    assert_close(of_scale[c], sums[c].0, rows as f64);
                    assert_close(of_shift[c], sums[c].1, rows as f64);
                }
            });
        }
    }
}
