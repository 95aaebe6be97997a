//! The models compute what diffusers and transformers compute, from the same files.
//!
//! `fixtures/models` holds tiny random models written by diffusers and transformers, with inputs and outputs;
//! the script beside them makes them again. The tolerance of 1e-4 covers f32 sums in another order through a
//! dozen layers (some 1e-6 each, on values around 1); a wrong layer is off by 1e-2 and more.

#![recursion_limit = "256"]

mod support;

use std::fs;

use atelier_core::models::ModelConfig;
use atelier_core::models::autoencoder_tiny::AutoencoderTinyConfig;
use atelier_core::models::clip_text::CLIPTextConfig;
use atelier_core::models::unet_2d_condition::UNet2DConditionModelConfig;
use atelier_core::weights;
use burn::tensor::{Device, Int, Tensor};
use safetensors::SafeTensors;
use support::{Fixture, assert_close};

fn assert_unet_matches(name: &str) {
    let fixture = Fixture::open(name);
    let model = fixture.config::<UNet2DConditionModelConfig>().init(&Device::flex()).unwrap();
    let model = weights::load(model, &fixture.folder.join("diffusion_pytorch_model.safetensors")).unwrap();
    let output = model.forward(
        fixture.floats("sample"),
        fixture.floats("timestep"),
        fixture.floats("encoder_hidden_states"),
    );
    assert_close(output, fixture.floats("output"));
}

#[test]
fn unet_with_conv_projections_matches_diffusers() {
    assert_unet_matches("unet");
}

#[test]
fn unet_with_linear_projections_matches_diffusers() {
    assert_unet_matches("unet_linear");
}

#[test]
fn autoencoder_tiny_matches_diffusers() {
    let fixture = Fixture::open("autoencoder_tiny");
    let model = fixture.config::<AutoencoderTinyConfig>().init(&Device::flex()).unwrap();
    let model = weights::load(model, &fixture.folder.join("diffusion_pytorch_model.safetensors")).unwrap();
    assert_close(model.encode(fixture.floats("image")), fixture.floats("latents"));
    assert_close(model.decode(fixture.floats("latents")), fixture.floats("decoded"));
}

#[test]
fn clip_text_matches_transformers() {
    let fixture = Fixture::open("clip_text");
    let model = fixture.config::<CLIPTextConfig>().init(&Device::flex()).unwrap();
    let model = weights::load(model, &fixture.folder.join("model.safetensors")).unwrap();
    let input_ids: Tensor<2, Int> = fixture.floats::<2>("input_ids").int();
    assert_close(model.forward(input_ids), fixture.floats("last_hidden_state"));
}

/// What diffusers wrote is what is written again: the same names, shapes and numbers, and the same keys.
#[test]
fn saved_models_equal_the_originals() {
    let fixture = Fixture::open("unet");
    let path = fixture.folder.join("diffusion_pytorch_model.safetensors");
    let config: UNet2DConditionModelConfig = fixture.config();
    let model = weights::load(config.init(&Device::flex()).unwrap(), &path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.safetensors");
    weights::save(&model, &copy, weights::Precision::F32, &Default::default()).unwrap();

    let (original, copy) = (fs::read(path).unwrap(), fs::read(copy).unwrap());
    let (original, copy) =
        (SafeTensors::deserialize(&original).unwrap(), SafeTensors::deserialize(&copy).unwrap());
    assert_eq!(original.len(), copy.len());
    for (name, view) in original.iter() {
        let copied = copy.tensor(name).unwrap();
        assert_eq!(
            (view.dtype(), view.shape(), view.data()),
            (copied.dtype(), copied.shape(), copied.data())
        );
    }

    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(fixture.folder.join("config.json")).unwrap()).unwrap();
    let written: serde_json::Value = serde_json::from_str(&config.to_json().unwrap()).unwrap();
    for (key, value) in json.as_object().unwrap() {
        // Python writes 0 and 1 where a number may have a fraction.
        let equal = match (written[key].as_f64(), value.as_f64()) {
            (Some(written), Some(value)) => written == value,
            _ => written[key] == *value,
        };
        assert!(equal, "`{key}` was {value} and became {}", written[key]);
    }
}
