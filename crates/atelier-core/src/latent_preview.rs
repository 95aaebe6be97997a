//! What latents will look like, without the autoencoder.

use crate::{
    noise::NoiseSource,
    picture::{self, ReadBackError},
    pipeline::Pipeline,
};
use burn::tensor::{Device, ExecutionError, Tensor, TensorData};
use image::RgbImage;

/// Latent pixels a side of the noise that the projection is fitted on, and of its patches of one colour.
const SIDE: usize = 32;
const PATCH: usize = 4;

/// A linear projection of latents to colours, which shows a picture at the size of its latents at hardly any cost: for
/// previews after every step of sampling. Other programs ship such factors for each model; these are fitted to the
/// autoencoder at hand.
#[derive(Debug, Clone)]
pub struct LatentPreview {
    /// `[channels, 3]`.
    factors: Tensor<2>,
    /// `[1, 3]`.
    bias: Tensor<2>,
}

impl LatentPreview {
    /// Fits the projection by least squares to what `pipeline`'s autoencoder makes of patches of random latents.
    ///
    /// # Errors
    /// The device's.
    pub async fn fit(pipeline: &Pipeline, device: &Device) -> Result<Self, ExecutionError> {
        let factor = pipeline.vae_config.downsampling_factor();
        let channels = pipeline.vae_config.latent_channels();
        let coarse = SIDE / PATCH;
        let latents = NoiseSource::new(0)
            .normal([1, channels, coarse, coarse], device)
            .reshape([1, channels, coarse, 1, coarse, 1])
            .expand([1, channels, coarse, PATCH, coarse, PATCH])
            .reshape([1, channels, SIDE, SIDE]);
        let pixels = pipeline.decode_latents(latents.clone());
        // The mean colour of the pixels of each latent pixel.
        let colours = pixels
            .reshape([1, 3, SIDE, factor, SIDE, factor])
            .mean_dim(5)
            .mean_dim(3)
            .reshape([3, SIDE * SIDE]);
        let latents: Vec<f32> = latents.into_data_async().await?.iter::<f32>().collect();
        let colours: Vec<f32> = colours.into_data_async().await?.iter::<f32>().collect();
        let solutions: Vec<Vec<f64>> =
            colours.chunks(SIDE * SIDE).map(|colour| least_squares(&latents, channels, colour)).collect();
        let row = |feature: usize| solutions.iter().map(move |solution| solution[feature] as f32);
        let factors: Vec<f32> = (0..channels).flat_map(row).collect();
        Ok(Self {
            factors: Tensor::from_data(TensorData::new(factors, [channels, 3]), device),
            bias: Tensor::from_data(TensorData::new(row(channels).collect(), [1, 3]), device),
        })
    }

    /// A picture of each of `latents`, `[batch, channels, height, width]`, at `width` by `height` pixels.
    ///
    /// # Errors
    /// As [`picture::from_tensor`].
    pub async fn project(&self, latents: &Tensor<4>) -> Result<Vec<RgbImage>, ReadBackError> {
        let [batch, channels, height, width] = latents.dims();
        let rows = latents.clone().permute([0, 2, 3, 1]).reshape([batch * height * width, channels]);
        let colours = rows.matmul(self.factors.clone()) + self.bias.clone();
        picture::from_tensor(colours.reshape([batch, height, width, 3]).permute([0, 3, 1, 2])).await
    }
}

/// The weights of `features` (`channels` planes of values) and, last, the constant that come nearest to `target`.
fn least_squares(features: &[f32], channels: usize, target: &[f32]) -> Vec<f64> {
    let count = target.len();
    let value = |feature: usize, index: usize| {
        if feature == channels { 1.0 } else { f64::from(features[feature * count + index]) }
    };
    // The normal equations, with the target as last column, by Gauss-Jordan elimination. They are well conditioned: the
    // features are independent noise.
    let size = channels + 1;
    let mut rows: Vec<Vec<f64>> = (0..size)
        .map(|a| {
            let products =
                (0..size).map(|b| (0..count).map(|index| value(a, index) * value(b, index)).sum::<f64>());
            let targets = (0..count).map(|index| value(a, index) * f64::from(target[index])).sum();
            products.chain([targets]).collect()
        })
        .collect();
    for pivot in 0..size {
        let divisor = rows[pivot][pivot];
        rows[pivot].iter_mut().for_each(|value| *value /= divisor);
        let pivot_row = rows[pivot].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(index, _)| *index != pivot) {
            let factor = row[pivot];
            row.iter_mut().zip(&pivot_row).for_each(|(value, above)| *value -= factor * above);
        }
    }
    rows.iter().map(|row| row[size]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_squares_finds_a_plane() {
        let features = [0.0, 1.0, 2.0, 3.0, 1.0, -1.0, 0.5, 0.0_f32];
        let target: Vec<f32> = (0..4).map(|i| 2.0 * features[i] - 3.0 * features[4 + i] + 0.5).collect();
        let found = least_squares(&features, 2, &target);
        for (found, expected) in found.iter().zip([2.0, -3.0, 0.5]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
