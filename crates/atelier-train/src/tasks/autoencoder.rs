//! The autoencoder of pretraining: pictures to latents and back.

use crate::{
    error::TrainError,
    forward_passes::ForwardPasses,
    picture,
    pictures::PictureCache,
    trainer::{NothingFrozen, Task, device_of},
};
use atelier_core::{models::autoencoder_tiny::AutoencoderTiny, noise::NoiseSource, objectives::Objective};
use burn::tensor::{Device, Tensor};
use image::RgbImage;

/// Reconstruction of random crops.
///
/// The loss is `mean |x - y| + mean (x - y)^2 + mean |dx - dy|`, d being the difference of neighbouring pixels: the first
/// keeps edges, the second keeps large errors away, the third (Mathieu et al., arXiv 1511.05440) tells a blurred edge from a
/// crisp one, which are close in value. Latents are held near zero mean and unit variance per channel (the denoiser's noise has both), and the decoder sees them with a
/// little noise, as it will see the denoiser's.
#[derive(Debug)]
pub struct AutoencoderTask<'a> {
    /// The pictures.
    pub pictures: &'a PictureCache,
    /// Side of the crops, in pixels.
    pub crop: u32,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// By what latents are smaller than pictures.
    pub factor: usize,
}

/// Weight of the penalty on the latents' mean and variance.
const MOMENT_PENALTY: f64 = 0.05;
/// Standard deviation of the noise that the decoder sees on latents of unit variance.
const LATENT_NOISE: f64 = 0.05;

impl Task for AutoencoderTask<'_> {
    type Model = AutoencoderTiny;
    type Frozen = NothingFrozen;
    /// Crops, and the noise on their latents.
    type Batch = (Tensor<4>, Tensor<4>);

    fn stage(&self) -> &'static str {
        "autoencoder"
    }

    fn examples(&self) -> usize {
        self.pictures.len()
    }

    fn frozen(&self) -> NothingFrozen {
        NothingFrozen
    }

    fn batch(
        &mut self,
        examples: &[usize],
        noise: &mut NoiseSource,
        _step: u64,
        device: &Device,
    ) -> Result<Self::Batch, TrainError> {
        let pictures = self.pictures.crops(examples, self.crop, noise, device);
        let [batch, _, height, width] = pictures.dims();
        let jitter =
            noise.normal([batch, self.latent_channels, height / self.factor, width / self.factor], device);
        Ok((pictures, jitter.mul_scalar(LATENT_NOISE)))
    }

    fn objective(
        &self,
        model: &AutoencoderTiny,
        _frozen: &NothingFrozen,
        (pictures, jitter): Self::Batch,
        _passes: &mut ForwardPasses,
    ) -> Objective {
        let pictures = pictures.autodiff();
        let latents = model.encode(pictures.clone());
        let decoded = model.decode(latents.clone() + jitter.autodiff());
        let difference = decoded - pictures;
        let slopes = slopes(difference.clone());
        let absolute = difference.clone().abs().mean();
        let squared = difference.square().mean();
        let mean = latents.clone().mean_dims(&[0, 2, 3]);
        let variance = (latents - mean.clone()).square().mean_dims(&[0, 2, 3]);
        let penalty = mean.square().mean() + (variance - 1.0).square().mean();
        let loss =
            absolute.clone() + squared.clone() + slopes.clone() + penalty.clone().mul_scalar(MOMENT_PENALTY);
        let quantities = vec![
            ("l1", absolute.detach()),
            ("mse", squared.detach()),
            ("slopes", slopes.detach()),
            ("latent_moments", penalty.detach()),
        ];
        Objective::new(loss, quantities)
    }

    fn picture(&mut self, model: &AutoencoderTiny) -> Result<Option<RgbImage>, TrainError> {
        let device = device_of(model);
        let count = self.pictures.len().min(8);
        let originals = self.pictures.batch(&(0..count).collect::<Vec<_>>(), &device);
        let decoded = model.decode(model.encode(originals.clone())).clamp(-1.0, 1.0);
        let rows = Tensor::cat(vec![originals, decoded], 0);
        Ok(Some(picture::grid(&crate::pictures::to_images(rows)?, count, 2)))
    }
}

/// The mean absolute difference between neighbours of `[batch, channels, height, width]`, across and down.
fn slopes(x: Tensor<4>) -> Tensor<1> {
    let [_, _, height, width] = x.dims();
    let across = x.clone().narrow(3, 1, width - 1) - x.clone().narrow(3, 0, width - 1);
    let down = x.clone().narrow(2, 1, height - 1) - x.narrow(2, 0, height - 1);
    (across.abs().mean() + down.abs().mean()).div_scalar(2.0)
}
