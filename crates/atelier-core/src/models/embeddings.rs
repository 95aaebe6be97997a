//! Embeddings of diffusion timesteps (`diffusers.models.embeddings`).

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::activation::Activation;
use super::layers::{Linear, LinearConfig, adaptable};

/// Sinusoidal features of timesteps (`diffusers.models.embeddings.Timesteps`), after "Attention Is All You
/// Need", section 3.5.
#[derive(Module, Debug)]
pub struct Timesteps {
    /// Number of features, even.
    num_channels: usize,
    /// Whether the cosines come first.
    flip_sin_to_cos: bool,
    /// `freq_shift` in configurations: subtracted from the number of frequencies.
    downscale_freq_shift: f64,
}

impl Timesteps {
    /// Features of `num_channels` (even) channels.
    pub fn new(num_channels: usize, flip_sin_to_cos: bool, downscale_freq_shift: f64) -> Self {
        Self { num_channels, flip_sin_to_cos, downscale_freq_shift }
    }

    /// Timesteps `[batch]` to features `[batch, num_channels]`.
    pub fn forward(&self, timesteps: Tensor<1>) -> Tensor<2> {
        let half = self.num_channels / 2;
        let step = -libm::logf(10_000.0) / (half as f64 - self.downscale_freq_shift) as f32;
        let frequencies: Vec<f32> = (0..half).map(|i| libm::expf(i as f32 * step)).collect();
        let frequencies =
            Tensor::<2>::from_data(TensorData::new(frequencies, [1, half]), &timesteps.device());
        let angles = reduce_angle(timesteps.unsqueeze_dim::<2>(1) * frequencies);
        let (sin, cos) = (angles.clone().sin(), angles.cos());
        Tensor::cat(if self.flip_sin_to_cos { vec![cos, sin] } else { vec![sin, cos] }, 1)
    }
}

/// The same angles in [-π, π]: the only range in which WGSL bounds the error of its `sin` and `cos`.
///
/// 2π is taken in two parts (Cody and Waite): products with the first, which has eight bits, are exact.
fn reduce_angle(angles: Tensor<2>) -> Tensor<2> {
    const TWO_PI_HIGH: f64 = 6.28125;
    let turns = (angles.clone() / core::f64::consts::TAU).round();
    angles - turns.clone() * TWO_PI_HIGH - turns * (core::f64::consts::TAU - TWO_PI_HIGH)
}

/// Two linear layers on the timestep features (`diffusers.models.embeddings.TimestepEmbedding`).
#[derive(Module, Debug)]
pub struct TimestepEmbedding {
    linear_1: Linear,
    act: Activation,
    linear_2: Linear,
}

adaptable!(TimestepEmbedding { linear_1, linear_2 });

impl TimestepEmbedding {
    /// From `in_channels` features to `time_embed_dim` channels.
    pub fn new(in_channels: usize, time_embed_dim: usize, act: Activation, device: &Device) -> Self {
        Self {
            linear_1: LinearConfig::new(in_channels, time_embed_dim).init(device),
            act,
            linear_2: LinearConfig::new(time_embed_dim, time_embed_dim).init(device),
        }
    }

    /// Features `[batch, in_channels]` to embeddings `[batch, time_embed_dim]`.
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        self.linear_2.forward(self.act.forward(self.linear_1.forward(features)))
    }
}

/// One vector of the timestep, the prompt's vector and, for models that were distilled with guidance, its scale
/// (`diffusers.models.embeddings.CombinedTimestepGuidanceTextProjEmbeddings`, and `CombinedTimestepTextProjEmbeddings` for
/// the others).
#[derive(Module, Debug)]
pub struct CombinedTimestepGuidanceTextProjEmbeddings {
    time_proj: Timesteps,
    timestep_embedder: TimestepEmbedding,
    guidance_embedder: Option<TimestepEmbedding>,
    /// diffusers' `PixArtAlphaTextProjection`, which has the same layers.
    text_embedder: TimestepEmbedding,
}

adaptable!(CombinedTimestepGuidanceTextProjEmbeddings {
    timestep_embedder,
    guidance_embedder,
    text_embedder
});

impl CombinedTimestepGuidanceTextProjEmbeddings {
    /// To `embedding_dim` channels, from prompts' vectors of `pooled_projection_dim` channels.
    pub fn new(
        embedding_dim: usize,
        pooled_projection_dim: usize,
        guidance_embeds: bool,
        device: &Device,
    ) -> Self {
        const FEATURES: usize = 256;
        let embedder = |from| TimestepEmbedding::new(from, embedding_dim, Activation::Silu, device);
        Self {
            time_proj: Timesteps::new(FEATURES, true, 0.0),
            timestep_embedder: embedder(FEATURES),
            guidance_embedder: guidance_embeds.then(|| embedder(FEATURES)),
            text_embedder: embedder(pooled_projection_dim),
        }
    }

    /// `timesteps`: `[batch]`, in training steps; `guidance`: `[batch]`, looked at by models that take it; `pooled`:
    /// `[batch, pooled_projection_dim]`. Returns `[batch, embedding_dim]`.
    pub fn forward(&self, timesteps: Tensor<1>, guidance: Tensor<1>, pooled: Tensor<2>) -> Tensor<2> {
        /// Brings guidance scales to the range of timesteps, which the features are made for.
        const GUIDANCE_UNIT: f64 = 1000.0;
        let time = self.timestep_embedder.forward(self.time_proj.forward(timesteps));
        let time = match &self.guidance_embedder {
            Some(embedder) => time + embedder.forward(self.time_proj.forward(guidance * GUIDANCE_UNIT)),
            None => time,
        };
        time + self.text_embedder.forward(pooled)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The tolerance is that of an f32 angle of up to 1000 radians times a frequency that is itself
        /// rounded.
        #[test]
        fn features_are_sines_and_cosines(timestep in 0.0_f32..1000.0, flip in any::<bool>(), shift in 0_u8..2) {
            let (channels, half) = (8, 4);
            let timesteps = Timesteps::new(channels, flip, f64::from(shift));
            let input = Tensor::<1>::from_floats([timestep], &Device::flex());
            let found = timesteps.forward(input).try_into_vec_as::<f32>().unwrap();
            for i in 0..half {
                let frequency = 10_000_f64.powf(-(i as f64) / (half as f64 - f64::from(shift)));
                let angle = f64::from(timestep) * frequency;
                let (sin, cos) = if flip { (half + i, i) } else { (i, half + i) };
                prop_assert!((f64::from(found[sin]) - angle.sin()).abs() < 2e-4);
                prop_assert!((f64::from(found[cos]) - angle.cos()).abs() < 2e-4);
            }
        }
    }
}
