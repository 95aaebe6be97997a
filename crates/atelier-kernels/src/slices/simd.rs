//! Choice of the instruction set.

#[cfg(not(target_family = "wasm"))]
use pulp::Arch;
use pulp::{Simd, WithSimd};

/// The variable that holds the choice back: `scalar` or `avx2`. For tests of what other processors compute.
#[cfg(not(target_family = "wasm"))]
const MAX_CPU_ISA: &str = "ATELIER_MAX_CPU_ISA";

/// Runs `operation` with the widest vectors that this processor has.
pub fn dispatch<O: WithSimd>(operation: O) -> O::Output {
    #[cfg(test)]
    match tests::FORCED.load(core::sync::atomic::Ordering::Relaxed) {
        1 => return operation.with_simd(pulp::Scalar),
        4 => return operation.with_simd(pulp::Scalar128b),
        16 => return operation.with_simd(pulp::Scalar512b),
        _ => {}
    }
    #[cfg(target_family = "wasm")]
    return dispatch_in_browser(operation);
    #[cfg(not(target_family = "wasm"))]
    dispatch_natively(operation)
}

/// With the vectors that the module was made for: each further kind would make it larger.
#[cfg(target_family = "wasm")]
fn dispatch_in_browser<O: WithSimd>(operation: O) -> O::Output {
    #[cfg(feature = "relaxed-simd")]
    let simd = pulp::wasm::RelaxedSimd::try_new();
    #[cfg(not(feature = "relaxed-simd"))]
    let simd = pulp::wasm::Simd128::try_new();
    match simd {
        Some(simd) => Simd::vectorize(simd, operation),
        None => unreachable!("a module with vectors that runs without"),
    }
}

#[cfg(not(target_family = "wasm"))]
fn dispatch_natively<O: WithSimd>(operation: O) -> O::Output {
    match *LIMIT.get_or_init(limit) {
        Limit::Scalar => return operation.with_simd(pulp::Scalar),
        #[cfg(target_arch = "x86_64")]
        Limit::Avx2(simd) => return Simd::vectorize(simd, operation),
        Limit::None => {}
    }
    Arch::new().dispatch(operation)
}

/// What is not to be exceeded.
#[cfg(not(target_family = "wasm"))]
enum Limit {
    None,
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
}

#[cfg(not(target_family = "wasm"))]
static LIMIT: std::sync::OnceLock<Limit> = std::sync::OnceLock::new();

#[cfg(not(target_family = "wasm"))]
fn limit() -> Limit {
    match std::env::var(MAX_CPU_ISA).as_deref() {
        Ok("scalar") => Limit::Scalar,
        #[cfg(target_arch = "x86_64")]
        Ok("avx2") => pulp::x86::V3::try_new().map_or(Limit::None, Limit::Avx2),
        _ => Limit::None,
    }
}

/// Work with vectors of a known kind.
pub trait Operation<S: Simd> {
    /// What it gives.
    type Output;

    /// Does it; to be inlined.
    fn run(self, simd: S) -> Self::Output;
}

/// Runs `operation` in a function of its own, whose loop has all registers.
#[inline(always)]
pub fn apart<S: Simd, O: Operation<S>>(simd: S, operation: O) -> O::Output {
    struct Apart<S, O>(S, O);
    impl<S: Simd, O: Operation<S>> pulp::NullaryFnOnce for Apart<S, O> {
        type Output = O::Output;
        #[inline(always)]
        fn call(self) -> O::Output {
            self.1.run(self.0)
        }
    }
    struct Ignoring<O>(O);
    impl<O: pulp::NullaryFnOnce> WithSimd for Ignoring<O> {
        type Output = O::Output;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> O::Output {
            self.0.call()
        }
    }
    simd.vectorize(Ignoring(Apart(simd, operation)))
}

/// A vector of the numbers, zero beyond their end.
#[inline(always)]
pub fn load<S: Simd>(simd: S, source: &[f32]) -> S::f32s {
    if source.len() == S::F32_LANES { S::as_simd_f32s(source).0[0] } else { simd.partial_load_f32s(source) }
}

/// Writes as much of a vector as there is room for.
#[inline(always)]
pub fn store<S: Simd>(simd: S, target: &mut [f32], value: S::f32s) {
    if target.len() == S::F32_LANES {
        S::as_mut_simd_f32s(target).0[0] = value;
    } else {
        simd.partial_store_f32s(target, value);
    }
}

/// The sum of `term` over all numbers, four vectors at a time.
#[inline(always)]
fn sum_of<S: Simd>(
    simd: S,
    numbers: &[f32],
    vector: impl Fn(S::f32s) -> S::f32s,
    one: impl Fn(f32) -> f32,
) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(numbers);
    let (fours, others) = vectors.as_chunks::<4>();
    let mut sums = [simd.splat_f32s(0.0); 4];
    for four in fours {
        for (sum, value) in sums.iter_mut().zip(four) {
            *sum = simd.add_f32s(*sum, vector(*value));
        }
    }
    for value in others {
        sums[0] = simd.add_f32s(sums[0], vector(*value));
    }
    let [a, b, c, d] = sums;
    let sum = simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d)));
    rest.iter().fold(sum, |sum, value| sum + one(*value))
}

/// The sum of all numbers.
#[inline(always)]
pub fn sum<S: Simd>(simd: S, numbers: &[f32]) -> f32 {
    sum_of(simd, numbers, |value| value, |value| value)
}

/// The sum of the squares of the distances to `center`.
#[inline(always)]
fn sum_of_squares<S: Simd>(simd: S, numbers: &[f32], center: f32) -> f32 {
    let splat = simd.splat_f32s(center);
    let vector = |value| {
        let distance = simd.sub_f32s(value, splat);
        simd.mul_f32s(distance, distance)
    };
    sum_of(simd, numbers, vector, |value| (value - center) * (value - center))
}

/// Mean, and one over the standard deviation.
#[inline(always)]
pub fn moments<S: Simd>(simd: S, epsilon: f32, numbers: &[f32]) -> (f32, f32) {
    let count = numbers.len() as f32;
    let mean = sum(simd, numbers) / count;
    let variance = sum_of_squares(simd, numbers, mean) / count;
    (mean, (variance + epsilon).sqrt().recip())
}

#[cfg(test)]
pub mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering};

    /// The length of vectors that tests ask for; 0 leaves the choice to the processor.
    pub static FORCED: AtomicUsize = AtomicUsize::new(0);

    /// Numbers in [-1, 1) that look random.
    pub fn numbers(seed: u64, count: usize) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// Runs `test` with vectors of one, four and sixteen numbers and with those of the processor.
    ///
    /// Other tests may run with them meanwhile; all lengths must give right results.
    pub fn with_every_length(mut test: impl FnMut()) {
        for length in [1, 4, 16, 0] {
            FORCED.store(length, Ordering::Relaxed);
            test();
        }
    }
}
