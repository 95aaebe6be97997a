use super::*;
use crate::models::layers::{Conv2d, Conv2dConfig, Linear, LinearConfig, adaptable};
use crate::noise::NoiseSource;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use futures_lite::future::block_on;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Module, Debug)]
struct Model {
    to_q: Linear,
    conv: Conv2d,
}

adaptable!(Model { to_q, conv });

impl Model {
    fn new(device: &Device) -> Self {
        Self {
            to_q: LinearConfig::new(6, 5).init(device),
            conv: Conv2dConfig::new([3, 6], [3, 3]).with_padding([(1, 1); 2]).init(device),
        }
    }

    /// `[batch, 3, height, width]` to `[batch, pixels, 5]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<3> {
        let [batch, _, height, width] = x.dims();
        self.to_q.forward(self.conv.forward(x).reshape([batch, 6, height * width]).swap_dims(1, 2))
    }
}

fn config(rank: usize) -> LoraConfig {
    let target_modules = ["to_q", "conv"].map(str::to_owned).to_vec();
    LoraConfig { rank, alpha: 3.0, target_modules, dropout: 0.0 }
}

/// A fresh adapter changes nothing; this one does.
fn trained(model: &Model, rank: usize, seed: u64) -> LoraAdapter {
    let mut noise = NoiseSource::new(seed);
    let mut adapter = LoraAdapter::new(model, &config(rank), &mut noise, &Device::flex()).unwrap();
    for layer in &mut adapter.layers {
        let [outputs, rank] = layer.up.dims();
        let values = noise.normal([1, 1, outputs, rank], &Device::flex()).reshape([outputs, rank]);
        layer.up = Param::from_tensor(values.mul_scalar(0.1));
    }
    adapter
}

fn distance(a: Tensor<3>, b: Tensor<3>) -> f32 {
    (a - b).abs().max().into_scalar()
}

fn input(seed: u64) -> Tensor<4> {
    NoiseSource::new(seed).normal([2, 3, 4, 5], &Device::flex())
}

#[test]
fn a_fresh_adapter_changes_nothing() {
    let model = Model::new(&Device::flex());
    let adapter = LoraAdapter::new(&model, &config(2), &mut NoiseSource::new(0), &Device::flex()).unwrap();
    let adapted = adapter.attach(&model, 1.0).unwrap();
    assert_eq!(distance(adapted.forward(input(1)), model.forward(input(1))), 0.0);
}

proptest! {
    /// 1e-5: f32 sums of 27 values around 1 in another order.
    #[test]
    fn merging_equals_attaching(rank in 1_usize..4, scale in -1.0..2.0, seed in 0_u64..1000) {
        let model = Model::new(&Device::flex());
        let adapter = trained(&model, rank, seed);
        let attached = adapter.attach(&model, scale).unwrap().forward(input(seed));
        let merged = adapter.merge(&model, scale).unwrap().forward(input(seed));
        prop_assert!(distance(attached.clone(), merged) < 1e-5);
        prop_assert!(scale.abs() < 0.1 || distance(attached, model.forward(input(seed))) > 1e-4);
    }

    #[test]
    fn several_adapters_add_up(seed in 0_u64..1000) {
        let model = Model::new(&Device::flex());
        let (first, second) = (trained(&model, 1, seed), trained(&model, 2, seed + 1));
        let both = first.attach(&second.attach(&model, 0.5).unwrap(), 2.0).unwrap();
        let merged = first.merge(&second.merge(&model, 0.5).unwrap(), 2.0).unwrap();
        prop_assert!(distance(both.forward(input(seed)), merged.forward(input(seed))) < 1e-5);
    }

    #[test]
    fn a_file_gives_the_adapter_back(rank in 1_usize..4, seed in 0_u64..1000) {
        let model = Model::new(&Device::flex());
        let adapter = trained(&model, rank, seed);
        let (tensors, metadata) = block_on(adapter.to_tensors(Component::Unet)).unwrap();
        let file = LoraFile::new(tensors, &metadata).unwrap();
        let read = file.adapter(Component::Unet, &model, &Device::flex()).unwrap().unwrap();
        prop_assert!(file.adapter(Component::TextEncoder, &model, &Device::flex()).unwrap().is_none());
        let [before, after] = [&adapter, &read].map(|it| it.attach(&model, 1.0).unwrap().forward(input(seed)));
        prop_assert_eq!(distance(before, after), 0.0);
    }
}

#[test]
fn dropout_keeps_the_mean() {
    let model = Model::new(&Device::flex());
    let adapter = trained(&model, 2, 7);
    let mut noise = NoiseSource::new(8);
    let draws = 400;
    let sum = (0..draws)
        .map(|_| adapter.attach_for_training(&model, 0.5, &mut noise).conv.forward(input(1)))
        .reduce(|sum, output| sum + output)
        .unwrap();
    let expected = adapter.attach(&model, 1.0).unwrap().conv.forward(input(1));
    let plain = model.conv.forward(input(1));
    let error: f32 = (sum.div_scalar(draws as f64) - expected.clone()).abs().max().into_scalar();
    let size: f32 = (expected - plain).abs().max().into_scalar();
    // The mean of 400 draws of deviation about `size` is off by a twentieth of it; five deviations.
    assert!(error < 0.25 * size, "{error} of {size}");
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let device = Device::flex();
    let model = Model::new(&device);
    let adapter = trained(&model, 2, 3);
    let mut wider = model.clone();
    wider.to_q = LinearConfig::new(6, 7).init(&device);
    let error = adapter.attach(&wider, 1.0).unwrap_err().to_string();
    assert!(error.contains("to_q goes from 6 to 5 channels, that of the model from 6 to 7"), "{error}");
    let error = adapter.attach(&model.conv, 1.0).unwrap_err();
    assert!(matches!(&error, LoraError::OtherModel { missing, .. } if missing.len() == 2), "{error}");
}

#[test]
fn unknown_targets_name_those_that_exist() {
    let mut config = config(1);
    config.target_modules = vec!["q".to_owned()];
    let model = Model::new(&Device::flex());
    let error = LoraAdapter::new(&model, &config, &mut NoiseSource::new(0), &Device::flex()).unwrap_err();
    assert!(error.to_string().contains("layers such as conv, to_q"), "{error}");
}

#[test]
fn files_of_other_kinds_are_refused() {
    let tensor = crate::weights::TensorValues::new(vec![1], vec![1.0]).unwrap();
    let new = |key: &str| LoraFile::new([(key.to_owned(), tensor.clone())].into(), &BTreeMap::new());
    let error = new("lora_unet_conv.hada_w1_a").unwrap_err().to_string();
    assert!(error.contains("LoHa"), "{error}");
    let empty = LoraFile::new(BTreeMap::new(), &BTreeMap::new()).unwrap_err();
    assert!(matches!(empty, LoraError::Empty));
    let half = new("unet.to_q.alpha").unwrap();
    let model = Model::new(&Device::flex());
    let error = half.adapter(Component::Unet, &model, &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("lora_A"), "{error}");
}
