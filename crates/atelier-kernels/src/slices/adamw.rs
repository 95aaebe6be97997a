//! Steps of an optimiser, in one pass over the parameters.

use super::simd::{self, load, store};
use super::threads;
use pulp::{Simd, WithSimd};

/// Numbers of one task.
const TASK: usize = 1 << 15;

/// The numbers of one step of AdamW (Loshchilov and Hutter, arXiv 1711.05101).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Learning rate.
    pub rate: f64,
    /// Which step it is, counted from 1.
    pub step: i32,
}

/// One step: `gradient`, times `factor`, changes the moments, and these the parameters.
///
/// # Panics
///
/// If the slices have different lengths.
pub fn adamw(
    step: &AdamWStep,
    factor: f32,
    gradient: &[f32],
    parameter: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
) {
    let count = gradient.len();
    assert_eq!([parameter.len(), first.len(), second.len()], [count; 3], "moments of another parameter");
    let slices = gradient.chunks(TASK).zip(parameter.chunks_mut(TASK));
    let slices = slices.zip(first.chunks_mut(TASK).zip(second.chunks_mut(TASK)));
    let tasks = slices.map(|((gradient, parameter), (first, second))| Part {
        step,
        factor,
        gradient,
        parameter,
        first,
        second,
    });
    threads::for_each(tasks.collect(), simd::dispatch);
}

struct Part<'a, 'b> {
    step: &'a AdamWStep,
    factor: f32,
    gradient: &'a [f32],
    parameter: &'b mut [f32],
    first: &'b mut [f32],
    second: &'b mut [f32],
}

impl WithSimd for Part<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let AdamWStep { beta1, beta2, epsilon, weight_decay, rate, step } = *self.step;
        let splat = |value: f64| simd.splat_f32s(value as f32);
        let (keep1, add1) = (splat(beta1), splat(1.0 - beta1));
        let (keep2, add2) = (splat(beta2), splat(1.0 - beta2));
        let root = splat(1.0 / (1.0 - beta2.powi(step)).sqrt());
        let (epsilon, kept) = (splat(epsilon), splat(1.0 - rate * weight_decay));
        let against = splat(-rate / (1.0 - beta1.powi(step)));
        let factor = simd.splat_f32s(self.factor);
        let lanes = S::F32_LANES;
        let slices = self.gradient.chunks(lanes).zip(self.parameter.chunks_mut(lanes));
        let moments = self.first.chunks_mut(lanes).zip(self.second.chunks_mut(lanes));
        for ((gradient, parameter), (first, second)) in slices.zip(moments) {
            let gradient = simd.mul_f32s(load(simd, gradient), factor);
            let mean = simd.mul_add_e_f32s(load(simd, first), keep1, simd.mul_f32s(gradient, add1));
            let square = simd.mul_f32s(simd.mul_f32s(gradient, gradient), add2);
            let square = simd.mul_add_e_f32s(load(simd, second), keep2, square);
            let scale = simd.mul_add_e_f32s(simd.sqrt_f32s(square), root, epsilon);
            let moved = simd.mul_f32s(simd.div_f32s(mean, scale), against);
            store(simd, parameter, simd.mul_add_e_f32s(load(simd, parameter), kept, moved));
            store(simd, first, mean);
            store(simd, second, square);
        }
    }
}

/// Moves `average` towards `value` by `share` of the distance.
///
/// # Panics
///
/// If the slices have different lengths.
pub fn approach(average: &mut [f32], value: &[f32], share: f32) {
    assert_eq!(average.len(), value.len(), "an average of another parameter");
    let tasks = average.chunks_mut(TASK).zip(value.chunks(TASK));
    let tasks = tasks.map(|(average, value)| Approach { average, value, share });
    threads::for_each(tasks.collect(), simd::dispatch);
}

struct Approach<'a> {
    average: &'a mut [f32],
    value: &'a [f32],
    share: f32,
}

impl WithSimd for Approach<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (lanes, share) = (S::F32_LANES, simd.splat_f32s(self.share));
        for (average, value) in self.average.chunks_mut(lanes).zip(self.value.chunks(lanes)) {
            let old = load(simd, average);
            let distance = simd.sub_f32s(load(simd, value), old);
            store(simd, average, simd.mul_add_e_f32s(distance, share, old));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simd::tests::{numbers, with_every_length};
    use super::*;

    #[test]
    fn steps_agree_with_the_formulas() {
        let step =
            AdamWStep { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weight_decay: 0.1, rate: 0.01, step: 3 };
        let count = TASK + 13;
        let gradient = numbers(1, count);
        let (parameters, firsts) = (numbers(2, count), numbers(3, count));
        let seconds: Vec<f32> = numbers(4, count).iter().map(|x| x.abs() + 0.01).collect();
        with_every_length(|| {
            let (mut parameter, mut first, mut second) =
                (parameters.clone(), firsts.clone(), seconds.clone());
            adamw(&step, 0.5, &gradient, &mut parameter, &mut first, &mut second);
            for i in 0..count {
                let g = 0.5 * f64::from(gradient[i]);
                let m = 0.9 * f64::from(firsts[i]) + 0.1 * g;
                let v = 0.99 * f64::from(seconds[i]) + 0.01 * g * g;
                let scale = (v / (1.0 - 0.99f64.powi(3))).sqrt() + 1e-8;
                let p = f64::from(parameters[i]) * (1.0 - 0.001) - 0.01 * m / (1.0 - 0.9f64.powi(3)) / scale;
                for (found, expected) in [(first[i], m), (second[i], v), (parameter[i], p)] {
                    assert!((f64::from(found) - expected).abs() < 1e-6, "{found} instead of {expected}");
                }
            }
        });
    }

    #[test]
    fn averages_move_by_a_share() {
        let mut average = [1.0; 19];
        approach(&mut average, &[3.0; 19], 0.25);
        assert_eq!(average, [1.5; 19]);
    }
}
