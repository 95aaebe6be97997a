//! The gate of a transformer's feed-forward part (Shazeer, "GLU Variants Improve Transformer", arXiv 2002.05202).

use super::math::{gelu, gelu_derivative};
use super::simd::{self, load, store};
use super::threads;
use pulp::{Simd, WithSimd};

/// Numbers of one task, at least.
const TASK: usize = 1 << 14;

/// `hidden gelu(gate)` of rows of `channels` hidden values and as many gates, `input` `[rows, 2 channels]`, to `output`
/// `[rows, channels]`. GELU is the exact one, with the distribution function of the normal distribution.
///
/// # Panics
///
/// If the lengths do not fit together.
pub fn geglu(channels: usize, input: &[f32], output: &mut [f32]) {
    check(channels, input.len(), output.len());
    let rows = rows_each(channels);
    let tasks = input.chunks(2 * channels * rows).zip(output.chunks_mut(channels * rows));
    let tasks = tasks.map(|(input, output)| Forward { channels, input, output });
    threads::for_each(tasks.collect(), simd::dispatch);
}

/// The gradient of [`geglu`] with respect to its input, in `result` `[rows, 2 channels]`, where `gradient` `[rows,
/// channels]` is that of the output.
///
/// # Panics
///
/// If the lengths do not fit together.
pub fn geglu_gradient(channels: usize, input: &[f32], gradient: &[f32], result: &mut [f32]) {
    check(channels, input.len(), gradient.len());
    check(channels, result.len(), gradient.len());
    let rows = rows_each(channels);
    let inputs = input.chunks(2 * channels * rows).zip(gradient.chunks(channels * rows));
    let tasks = inputs.zip(result.chunks_mut(2 * channels * rows));
    let tasks = tasks.map(|((input, gradient), result)| Backward { channels, input, gradient, result });
    threads::for_each(tasks.collect(), simd::dispatch);
}

fn check(channels: usize, wide: usize, narrow: usize) {
    assert!(
        channels > 0 && wide == 2 * narrow && narrow.is_multiple_of(channels),
        "{wide} numbers are not twice {narrow}, in rows of {channels}"
    );
}

fn rows_each(channels: usize) -> usize {
    TASK.div_ceil(channels)
}

struct Forward<'a, 'b> {
    channels: usize,
    input: &'a [f32],
    output: &'b mut [f32],
}

impl WithSimd for Forward<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = S::F32_LANES;
        let rows =
            self.input.chunks_exact(2 * self.channels).zip(self.output.chunks_exact_mut(self.channels));
        for (input, output) in rows {
            let (hidden, gate) = input.split_at(self.channels);
            let vectors = hidden.chunks(lanes).zip(gate.chunks(lanes)).zip(output.chunks_mut(lanes));
            for ((hidden, gate), output) in vectors {
                let gate = gelu(simd, load(simd, gate));
                store(simd, output, simd.mul_f32s(load(simd, hidden), gate));
            }
        }
    }
}

struct Backward<'a, 'b> {
    channels: usize,
    input: &'a [f32],
    gradient: &'a [f32],
    result: &'b mut [f32],
}

impl WithSimd for Backward<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (lanes, channels) = (S::F32_LANES, self.channels);
        let inputs = self.input.chunks_exact(2 * channels).zip(self.gradient.chunks_exact(channels));
        for ((input, gradient), result) in inputs.zip(self.result.chunks_exact_mut(2 * channels)) {
            let (hidden, gate) = input.split_at(channels);
            let (of_hidden, of_gate) = result.split_at_mut(channels);
            let inputs = hidden.chunks(lanes).zip(gate.chunks(lanes)).zip(gradient.chunks(lanes));
            let results = of_hidden.chunks_mut(lanes).zip(of_gate.chunks_mut(lanes));
            for (((hidden, gate), gradient), (of_hidden, of_gate)) in inputs.zip(results) {
                let (gate, gradient) = (load(simd, gate), load(simd, gradient));
                store(simd, of_hidden, simd.mul_f32s(gradient, gelu(simd, gate)));
                let slope = simd.mul_f32s(load(simd, hidden), gelu_derivative(simd, gate));
                store(simd, of_gate, simd.mul_f32s(gradient, slope));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simd::tests::{numbers, with_every_length};
    use super::*;

    #[test]
    fn gates_and_their_gradients_agree_with_plain_formulas() {
        let density = |x: f64| (-x * x / 2.0).exp() / core::f64::consts::TAU.sqrt();
        let phi = |x: f64| (1.0 + libm::erf(x / 2f64.sqrt())) / 2.0;
        for (rows, channels) in [(1, 1), (3, 7), (5, 40), (700, 33)] {
            let input: Vec<f32> = numbers(1, 2 * rows * channels).iter().map(|x| 4.0 * x).collect();
            let gradient = numbers(2, rows * channels);
            with_every_length(|| {
                let mut output = vec![f32::NAN; rows * channels];
                geglu(channels, &input, &mut output);
                let mut result = vec![f32::NAN; input.len()];
                geglu_gradient(channels, &input, &gradient, &mut result);
                for (i, (output, gradient)) in output.iter().zip(&gradient).enumerate() {
                    let place = i / channels * 2 * channels + i % channels;
                    let hidden = f64::from(input[place]);
                    let gate = f64::from(input[place + channels]);
                    let gradient = f64::from(*gradient);
                    let close = |found: f32, expected: f64| (f64::from(found) - expected).abs() < 1e-5;
                    assert!(close(*output, hidden * gate * phi(gate)));
                    assert!(close(result[place], gradient * gate * phi(gate)));
                    let slope = phi(gate) + gate * density(gate);
                    assert!(close(result[place + channels], gradient * hidden * slope));
                }
            });
        }
    }
}
