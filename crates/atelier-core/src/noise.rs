//! Gaussian noise that is the same for a seed on every device and in the browser.

use burn::tensor::{Device, Shape, Tensor, TensorData};
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// A seeded stream of random numbers, drawn on the host.
///
/// Devices have random generators of their own, all different; a picture must not change with the device, so noise
/// is drawn here (ChaCha8, then the Box-Muller transform with `libm`, whose results do not depend on the platform's
/// mathematics library) and copied to the device.
#[derive(Debug, Clone)]
pub struct NoiseSource {
    seed: u64,
    generator: ChaCha8Rng,
}

/// Where a [`NoiseSource`] stands, for checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoisePosition {
    /// The seed that the source was made with.
    pub seed: u64,
    /// The stream within the seed.
    pub stream: u64,
    /// How many 32-bit words the stream has given.
    pub words: u64,
}

impl NoiseSource {
    /// The first stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self::with_stream(seed, 0)
    }

    /// An independent stream of the same seed: one per purpose keeps draws for one from shifting another's.
    pub fn with_stream(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Self { seed, generator }
    }

    /// Continues where [`Self::position`] was taken.
    pub fn at(position: NoisePosition) -> Self {
        let mut source = Self::with_stream(position.seed, position.stream);
        source.generator.set_word_pos(u128::from(position.words));
        source
    }

    /// Where the source stands, for [`Self::at`].
    pub fn position(&self) -> NoisePosition {
        let words = u64::try_from(self.generator.get_word_pos()).unwrap_or(u64::MAX);
        NoisePosition { seed: self.seed, stream: self.generator.get_stream(), words }
    }

    /// Uniform in `[0, 1)`.
    pub fn uniform(&mut self) -> f32 {
        self.generator.random()
    }

    /// Uniform in `0..bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.generator.random_range(0..bound as u64) as usize }
    }

    /// A permutation of `0..count` (Fisher-Yates).
    pub fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }

    /// `count` draws from the standard normal distribution (Box and Muller, 1958).
    pub fn normals(&mut self, count: usize) -> Vec<f32> {
        let mut values = Vec::with_capacity(count + 1);
        while values.len() < count {
            // In (0, 1]: the logarithm stays finite.
            let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
            let (sine, cosine) = libm::sincos(core::f64::consts::TAU * self.unit());
            values.push((radius * cosine) as f32);
            values.push((radius * sine) as f32);
        }
        values.truncate(count);
        values
    }

    /// Standard normal noise of `shape` on `device`.
    pub fn normal<const D: usize>(&mut self, shape: [usize; D], device: &Device) -> Tensor<D> {
        let values = self.normals(shape.iter().product());
        Tensor::from_data(TensorData::new(values, Shape::from(shape)), device)
    }

    /// Uniform in `[0, 1)` with the 53 bits of a double.
    fn unit(&mut self) -> f64 {
        (self.generator.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// One noise tensor `[seeds, channels, height, width]` in which row `i` depends on `seeds[i]` alone, so that a
/// picture does not change with the batch that it is painted in.
pub fn seeded_latents(seeds: &[u64], shape: [usize; 3], device: &Device) -> Tensor<4> {
    let [channels, height, width] = shape;
    let values: Vec<f32> =
        seeds.iter().flat_map(|&seed| NoiseSource::new(seed).normals(channels * height * width)).collect();
    Tensor::from_data(TensorData::new(values, [seeds.len(), channels, height, width]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_standard_normal() {
        let values = NoiseSource::new(7).normals(100_000);
        let mean = values.iter().sum::<f32>() / 1e5;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 1e5;
        // Standard errors: 1/sqrt(1e5) = 0.003 of the mean, sqrt(2/1e5) = 0.0045 of the variance; five of each.
        assert!(mean.abs() < 0.016, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.023, "variance {variance}");
    }

    #[test]
    fn noise_of_a_seed_never_changes() {
        // Written down once: a picture's link must paint the same picture in every later version.
        assert_eq!(NoiseSource::new(42).normals(3), [1.4402541, -0.4652131, -0.73568225]);
    }

    #[test]
    fn a_position_continues_the_stream() {
        let mut source = NoiseSource::with_stream(3, 9);
        source.normals(11);
        let mut resumed = NoiseSource::at(source.position());
        assert_eq!(source.normals(5), resumed.normals(5));
    }

    #[test]
    fn a_row_does_not_depend_on_its_batch() {
        let device = Device::flex();
        let pair = seeded_latents(&[5, 6], [2, 3, 3], &device);
        let single = seeded_latents(&[6], [2, 3, 3], &device);
        assert_eq!(pair.slice([1..2]).to_data(), single.to_data());
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = NoiseSource::new(1).permutation(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
