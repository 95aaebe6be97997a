//! Functions of vectors.

use pulp::Simd;

/// `exp(x)`, within 3 units in the last place for -87 <= x <= 88; beyond, the value at the bound. NaN is not kept.
///
/// `exp(x) = 2^n exp(r)` with `|r| <= ln(2) / 2` and a polynomial for `exp(r)` (Cody and Waite; coefficients of Cephes).
#[inline(always)]
pub fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value| simd.splat_f32s(value);
    let x = simd.max_f32s(simd.min_f32s(x, splat(88.0)), splat(-87.0));
    // Adding 1.5 * 2^23 rounds to a whole number, which is then in the low bits.
    let rounder = splat(12_582_912.0);
    let rounded = simd.mul_add_e_f32s(x, splat(core::f32::consts::LOG2_E), rounder);
    let n = simd.sub_f32s(rounded, rounder);
    // ln(2) in two parts, of which the first has few bits.
    let r = simd.mul_add_e_f32s(n, splat(-0.693_359_4), x);
    let r = simd.mul_add_e_f32s(n, splat(2.121_944_4e-4), r);
    let mut p = splat(1.987_569_1e-4);
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5] {
        p = simd.mul_add_e_f32s(p, r, splat(c));
    }
    let p = simd.add_f32s(simd.mul_add_e_f32s(p, simd.mul_f32s(r, r), r), splat(1.0));
    let biased = simd.add_u32s(simd.transmute_u32s_f32s(rounded), simd.splat_u32s(127));
    let power = simd.wrapping_dyn_shl_u32s(biased, simd.splat_u32s(23));
    simd.mul_f32s(p, simd.transmute_f32s_u32s(power))
}

/// `1 / (1 + exp(-x))`, within 1e-6 relative for x > -87.
#[inline(always)]
pub fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    simd.div_f32s(one, simd.add_f32s(one, exp(simd, simd.sub_f32s(simd.splat_f32s(0.0), x))))
}

/// `x sigmoid(x)`.
#[inline(always)]
pub fn silu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    simd.mul_f32s(x, sigmoid(simd, x))
}

/// The derivative of [`silu`].
#[inline(always)]
pub fn silu_derivative<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let (s, one) = (sigmoid(simd, x), simd.splat_f32s(1.0));
    simd.mul_f32s(s, simd.mul_add_e_f32s(x, simd.sub_f32s(one, s), one))
}

/// The error function, within 5e-7: the rational approximation of Eigen and XLA.
#[inline(always)]
pub fn erf<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value| simd.splat_f32s(value);
    let x = simd.max_f32s(simd.min_f32s(x, splat(4.0)), splat(-4.0));
    let square = simd.mul_f32s(x, x);
    let mut p = splat(-2.726_142_3e-10);
    for c in [2.770_681_4e-8, -2.101_024e-6, -5.692_506_4e-5, -7.349_906_3e-4, -2.954_6e-3, -1.609_603_3e-2] {
        p = simd.mul_add_e_f32s(p, square, splat(c));
    }
    let mut q = splat(-1.456_607_2e-5);
    for c in [-2.133_740_6e-4, -1.682_827e-3, -7.373_329_2e-3, -1.426_473_9e-2] {
        q = simd.mul_add_e_f32s(q, square, splat(c));
    }
    simd.div_f32s(simd.mul_f32s(x, p), q)
}

/// The distribution function of the normal distribution.
#[inline(always)]
pub fn normal_distribution<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let half = simd.splat_f32s(0.5);
    let erf = erf(simd, simd.mul_f32s(x, simd.splat_f32s(core::f32::consts::FRAC_1_SQRT_2)));
    simd.mul_add_e_f32s(half, erf, half)
}

/// `x Φ(x)`, the Gaussian error linear unit (Hendrycks and Gimpel, arXiv 1606.08415).
#[inline(always)]
pub fn gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    simd.mul_f32s(x, normal_distribution(simd, x))
}

/// The derivative of [`gelu`].
#[inline(always)]
pub fn gelu_derivative<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let exponent = simd.mul_f32s(simd.mul_f32s(x, x), simd.splat_f32s(-0.5));
    let density = simd.mul_f32s(exp(simd, exponent), simd.splat_f32s(0.398_942_3));
    simd.mul_add_e_f32s(x, density, normal_distribution(simd, x))
}

#[cfg(test)]
mod tests {
    use super::super::simd::{dispatch, tests::with_every_length};
    use super::*;
    use pulp::WithSimd;

    struct Apply<'a>(usize, &'a mut [f32]);

    impl WithSimd for Apply<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            for x in self.1.chunks_mut(S::F32_LANES) {
                let value = simd.partial_load_f32s(x);
                let result = match self.0 {
                    0 => exp(simd, value),
                    1 => sigmoid(simd, value),
                    2 => silu_derivative(simd, value),
                    3 => erf(simd, value),
                    _ => gelu_derivative(simd, value),
                };
                simd.partial_store_f32s(x, result);
            }
        }
    }

    fn apply(function: usize, x: &[f32]) -> Vec<f32> {
        let mut values = x.to_vec();
        dispatch(Apply(function, &mut values));
        values
    }

    #[track_caller]
    fn check(
        function: usize,
        from: f32,
        to: f32,
        expected: impl Fn(f64) -> f64,
        allowed: impl Fn(f64) -> f64,
    ) {
        let x: Vec<f32> = (0..=20_000).map(|i| from + (to - from) * i as f32 / 20_000.0).collect();
        with_every_length(|| {
            for (x, found) in x.iter().zip(apply(function, &x)) {
                let expected = expected(f64::from(*x));
                let error = (f64::from(found) - expected).abs();
                assert!(error <= allowed(expected), "f({x}) = {found} instead of {expected}");
            }
        });
    }

    #[test]
    fn functions_are_as_exact_as_they_say() {
        check(0, -87.0, 88.0, f64::exp, |y| 3.0 * f64::from(f32::EPSILON) * y);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        check(1, -80.0, 80.0, sigmoid, |y| 1e-6 * y);
        check(2, -80.0, 80.0, |x| sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))), |_| 1e-6);
        check(3, -6.0, 6.0, libm::erf, |_| 5e-7);
        let density = |x: f64| (-x * x / 2.0).exp() / core::f64::consts::TAU.sqrt();
        let phi = |x: f64| (1.0 + libm::erf(x / 2f64.sqrt())) / 2.0;
        check(4, -10.0, 10.0, |x| phi(x) + x * density(x), |_| 1e-6);
    }

    #[test]
    fn the_exponential_stays_finite() {
        for x in [-1e30, -100.0, 100.0, 1e30, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(apply(0, &[x])[0].is_finite());
        }
    }
}
