//! Model folders as people have them when something went wrong: each is said in a message of its own, and nothing is
//! painted.

#[path = "bad_models/mutated.rs"]
mod mutated;
mod support;

use atelier_core::weights::{Precision, TensorValues};
use serde_json::json;
use std::{fs, path::Path};
use support::{
    atelier, error_of, make_weights_overflow,
    tiny_model::{TEXT_ENCODER, TinyModel, UNET, assert_says, fixtures},
};

#[test]
fn weights_that_are_no_weights() {
    let half = TinyModel::new("sd");
    half.spoil(UNET, |bytes| bytes[..bytes.len() / 2].to_vec());
    assert_says(&half.refused(&[]), &[UNET, "the download was cut off"]);

    let pickle = TinyModel::new("sd");
    pickle.spoil(UNET, |_| b"\x80\x02}q\x00X\x06".to_vec());
    assert_says(&pickle.refused(&[]), &[UNET, "pickle file"]);

    let pointer = TinyModel::new("sd");
    pointer.spoil(UNET, |_| b"version https://git-lfs.github.com/spec/v1\n".to_vec());
    assert_says(&pointer.refused(&[]), &[UNET, "git lfs pull"]);

    // The last tensor ends with the file.
    let nan = TinyModel::new("sd");
    nan.spoil(UNET, |mut bytes| {
        let end = bytes.len() - 4;
        bytes[end..].copy_from_slice(&f32::NAN.to_le_bytes());
        bytes
    });
    assert_says(&nan.refused(&[]), &[UNET, "holds the value NaN"]);

    let missing = TinyModel::new("sd");
    fs::remove_file(missing.path(UNET)).expect("removed");
    assert_says(&missing.refused(&[]), &["unet/diffusion_pytorch_model"]);
}

/// Weights that are numbers, and give none: the first part to do so is named, and no black picture is left.
#[test]
fn weights_that_overflow() {
    let of = |file: &str| {
        let model = TinyModel::new("sd");
        make_weights_overflow(&model.path(file));
        model.refused(&[])
    };
    assert_says(&of(UNET), &["the denoiser gave numbers that are not finite", "at step 1 of 1"]);
    assert_says(&of("vae/diffusion_pytorch_model.safetensors"), &["the autoencoder gave numbers"]);
    assert_says(&of("text_encoder/model.safetensors"), &["the text encoder gave numbers", "for the prompt"]);
    for message in [of(UNET), of("text_encoder/model.safetensors")] {
        assert!(!message.contains("checkpoint"), "{message}");
    }
}

#[test]
fn configurations_of_other_models() {
    let misspelt = TinyModel::new("sd");
    misspelt.spoil("unet/config.json", |json| replaced(&json, "\"act_fn\"", "\"act_fm\""));
    assert_says(&misspelt.refused(&[]), &["unet/config.json", "no `act_fm`", "`act_fn`"]);

    let wider = TinyModel::new("sd");
    wider.spoil("unet/config.json", |json| {
        let mut config: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        config["cross_attention_dim"] =
            (2 * config["cross_attention_dim"].as_u64().expect("a number")).into();
        config.to_string().into_bytes()
    });
    assert_says(&wider.refused(&[]), &[UNET, "attn2.to_k.weight", "but the model needs"]);

    let other = TinyModel::new("sd");
    other.spoil("unet/config.json", |json| replaced(&json, "UNet2DConditionModel", "StableCascadeUNet"));
    assert_says(&other.refused(&[]), &["unet/config.json", "StableCascadeUNet"]);
}

