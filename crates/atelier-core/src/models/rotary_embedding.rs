//! Positions as rotations (`diffusers.models.embeddings.get_1d_rotary_pos_embed`; Su et al., arXiv 2104.09864).

use burn::tensor::{Device, Tensor, TensorData};

/// How the channels of an attention head are turned at every place of a sequence.
#[derive(Debug, Clone)]
pub struct RotaryEmbedding {
    /// `[1, 1, length, channels / 2, 1]`.
    cos: Tensor<5>,
    sin: Tensor<5>,
}

impl RotaryEmbedding {
    /// For places with one position per axis; `axes` says how many channels turn with each, all even.
    pub fn new(positions: &[[usize; 3]], axes: [usize; 3], device: &Device) -> Self {
        const THETA: f64 = 10_000.0;
        let frequencies = axes.map(|channels| {
            let frequency = |pair: usize| libm::pow(THETA, -((2 * pair) as f64) / channels as f64);
            (0..channels / 2).map(frequency).collect::<Vec<f64>>()
        });
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for place in positions {
            for (&position, frequencies) in place.iter().zip(&frequencies) {
                for frequency in frequencies {
                    let (sine, cosine) = libm::sincos(position as f64 * frequency);
                    sin.push(sine as f32);
                    cos.push(cosine as f32);
                }
            }
        }
        let shape = [1, 1, positions.len(), axes.iter().sum::<usize>() / 2, 1];
        let tensor = |values: Vec<f32>| Tensor::from_data(TensorData::new(values, shape), device);
        Self { cos: tensor(cos), sin: tensor(sin) }
    }

    /// Turns neighbouring channels of `x`, `[batch, heads, length, channels]`, as pairs (`apply_rotary_emb`).
    pub fn rotate(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, heads, length, channels] = x.dims();
        let pairs: Tensor<5> = x.reshape([batch, heads, length, channels / 2, 2]);
        let (first, second) = (pairs.clone().narrow(4, 0, 1), pairs.narrow(4, 1, 1));
        let turned = vec![
            first.clone() * self.cos.clone() - second.clone() * self.sin.clone(),
            second * self.cos.clone() + first * self.sin.clone(),
        ];
        Tensor::cat(turned, 4).reshape([batch, heads, length, channels])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::noise::NoiseSource;

    proptest! {
        /// What attention sees of two places depends on how far they are apart, not on where they are.
        #[test]
        fn products_depend_on_distances(
            place in prop::array::uniform3(0_usize..40), far in prop::array::uniform3(0_usize..40), seed: u64,
        ) {
            let (device, axes) = (Device::flex(), [2, 4, 6]);
            let mut noise = NoiseSource::new(seed);
            let [query, key] = [(); 2].map(|()| noise.normal([1, 1, 1, 12], &device));
            let product = |from: [usize; 3]| {
                let to = core::array::from_fn(|axis| from[axis] + far[axis]);
                let turned = |x: &Tensor<4>, place| RotaryEmbedding::new(&[place], axes, &device).rotate(x.clone());
                (turned(&query, from) * turned(&key, to)).sum().into_scalar::<f32>()
            };
            // Sums of a dozen products of f32 values, whose angles are exact to some 1e-7.
            prop_assert!((product([0; 3]) - product(place)).abs() < 1e-4);
        }
    }

    #[test]
    fn the_first_place_is_left_alone() {
        let x = NoiseSource::new(3).normal([1, 2, 1, 8], &Device::flex());
        let rotary = RotaryEmbedding::new(&[[0; 3]], [2, 2, 4], &Device::flex());
        assert_eq!(rotary.rotate(x.clone()).into_data(), x.into_data());
    }
}
