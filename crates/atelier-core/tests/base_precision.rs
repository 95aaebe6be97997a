//! A base whose frozen weights are kept in half precision: it computes what the same weights in f32 would.

#![cfg(feature = "autodiff")]
#![recursion_limit = "256"]

mod support;

use atelier_core::{
    lora::{LoraAdapter, LoraConfig},
    models::{
        layers::{Adaptable, LayerMut, store_weights_as},
        unet_2d_condition::{UNet2DConditionModel, UNet2DConditionModelConfig},
    },
    noise::NoiseSource,
    weights,
};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, FloatDType, Gradients, Tensor};
use std::fs;
use support::Fixture;

/// The model of the fixture with its weights kept in `dtype` from the moment when they are loaded.
fn base(fixture: &Fixture, dtype: FloatDType) -> UNet2DConditionModel {
    let mut model = fixture.config::<UNet2DConditionModelConfig>().init(&Device::flex()).unwrap();
    store_weights_as(&mut model, dtype);
    let bytes = fs::read(fixture.folder.join("diffusion_pytorch_model.safetensors")).unwrap();
    weights::load_into(model, &bytes).unwrap()
}

/// The types of all weights of layers.
fn types(model: &UNet2DConditionModel) -> Vec<DType> {
    let mut types = Vec::new();
    model.clone().visit_layers("", &mut |_, layer| {
        types.push(match layer {
            LayerMut::Linear(linear) => linear.weight.dtype(),
            LayerMut::Conv2d(conv) => conv.weight.dtype(),
        });
    });
    types
}

/// An adapter for linear layers and convolutions, none of whose parts is zero.
fn adapter(model: &UNet2DConditionModel) -> LoraAdapter {
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
    let target_modules = ["to_q", "to_v", "conv1", "conv_in"].map(str::to_owned).to_vec();
    let config = LoraConfig { rank: 3, alpha: 3.0, target_modules, dropout: 0.0 };
    let mut noise = NoiseSource::new(1);
    LoraAdapter::new(model, &config, &mut noise, &Device::flex()).unwrap().map(&mut Fill(noise))
}

/// The gradients of `mean(output^2)` with respect to the adapter's parameters, one after another.
fn gradients(fixture: &Fixture, base: &UNet2DConditionModel, adapter: &LoraAdapter) -> Vec<Vec<f32>> {
    struct Collect {
        gradients: Gradients,
        values: Vec<Vec<f32>>,
    }
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = param.val().grad(&self.gradients).expect("every part gets a gradient");
            assert_eq!(gradient.dtype(), DType::F32);
            self.values.push(gradient.to_data().iter::<f32>().collect());
        }
    }
    let adapter = adapter.clone().train();
    let model = adapter.attach(&base.clone().train().no_grad(), 1.0).unwrap();
    let output = model.forward(
        fixture.floats::<4>("sample").autodiff(),
        fixture.floats::<1>("timestep").autodiff(),
        fixture.floats::<3>("encoder_hidden_states").autodiff(),
    );
    assert_eq!(output.dtype(), DType::F32);
    let mut collect = Collect { gradients: output.square().mean().backward(), values: Vec::new() };
    adapter.visit(&mut collect);
    collect.values
}

/// The largest difference between two lists of gradients, relative to the largest value of each tensor.
fn distance(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0, |max, it| f32::max(max, it.abs()));
    let pairs = a.iter().zip(b).map(|(a, b)| {
        let difference = largest(&mut a.iter().zip(b).map(|(a, b)| a - b));
        difference / largest(&mut a.iter().copied()).max(f32::MIN_POSITIVE)
    });
    pairs.fold(0.0, f32::max)
}

/// Widening is exact, so the same f32 numbers enter the same sums: 1e-6 of a tensor's largest value is what another
/// order of the sums could do. Rounding the weights does more.
#[test]
fn gradients_are_those_of_the_rounded_weights() {
    let fixture = Fixture::open("unet");
    let exact = base(&fixture, FloatDType::F32);
    let adapter = adapter(&exact);
    let unrounded = gradients(&fixture, &exact, &adapter);
    for (dtype, stored, rounding) in
        [(FloatDType::F16, DType::F16, 1e-5), (FloatDType::BF16, DType::BF16, 1e-4)]
    {
        let half = base(&fixture, dtype);
        assert!(types(&half).into_iter().all(|it| it == stored));
        let mut rounded = half.clone();
        store_weights_as(&mut rounded, FloatDType::F32);
        assert!(types(&rounded).into_iter().all(|it| it == DType::F32));
        let found = gradients(&fixture, &half, &adapter);
        assert!(distance(&found, &gradients(&fixture, &rounded, &adapter)) < 1e-6);
        let effect = distance(&found, &unrounded);
        assert!(effect > rounding, "{stored:?}: rounding did {effect} only; is it done?");
    }
}

/// A merged adapter is more precise than its base: the sum is kept in f32.
#[test]
fn merging_into_half_precision_widens() {
    let fixture = Fixture::open("unet");
    let half = base(&fixture, FloatDType::F16);
    let adapter = adapter(&half);
    let merged = adapter.merge(&half, 1.0).unwrap();
    assert!(types(&merged).contains(&DType::F32));
    let forward = |model: &UNet2DConditionModel| {
        model.forward(
            fixture.floats::<4>("sample"),
            fixture.floats::<1>("timestep"),
            fixture.floats::<3>("encoder_hidden_states"),
        )
    };
    // 1e-4, as for all adapters: sums of a few hundred f32 values in another order.
    support::assert_close(forward(&merged), forward(&adapter.attach(&half, 1.0).unwrap()));
}
