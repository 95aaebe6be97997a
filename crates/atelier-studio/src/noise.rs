//! Seeded randomness: independent streams for independent choices, and smooth noise over the plane.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for. Every purpose has its own stream, so that one knob that needs more or
/// fewer numbers does not change anything else in the picture.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(crate) enum Purpose {
    Specification,
    Knobs,
    Layout,
    Silhouette,
    Scatter,
    Underpainting,
    Blocking,
    Drawing,
    Hatching,
    Distance,
    Specks,
}

/// The stream of random numbers for one purpose of one seed.
pub(crate) fn stream(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(purpose as u64);
    rng
}

/// A uniform number in `[low, high)`.
pub(crate) fn uniform(rng: &mut ChaCha8Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.random::<f32>()
}

/// Minus one or one, with equal probability.
pub(crate) fn sign(rng: &mut ChaCha8Rng) -> f32 {
    if rng.random::<bool>() { 1.0 } else { -1.0 }
}

/// A number in `[0, 1)` that belongs to a lattice point.
pub(crate) fn lattice(x: i32, y: i32, seed: u32) -> f32 {
    let mut hash = (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca6b) ^ seed;
    hash = (hash ^ (hash >> 15)).wrapping_mul(0x2c1b_3c6d);
    hash = (hash ^ (hash >> 12)).wrapping_mul(0x297a_2d39);
    hash ^= hash >> 15;
    (hash >> 8) as f32 / 16_777_216.0
}

/// Smooth noise in `[-1, 1]` with one lattice point per unit.
pub(crate) fn smooth_noise(x: f32, y: f32, seed: u32) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let (fx, fy) = (ease(x - left), ease(y - top));
    let (ix, iy) = (left as i32, top as i32);
    let upper = lattice(ix, iy, seed) * (1.0 - fx) + lattice(ix + 1, iy, seed) * fx;
    let lower = lattice(ix, iy + 1, seed) * (1.0 - fx) + lattice(ix + 1, iy + 1, seed) * fx;
    2.0 * (upper * (1.0 - fy) + lower * fy) - 1.0
}

/// The smooth step `3t² - 2t³` of a number clamped to `[0, 1]`.
pub(crate) fn ease(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
