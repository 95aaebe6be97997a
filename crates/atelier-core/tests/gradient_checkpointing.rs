//! Computing the blocks of a denoiser again gives the gradients that keeping them gives.

#![cfg(feature = "autodiff")]
#![recursion_limit = "256"]

mod support;

use atelier_core::{
    lora::{LoraAdapter, LoraConfig},
    models::{
        denoiser::{Denoiser, DenoiserConfig},
        gradient_checkpointing::{CheckpointedPass, DenoiserInput},
        prompt_embeddings::PromptEmbeddings,
    },
    noise::NoiseSource,
    weights,
};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor};
use std::{collections::BTreeMap, fs};
use support::Fixture;

fn denoiser(fixture: &Fixture) -> Denoiser {
    let config = DenoiserConfig::from_json(&fs::read(fixture.folder.join("config.json")).unwrap()).unwrap();
    let bytes = fs::read(fixture.folder.join("diffusion_pytorch_model.safetensors")).unwrap();
    weights::load_into(config.init(&Device::flex()).unwrap(), &bytes).unwrap()
}

/// Of an odd height, which the way up must come back to.
fn input(fixture: &Fixture, with_sizes: bool) -> DenoiserInput {
    let mut noise = NoiseSource::new(7);
    let device = Device::flex();
    let prompt_embeds = fixture.floats::<3>("encoder_hidden_states").narrow(0, 0, 2);
    let vector = |name: &str| with_sizes.then(|| fixture.floats::<2>(name).narrow(0, 0, 2));
    DenoiserInput {
        sample: noise.normal([2, 4, 7, 8], &device),
        timesteps: Tensor::from_floats([3.0, 700.0], &device),
        prompt: PromptEmbeddings {
            prompt_embeds,
            pooled_prompt_embeds: vector("text_embeds"),
            time_ids: vector("time_ids"),
            guidance: None,
        },
    }
}

/// Gradients of `model`'s parameters, summed over `parts`, by the parameters' identities.
#[derive(Default)]
struct Collected(BTreeMap<u64, Vec<f32>>);

impl Collected {
    fn add<M: Module>(&mut self, model: &M, gradients: Gradients) {
        struct Visit<'a> {
            gradients: Gradients,
            sums: &'a mut BTreeMap<u64, Vec<f32>>,
        }
        impl ModuleVisitor for Visit<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let Some(gradient) = param.val().grad_remove(&mut self.gradients) else { return };
                let values: Vec<f32> = gradient.to_data().iter::<f32>().collect();
                let sum = self.sums.entry(param.id.val()).or_insert_with(|| vec![0.0; values.len()]);
                for (sum, value) in sum.iter_mut().zip(values) {
                    *sum += value;
                }
            }
        }
        model.visit(&mut Visit { gradients, sums: &mut self.0 });
    }
}

/// A pass without gradients, and what gives them.
type Pass = (Tensor<4>, CheckpointedPass);

/// The gradients of the loss `mean(prediction^2)` with respect to `trained`, of which `model` makes a denoiser for each pass:
/// blocks kept, and blocks computed again by `checkpointed`.
///
/// 1e-5 of a tensor's largest value: sums in f32 in another order. burn's operations with gradients differ from those
/// without in the last bit as well.
fn assert_same<M: Module>(
    trained: &M,
    model: impl Fn() -> Denoiser,
    checkpointed: impl Fn(Denoiser, DenoiserInput) -> Pass,
    input: DenoiserInput,
) {
    let DenoiserInput { sample, timesteps, prompt } = input.clone();
    let kept = model().forward(sample.autodiff(), timesteps.autodiff(), prompt.autodiff());
    let (prediction, pass) = checkpointed(model(), input);
    support::assert_close_within(prediction.clone(), kept.clone().inner(), 1e-5);
    let mut expected = Collected::default();
    expected.add(trained, kept.square().mean().backward());

    let prediction = prediction.autodiff().require_grad();
    let mut gradients = prediction.clone().square().mean().backward();
    let mut found = Collected::default();
    let gradient = prediction.grad_remove(&mut gradients).expect("a gradient");
    pass.backward(gradient, &mut |gradients| found.add(trained, gradients));

    assert_same_gradients(trained, &found, &expected);
}

fn assert_same_gradients<M: Module>(trained: &M, found: &Collected, expected: &Collected) {
    let count = trained.num_params();
    assert_eq!(found.0.values().map(Vec::len).sum::<usize>(), count, "every parameter gets a gradient");
    for (id, expected) in &expected.0 {
        let scale = expected.iter().fold(0.0, |max, value| f32::max(max, value.abs()));
        for (found, expected) in found.0[id].iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-5 * scale.max(1e-3), "{found} is not {expected}");
        }
    }
}

#[test]
fn gradients_of_whole_denoisers_are_the_same() {
    for (name, with_sizes) in [("unet", false), ("unet_linear", false), ("unet_text_time", true)] {
        let fixture = Fixture::open(name);
        let frozen = denoiser(&fixture);
        let model = frozen.clone().train();
        let checkpointed =
            |model: Denoiser, input| model.forward_checkpointed(&frozen, input).expect("a UNet");
        assert_same(&model, || model.clone(), checkpointed, input(&fixture, with_sizes));
    }
}

#[test]
fn gradients_of_adapters_are_the_same_and_so_is_what_they_share_with_their_base() {
    struct Fill(NoiseSource);
    impl ModuleMapper for Fill {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|value| {
                let shape = value.shape();
                let noise = self.0.normal([1, 1, 1, shape.num_elements()], &value.device());
                noise.mul_scalar(0.1).reshape(shape)
            })
        }
    }
    let fixture = Fixture::open("unet_linear");
    let base = denoiser(&fixture);
    // Without the first layers, in which nothing is left to do then, and with them.
    for targets in [&["to_q", "to_k"][..], &["to_q", "conv2"], &["conv_in", "linear_1", "to_out.0"]] {
        let target_modules = targets.iter().copied().map(str::to_owned).collect();
        let config = LoraConfig { rank: 2, alpha: 2.0, target_modules, dropout: 0.0 };
        let mut noise = NoiseSource::new(1);
        let adapter = LoraAdapter::new(&base, &config, &mut noise, &Device::flex()).unwrap();
        let adapter = adapter.map(&mut Fill(noise)).train();
        let model = || adapter.attach(&base.clone().train().no_grad(), 1.0).unwrap();
        let frozen = adapter.valid().attach(&base, 1.0).unwrap();
        let input = input(&fixture, false);
        let checkpointed =
            |model: Denoiser, input| model.forward_checkpointed(&frozen, input).expect("a UNet");
        assert_same(&adapter, model, checkpointed, input.clone());

        let DenoiserInput { sample, timesteps, prompt } = input.clone();
        let reference = base.forward(sample.clone(), timesteps.clone(), prompt.clone());
        let beside = |model: Denoiser, input| {
            let (prediction, pass, beside) =
                model.forward_checkpointed_beside(&frozen, &base, input).expect("a UNet");
            support::assert_close_within(beside, reference.clone(), 1e-5);
            (prediction, pass)
        };
        assert_same(&adapter, model, beside, input.clone());

        let (prediction, beside) = model().forward_beside(&base, input);
        support::assert_close_within(beside, reference.clone(), 1e-5);
        let [mut found, mut expected] = [(); 2].map(|()| Collected::default());
        found.add(&adapter, prediction.square().mean().backward());
        let alone = model().forward(sample.autodiff(), timesteps.autodiff(), prompt.autodiff());
        expected.add(&adapter, alone.square().mean().backward());
        assert_same_gradients(&adapter, &found, &expected);
    }
}