#[test]
fn parts_of_other_models() {
    let sd = |change: &dyn Fn(&TinyModel)| {
        let model = TinyModel::new("sd");
        change(&model);
        model.refused(&[])
    };
    let of_inpainting = sd(&|model| widen_input(model, 9));
    assert_says(
        &of_inpainting,
        &["unet/config.json", "`in_channels`", "9 channels", "vae has 4", "inpainting"],
    );
    assert_says(&sd(&|model| widen_input(model, 8)), &["8 channels, but vae has 4", "InstructPix2Pix"]);
    let of_sdxl = sd(&|model| model.take("unet", "sdxl"));
    assert_says(&of_sdxl, &["unet/config.json", "the UNet is of SDXL", "text_encoder_2"]);
    let wider = sd(&|model| model.take("vae", "sd3"));
    assert_says(&wider, &["unet/config.json", "`in_channels`", "4 channels, but vae has 16"]);
    let narrower = sd(&|model| model.take("text_encoder", "flux"));
    assert_says(&narrower, &["`cross_attention_dim`", "12 channels, but text_encoder has 10"]);
    let few = sd(&|model| {
        shorten(model, "text_model.embeddings.token_embedding.weight", 500);
        model.set("text_encoder/config.json", json!({"vocab_size": 500}));
    });
    assert_says(&few, &["tokenizer", "ids up to 524, but text_encoder knows 500 tokens"]);
    let short = sd(&|model| {
        shorten(model, "text_model.embeddings.position_embedding.weight", 32);
        model.set("text_encoder/config.json", json!({"max_position_embeddings": 32}));
    });
    assert_says(&short, &["`model_max_length`", "77 tokens, but text_encoder has 32"]);
    let of_t5 = sd(&|model| model.set("text_encoder/config.json", json!({"model_type": "t5"})));
    assert_says(&of_t5, &["text_encoder/config.json", "T5 encoder"]);
    let consistency = sd(&|model| model.set("unet/config.json", json!({"time_cond_proj_dim": 256})));
    assert_says(&consistency, &["unet/config.json", "`time_cond_proj_dim` = 256"]);
    let statistics = json!({"latents_mean": [0.5, 0, 0, 1], "latents_std": [2, 1, 1, 4]});
    let of_playground = sd(&|model| model.set("vae/config.json", statistics.clone()));
    assert_says(&of_playground, &["vae/config.json", "`latents_mean` and `latents_std`", "Playground"]);

    let sdxl = TinyModel::new("sdxl");
    sdxl.take("unet", "sd");
    assert_says(&sdxl.refused(&[]), &["12 channels, but text_encoder with text_encoder_2 has 28"]);
    let sd3 = TinyModel::new("sd3");
    sd3.take("vae", "sd");
    assert_says(&sd3.refused(&[]), &["transformer/config.json", "16 channels, but vae has 4"]);
}

/// Gives the first convolution of the UNet that many channels.
fn widen_input(model: &TinyModel, channels: usize) {
    let mut tensors = model.tensors(UNET);
    let wide = TensorValues::new(vec![8, channels, 3, 3], vec![0.1; 8 * channels * 9]).expect("it fits");
    tensors.insert("conv_in.weight".to_owned(), wide);
    model.write(UNET, &tensors, Precision::F32);
    model.set("unet/config.json", json!({"in_channels": channels}));
}

/// Leaves that many rows of an embedding of the text encoder.
fn shorten(model: &TinyModel, name: &str, rows: usize) {
    let mut tensors = model.tensors(TEXT_ENCODER);
    let name = if tensors.contains_key(name) { name } else { name.trim_start_matches("text_model.") };
    let columns = tensors[name].shape()[1];
    let values = tensors[name].values()[..rows * columns].to_vec();
    tensors.insert(name.to_owned(), TensorValues::new(vec![rows, columns], values).expect("it fits"));
    model.write(TEXT_ENCODER, &tensors, Precision::F32);
}

#[test]
fn an_index_that_leads_out_of_the_folder() {
    let model = TinyModel::new("sd");
    let names: Vec<String> = model.tensors(UNET).into_keys().collect();
    for outside in ["../../outside.safetensors", "/outside.safetensors", "../vae/other.safetensors"] {
        let model = TinyModel::new("sd");
        fs::remove_file(model.path(UNET)).expect("removed");
        let map: serde_json::Map<_, _> = names.iter().map(|name| (name.clone(), outside.into())).collect();
        let index = json!({"metadata": {"total_size": 1}, "weight_map": map}).to_string();
        fs::write(model.path("unet/diffusion_pytorch_model.safetensors.index.json"), index).expect("written");
        assert_says(&model.refused(&[]), &["unet", outside, "leads out of the folder"]);
    }
}

#[test]
fn adapters_for_other_models() {
    let model = TinyModel::new("sd");
    let lora = fixtures("lora/diffusers.safetensors").display().to_string();
    let painter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/painter").display().to_string();
    let sample = ["sample", "--prompt", "a harbour", "--model", &painter, "--lora", &lora, "--device", "cpu"];
    let out = model.path("pictures").display().to_string();
    let (code, message) = error_of(&mut atelier(&[&sample[..], &["--out", &out]].concat()));
    assert_eq!(code, Some(1), "{message}");
    assert_says(&message, &["lora/diffusers.safetensors"]);
    assert!(!model.path("pictures").exists());
    // Weights are no adapter.
    let file = model.path(UNET).display().to_string();
    assert_says(&model.refused(&["--lora", &file]), &[UNET, "is no key of a plain LoRA"]);
}

fn replaced(json: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = std::str::from_utf8(json).expect("UTF-8");
    assert!(text.contains(from), "{text}");
    text.replacen(from, to, 1).into_bytes()
}
