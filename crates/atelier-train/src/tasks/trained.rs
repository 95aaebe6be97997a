//! What a run trains: the whole denoiser, or an adapter on a frozen one.

use atelier_core::{lora::LoraAdapter, models::denoiser::Denoiser, noise::NoiseSource};
use burn::{module::Module, tensor::Device};

/// A module that makes a denoiser, and is trained for it.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a run has one, and a module cannot be boxed")]
pub enum TrainedDenoiser {
    /// All weights of the denoiser, or some of them.
    Whole(Denoiser),
    /// Low-rank terms on layers of a denoiser that stays as it is.
    Adapter(LoraAdapter),
}

/// The dropout of one training step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// The share of channels that is left out.
    pub rate: f64,
    /// Seed of the choice.
    pub seed: u64,
}

impl Dropout {
    /// The dropout of the next step; none for a rate of 0.
    pub fn draw(rate: f64, noise: &mut NoiseSource) -> Option<Self> {
        (rate > 0.0).then(|| Self { rate, seed: noise.below(1 << 31) as u64 })
    }
}

impl TrainedDenoiser {
    /// The denoiser that `self` makes of `base`, the model before training (without gradients). It has gradients where
    /// `self` has; all weights that are not trained are those of `base`, not copies.
    pub fn denoiser(&self, base: &Denoiser, dropout: Option<Dropout>) -> Denoiser {
        let adapter = match self {
            Self::Whole(denoiser) => return denoiser.clone(),
            Self::Adapter(adapter) => adapter,
        };
        let Dropout { rate, seed } = dropout.unwrap_or(Dropout { rate: 0.0, seed: 0 });
        let mut noise = NoiseSource::new(seed);
        if adapter.devices().iter().all(Device::is_autodiff) {
            let base = base.clone().train().no_grad();
            adapter.attach_for_training(&base, rate, &mut noise)
        } else {
            adapter.attach_for_training(base, rate, &mut noise)
        }
    }
}
