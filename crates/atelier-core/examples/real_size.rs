//! One forward pass of a UNet folder beside what diffusers computed: `benches/real_size.py` makes the folder and runs this.

#![recursion_limit = "256"]

use std::{collections::BTreeMap, error::Error, path::Path, time::Instant};

use atelier_core::{
    models::{
        ModelConfig, prompt_embeddings::PromptEmbeddings, unet_2d_condition::UNet2DConditionModelConfig,
    },
    weights::{self, TensorValues, WeightsFile},
};
use burn::tensor::{Device, Tensor};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("name the folder of a UNet")?;
    let (folder, device) = (Path::new(&folder), Device::flex());
    let config = UNet2DConditionModelConfig::from_json(&std::fs::read(folder.join("config.json"))?)?;
    let started = Instant::now();
    let model =
        weights::load(config.init(&device)?, &folder.join("diffusion_pytorch_model.fp16.safetensors"))?;
    let loaded = started.elapsed().as_secs_f64();

    let (tensors, _) = weights::read_tensors(&WeightsFile::open(&folder.join("io.safetensors"))?)?;
    let prompt = PromptEmbeddings {
        prompt_embeds: tensor(&tensors, "encoder_hidden_states", &device)?,
        pooled_prompt_embeds: optional(&tensors, "text_embeds", &device)?,
        time_ids: optional(&tensors, "time_ids", &device)?,
        guidance: None,
    };
    let (sample, timestep) = (tensor(&tensors, "sample", &device)?, tensor(&tensors, "timestep", &device)?);
    let expected: Tensor<4> = tensor(&tensors, "output", &device)?;
    let started = Instant::now();
    let output = model.forward(sample, timestep, prompt);
    let error: f32 = (output - expected.clone()).abs().max().into_scalar();
    let seconds = started.elapsed().as_secs_f64();
    let scale: f32 = expected.abs().max().into_scalar();
    println!("{}", serde_json::json!({ "load": loaded, "forward": seconds, "error": error / scale }));
    Ok(())
}

fn tensor<const D: usize>(
    tensors: &BTreeMap<String, TensorValues>,
    name: &str,
    device: &Device,
) -> Result<Tensor<D>, Box<dyn Error>> {
    optional(tensors, name, device)?.ok_or_else(|| format!("io.safetensors has no `{name}`").into())
}

fn optional<const D: usize>(
    tensors: &BTreeMap<String, TensorValues>,
    name: &str,
    device: &Device,
) -> Result<Option<Tensor<D>>, Box<dyn Error>> {
    Ok(tensors.get(name).map(|values| values.to_tensor(device)).transpose()?)
}
