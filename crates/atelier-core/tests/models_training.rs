//! Every model learns: a few steps of gradient descent reach every parameter and lower a loss.

#![cfg(feature = "autodiff")]
#![recursion_limit = "256"]

use atelier_core::models::autoencoder_tiny::{AutoencoderTiny, AutoencoderTinyConfig};
use atelier_core::models::clip_text::{CLIPTextConfig, CLIPTextModel};
use atelier_core::models::config::OneOrMany;
use atelier_core::models::unet_2d_condition::{
    DownBlockType, UNet2DConditionModel, UNet2DConditionModelConfig, UpBlockType,
};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Distribution, Gradients, Int, Tensor};

/// Plain gradient descent.
struct GradientDescent {
    gradients: Gradients,
    learning_rate: f64,
}

impl ModuleMapper for GradientDescent {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let gradient = param.grad_remove(&mut self.gradients).expect("every parameter gets a gradient");
        param.map(|value| Tensor::from_inner(value.inner() - gradient * self.learning_rate).require_grad())
    }
}

/// Asserts that five steps bring the mean squared error of `forward` to `target` down by at least five
/// percent: little for a model that learns, out of reach for one whose gradients are wrong.
fn assert_learns<M: Module, const D: usize>(
    mut model: M,
    forward: impl Fn(&M) -> Tensor<D>,
    target: &Tensor<D>,
    learning_rate: f64,
) {
    let mut losses = Vec::new();
    for _ in 0..=5 {
        let loss = (forward(&model) - target.clone()).square().mean();
        losses.push(loss.clone().into_scalar::<f32>());
        model = model.map(&mut GradientDescent { gradients: loss.backward(), learning_rate });
    }
    assert!(losses[5] < 0.95 * losses[0], "the loss did not fall: {losses:?}");
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

#[test]
fn unet_learns() {
    let device = Device::flex().autodiff();
    let config = UNet2DConditionModelConfig {
        block_out_channels: vec![8, 16],
        down_block_types: vec![DownBlockType::DownBlock2D, DownBlockType::CrossAttnDownBlock2D],
        up_block_types: vec![UpBlockType::CrossAttnUpBlock2D, UpBlockType::UpBlock2D],
        layers_per_block: OneOrMany::One(1),
        norm_num_groups: 4,
        attention_head_dim: OneOrMany::One(2),
        cross_attention_dim: OneOrMany::One(12),
        ..Default::default()
    };
    let model = config.init(&device).unwrap();
    // An odd height exercises the enlargement to the size of a skip connection.
    let (sample, target) = (random([2, 4, 7, 8], &device), random([2, 4, 7, 8], &device));
    let timesteps = Tensor::<1>::from_floats([3.0, 700.0], &device);
    let context = random([2, 5, 12], &device);
    let forward =
        |model: &UNet2DConditionModel| model.forward(sample.clone(), timesteps.clone(), context.clone());
    assert_learns(model, forward, &target, 0.1);
}

#[test]
fn autoencoder_learns() {
    let device = Device::flex().autodiff();
    let config = AutoencoderTinyConfig {
        encoder_block_out_channels: vec![8; 3],
        decoder_block_out_channels: vec![8; 3],
        num_encoder_blocks: vec![1, 1, 1],
        num_decoder_blocks: vec![1, 1, 1],
        ..Default::default()
    };
    let images = random([2, 3, 16, 16], &device);
    let forward = |model: &AutoencoderTiny| {
        let latents = model.encode(images.clone());
        assert_eq!(latents.dims(), [2, 4, 4, 4]);
        model.decode(latents)
    };
    assert_learns(config.init(&device).unwrap(), forward, &images, 0.05);
}

#[test]
fn text_encoder_learns() {
    let device = Device::flex().autodiff();
    let config = CLIPTextConfig {
        vocab_size: 20,
        hidden_size: 16,
        intermediate_size: 32,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        max_position_embeddings: 6,
        ..Default::default()
    };
    let input_ids = Tensor::<2, Int>::from_ints([[1, 5, 7, 9], [2, 4, 0, 0]], &device);
    let target = random([2, 4, 16], &device);
    let forward = |model: &CLIPTextModel| model.forward(input_ids.clone());
    assert_learns(config.init(&device).unwrap(), forward, &target, 1.0);
}
