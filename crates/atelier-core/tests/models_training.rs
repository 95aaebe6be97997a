//! Every model learns: a few steps of gradient descent reach every parameter and lower a loss.

#![cfg(feature = "autodiff")]
#![recursion_limit = "256"]

use atelier_core::models::autoencoder_tiny::{AutoencoderTiny, AutoencoderTinyConfig};
use atelier_core::models::clip_text::{CLIPTextConfig, CLIPTextModel};
use atelier_core::models::config::OneOrMany;
use atelier_core::models::unet_2d_condition::{
    DownBlockType, UNet2DConditionModel, UNet2DConditionModelConfig, UpBlockType,
};
use atelier_core::noise::NoiseSource;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Gradients, Int, Tensor};
use std::sync::{Mutex, PoisonError};

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

/// Asserts that gradient descent brings the mean squared error of `forward` to `target` down to `share` of what it was: a
/// margin that is wide for a model that learns, and out of reach for one whose gradients are wrong.
fn assert_learns<M: Module, const D: usize>(
    mut model: M,
    forward: impl Fn(&M) -> Tensor<D>,
    target: &Tensor<D>,
    learning_rate: f64,
    share: f32,
) {
    const STEPS: usize = 30;
    let mut losses = Vec::new();
    for _ in 0..=STEPS {
        let loss = (forward(&model) - target.clone()).square().mean();
        losses.push(loss.clone().into_scalar::<f32>());
        model = model.map(&mut GradientDescent { gradients: loss.backward(), learning_rate });
    }
    println!("{} became {}", losses[0], losses[STEPS]);
    assert!(losses[STEPS] < share * losses[0], "the loss did not fall: {losses:?}");
}

/// Runs `test` with three seeds. The backend draws first weights from one generator for all threads, so tests take turns.
fn with_seeds(test: impl Fn(&Device, &mut NoiseSource)) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for seed in 0..3 {
        let device = Device::flex().autodiff();
        device.seed(seed);
        test(&device, &mut NoiseSource::new(seed));
    }
}

#[test]
fn unet_learns() {
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
    with_seeds(|device, noise| {
        let model = config.init(device).unwrap();
        // An odd height exercises the enlargement to the size of a skip connection.
        let [sample, target] = [(); 2].map(|()| noise.normal([2, 4, 7, 8], device));
        let timesteps = Tensor::<1>::from_floats([3.0, 700.0], device);
        let context = noise.normal([2, 5, 12], device);
        let forward =
            |model: &UNet2DConditionModel| model.forward(sample.clone(), timesteps.clone(), context.clone());
        assert_learns(model, forward, &target, 0.1, 0.8);
    });
}

#[test]
fn autoencoder_learns() {
    let config = AutoencoderTinyConfig {
        encoder_block_out_channels: vec![8; 3],
        decoder_block_out_channels: vec![8; 3],
        num_encoder_blocks: vec![1, 1, 1],
        num_decoder_blocks: vec![1, 1, 1],
        ..Default::default()
    };
    with_seeds(|device, noise| {
        let images = noise.normal([2, 3, 16, 16], device);
        let forward = |model: &AutoencoderTiny| {
            let latents = model.encode(images.clone());
            assert_eq!(latents.dims(), [2, 4, 4, 4]);
            model.decode(latents)
        };
        assert_learns(config.init(device).unwrap(), forward, &images, 0.05, 0.8);
    });
}

#[test]
fn text_encoder_learns() {
    let config = CLIPTextConfig {
        vocab_size: 20,
        hidden_size: 16,
        intermediate_size: 32,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        max_position_embeddings: 6,
        ..Default::default()
    };
    with_seeds(|device, noise| {
        let input_ids = Tensor::<2, Int>::from_ints([[1, 5, 7, 9], [2, 4, 0, 0]], device);
        let target = noise.normal([2, 4, 16], device);
        let forward = |model: &CLIPTextModel| model.forward(input_ids.clone());
        assert_learns(config.init(device).unwrap(), forward, &target, 1.0, 0.8);
    });
}
