//! Adapters do what diffusers and peft do with them, from the same files.
//!
//! `fixtures/lora` holds an adapter of the model `fixtures/models/unet` as diffusers writes it and in kohya's keys, and
//! what the model then computes; `make_lora_fixtures.py` beside this file makes them. The tolerance is that of
//! `models_parity.rs`: the adapter changes the output by more than 1e-2.

#![recursion_limit = "256"]

mod support;

use std::fs;
use std::path::PathBuf;

use atelier_core::lora::{Component, LoraAdapter, LoraConfig, LoraFile};
use atelier_core::models::unet_2d_condition::{UNet2DConditionModel, UNet2DConditionModelConfig};
use atelier_core::noise::NoiseSource;
use atelier_core::weights::{self, Precision, TensorValues, WeightsFile};
use burn::tensor::{Device, Tensor};
use futures_lite::future::block_on;
use support::{Fixture, assert_close};

fn path(name: &str) -> PathBuf {
    PathBuf::from("tests/fixtures/lora").join(name)
}

fn model() -> UNet2DConditionModel {
    let fixture = Fixture::open("unet");
    let model = fixture.config::<UNet2DConditionModelConfig>().init(&Device::flex()).unwrap();
    weights::load(model, &fixture.folder.join("diffusion_pytorch_model.safetensors")).unwrap()
}

fn output(model: &UNet2DConditionModel) -> Tensor<4> {
    let fixture = Fixture::open("unet");
    let states = fixture.floats("encoder_hidden_states");
    model.forward(fixture.floats("sample"), fixture.floats("timestep"), states)
}

fn expected(name: &str) -> Tensor<4> {
    let (tensors, _) =
        weights::read_tensors(&WeightsFile::open(&path("outputs.safetensors")).unwrap()).unwrap();
    tensors[name].to_tensor(&Device::flex()).unwrap()
}

fn read(bytes: &[u8]) -> LoraAdapter {
    let file = WeightsFile::from_bytes("lora", bytes.to_vec()).unwrap();
    let (tensors, metadata) = weights::read_tensors(&file).unwrap();
    let file = LoraFile::new(tensors, &metadata).unwrap();
    assert_eq!(file.components().collect::<Vec<_>>(), [Component::Unet]);
    file.adapter(Component::Unet, &model(), &Device::flex()).unwrap().unwrap()
}

#[test]
fn an_adapter_of_diffusers_matches() {
    let adapter = read(&fs::read(path("diffusers.safetensors")).unwrap());
    assert_eq!((adapter.layers()[0].rank(), adapter.layers()[0].alpha()), (2, 3.0));
    assert_close(output(&adapter.attach(&model(), 1.0).unwrap()), expected("adapted"));
    assert_close(output(&adapter.merge(&model(), 1.0).unwrap()), expected("adapted"));
}

#[test]
fn an_adapter_in_the_keys_of_kohya_matches() {
    let adapter = read(&fs::read(path("kohya.safetensors")).unwrap());
    assert_close(output(&adapter.attach(&model(), 1.0).unwrap()), expected("adapted"));
}

/// Its strength is in the metadata: rank-stabilised, with ranks and alphas by patterns.
#[test]
fn a_rank_stabilised_adapter_matches() {
    let adapter = read(&fs::read(path("rslora.safetensors")).unwrap());
    assert_close(output(&adapter.attach(&model(), 1.0).unwrap()), expected("rslora"));
    assert_close(output(&adapter.merge(&model(), 1.0).unwrap()), expected("rslora"));
}

/// The script loads `ours.safetensors` with diffusers' own loader. Should its bytes have to change, delete it, run this
/// test, then the script.
#[test]
fn diffusers_computes_the_same_with_an_adapter_of_ours() {
    let config = LoraConfig {
        rank: 3,
        alpha: 1.5,
        target_modules: ["to_k", "to_out.0", "conv2", "proj_out"].map(str::to_owned).to_vec(),
        dropout: 0.0,
    };
    let mut noise = NoiseSource::new(1);
    let adapter = LoraAdapter::new(&model(), &config, &mut noise, &Device::flex()).unwrap();
    let (mut tensors, metadata) = block_on(adapter.to_tensors(Component::Unet)).unwrap();
    for values in tensors.iter_mut().filter(|(name, _)| name.contains("lora_B")).map(|(_, values)| values) {
        let drawn: Vec<f32> = values.values().iter().map(|_| noise.uniform() - 0.5).collect();
        *values = TensorValues::new(values.shape().to_vec(), drawn).unwrap();
    }
    let bytes = weights::write_tensors(&tensors, Precision::F32, &metadata).unwrap();
    let file = path("ours.safetensors");
    if !file.exists() {
        fs::write(&file, &bytes).unwrap();
    }
    assert!(fs::read(&file).unwrap() == bytes, "{} holds another adapter", file.display());
    assert_close(output(&read(&bytes).attach(&model(), 1.0).unwrap()), expected("ours"));
}
