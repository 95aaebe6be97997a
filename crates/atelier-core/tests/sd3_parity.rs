//! Stable Diffusion 3 and 3.5 in small: the transformers, a LoRA and a whole pipeline compute what diffusers and transformers
//! compute from the same files, which `make_sd3_fixtures.py` makes.
//!
//! Transformers are within 1e-4 of their output's scale, as in `models_parity.rs`, and the pipeline is within 1e-3, as in
//! `sd_parity.rs`. The scheduler is that of `flux_parity.rs`.

#![recursion_limit = "256"]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use atelier_core::lora::{Component, LoraFile};
use atelier_core::models::layers::Adaptable;
use atelier_core::models::prompt_embeddings::PromptEmbeddings;
use atelier_core::models::transformer_sd3::{SD3Transformer2DModel, SD3Transformer2DModelConfig};
use atelier_core::noise::NoiseSource;
use atelier_core::pipeline::{PictureSides, Pipeline};
use atelier_core::sampling::{Conditioning, sample};
use atelier_core::schedulers::SchedulerKind;
use atelier_core::weights::{self, Precision, WeightsFile};
use burn::tensor::{Device, Tensor};
use futures_lite::future::block_on;
use support::{Fixture, assert_close, assert_close_within};

const DIFFUSERS: &str = "diffusion_pytorch_model.safetensors";

// Transformers

fn fresh(fixture: &Fixture) -> SD3Transformer2DModel {
    fixture.config::<SD3Transformer2DModelConfig>().init(&Device::flex()).unwrap()
}

fn transformer(fixture: &Fixture) -> SD3Transformer2DModel {
    weights::load(fresh(fixture), &fixture.folder.join(DIFFUSERS)).unwrap()
}

fn output(model: &SD3Transformer2DModel, fixture: &Fixture) -> Tensor<4> {
    let prompt = PromptEmbeddings {
        pooled_prompt_embeds: Some(fixture.floats("pooled_projections")),
        ..fixture.floats::<3>("encoder_hidden_states").into()
    };
    model.forward(fixture.floats("sample"), fixture.floats("timestep"), prompt)
}

#[test]
fn transformers_of_sd3_and_of_sd35_match_diffusers() {
    for name in ["sd3", "sd35"] {
        let fixture = Fixture::open(name);
        assert_close(output(&transformer(&fixture), &fixture), fixture.floats("output"));
    }
}

/// They are read from files; a fresh model has the same.
#[test]
fn positions_match_diffusers() {
    let fixture = Fixture::open("sd3");
    let bytes = block_on(weights::to_bytes(&fresh(&fixture), Precision::F32, &Default::default())).unwrap();
    let own = weights::read_tensors(&WeightsFile::from_bytes("own", bytes).unwrap()).unwrap().0;
    let theirs = WeightsFile::open(&fixture.folder.join(DIFFUSERS)).unwrap();
    let theirs = weights::read_tensors(&theirs).unwrap().0;
    let positions = |tensors: &std::collections::BTreeMap<_, weights::TensorValues>| {
        tensors["pos_embed.pos_embed"].to_tensor::<3>(&Device::flex()).unwrap()
    };
    assert_close(positions(&own), positions(&theirs));
}

// LoRA

#[test]
fn every_linear_layer_can_be_adapted() {
    let fixture = Fixture::open("sd35");
    let file = WeightsFile::open(&fixture.folder.join(DIFFUSERS)).unwrap();
    // The matrices, and the convolution that makes tokens.
    let layers = file.tensors().filter(|(_, shape)| [2, 4].contains(&shape.len()));
    let expected: BTreeSet<String> =
        layers.filter_map(|(name, _)| name.strip_suffix(".weight").map(str::to_owned)).collect();
    let mut found = BTreeSet::new();
    transformer(&fixture).visit_layers("", &mut |name, _| {
        found.insert(name.to_owned());
    });
    assert_eq!(found, expected);
}

#[test]
fn an_adapter_of_diffusers_matches() {
    let fixture = Fixture::open("sd35");
    let model = transformer(&fixture);
    let read = |name: &str| {
        let file = WeightsFile::open(&Path::new("tests/fixtures/lora").join(name)).unwrap();
        weights::read_tensors(&file).unwrap()
    };
    let (tensors, metadata) = read("sd35.safetensors");
    let file = LoraFile::new(tensors, &metadata).unwrap();
    assert_eq!(file.components().collect::<Vec<_>>(), [Component::Transformer]);
    let adapter = file.adapter(Component::Transformer, &model, &Device::flex()).unwrap().unwrap();
    let expected: Tensor<4> =
        read("sd35_outputs.safetensors").0["adapted"].to_tensor(&Device::flex()).unwrap();
    assert_close(output(&adapter.attach(&model, 1.0).unwrap(), &fixture), expected.clone());
    assert_close(output(&adapter.merge(&model, 1.0).unwrap(), &fixture), expected);
}

// Pipeline

const PROMPT: &str = "A quiet Harbour, at dusk!";
const NEGATIVE: &str = "muddy colour";
const FOLDER: &str = "tests/fixtures/pipelines/sd3";

fn pipeline(device: &Device) -> (Pipeline, Fixture) {
    let folder = Path::new(FOLDER);
    (Pipeline::load(folder, device).unwrap(), Fixture::at(folder.to_owned()))
}

#[test]
fn prompts_match_transformers() {
    let device = Device::flex();
    let (pipeline, fixture) = pipeline(&device);
    let found = pipeline.encode_prompts(&[PROMPT], &device).unwrap();
    assert_close(found.prompt_embeds, fixture.floats("prompt_embeds"));
    assert_close(found.pooled_prompt_embeds.unwrap(), fixture.floats("pooled_prompt_embeds"));
    // What is too long for CLIP is read by T5.
    let long = "a harbour ".repeat(60);
    assert!(pipeline.ignored(&long).is_none());
    assert!(Pipeline { third_text_encoder: None, ..pipeline }.ignored(&long).is_some());
}

#[test]
fn sd3_matches_diffusers() {
    let device = Device::flex();
    let (whole, fixture) = pipeline(&device);
    let without_t5 = Pipeline { third_text_encoder: None, ..whole.clone() };
    let skipping = Pipeline { clip_skip: 1, ..whole.clone() };
    for (key, pipeline, negative, guidance_scale) in [
        ("guided", &whole, NEGATIVE, 5.0),
        ("guided_empty", &skipping, "", 5.0),
        ("unguided", &whole, "", 1.0),
        ("without_t5", &without_t5, NEGATIVE, 5.0),
    ] {
        let conditioning = Conditioning {
            prompt: pipeline.encode_prompts(&[PROMPT, PROMPT], &device).unwrap(),
            negative: Some(pipeline.encode_negative_prompt(negative, &device).unwrap()),
            negative_denoiser: None,
            guidance_scale,
        };
        let mut scheduler = pipeline.scheduler(SchedulerKind::FlowMatchEuler, 4, [8, 12]).unwrap();
        let latents = block_on(sample(
            &pipeline.denoiser,
            scheduler.as_mut(),
            fixture.floats("latents"),
            &conditioning,
            &mut [NoiseSource::new(0), NoiseSource::new(1)],
            async |_| ControlFlow::Continue(()),
        ))
        .unwrap();
        assert_close_within(latents.clone(), fixture.floats(key), 1e-3);
        if key == "guided" {
            assert_close_within(pipeline.decode_latents(latents), fixture.floats("pictures"), 1e-3);
        }
    }
}

fn index(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn saved_pipelines_are_loaded_again() {
    let device = Device::flex();
    let (pipeline, _) = pipeline(&device);
    let files = block_on(pipeline.to_files(Precision::F32)).unwrap();
    let again = Pipeline::load(&files, &device).unwrap();
    assert_eq!(files, block_on(again.to_files(Precision::F32)).unwrap());
    let embeddings = |pipeline: &Pipeline| pipeline.encode_prompts(&[PROMPT], &device).unwrap();
    let (first, second) = (embeddings(&pipeline), embeddings(&again));
    assert_eq!(first.prompt_embeds.to_data(), second.prompt_embeds.to_data());
    let written = index(&files["model_index.json"]);
    let original = index(&fs::read(Path::new(FOLDER).join("model_index.json")).unwrap());
    for key in
        ["_class_name", "scheduler", "text_encoder", "text_encoder_2", "text_encoder_3", "transformer", "vae"]
    {
        assert_eq!(written[key], original[key], "{key}");
    }
    for key in ["unet", "safety_checker", "force_zeros_for_empty_prompt"] {
        assert!(written.get(key).is_none(), "{key}");
    }
}

#[test]
fn t5_can_be_left_out_of_a_folder() {
    let device = Device::flex();
    let (pipeline, _) = pipeline(&device);
    let files = block_on(Pipeline { third_text_encoder: None, ..pipeline }.to_files(Precision::F32)).unwrap();
    assert!(files.keys().all(|path| !path.starts_with("text_encoder_3") && !path.starts_with("tokenizer_3")));
    assert_eq!(index(&files["model_index.json"])["text_encoder_3"], serde_json::json!([null, null]));
    assert!(Pipeline::load(&files, &device).unwrap().third_text_encoder.is_none());
}

#[test]
fn sides_are_bounded_by_the_positions() {
    let sides = PictureSides { divisor: 4, longest: Some(64) };
    assert_eq!(PictureSides::read(Path::new(FOLDER)).unwrap(), sides);
    assert_eq!(pipeline(&Device::flex()).0.picture_sides(), sides);
}

#[test]
fn parts_that_do_not_belong_together_are_named() {
    let device = Device::flex();
    let files = block_on(pipeline(&device).0.to_files(Precision::F32)).unwrap();
    let error = |path: &str, change: &dyn Fn(String) -> Option<String>| {
        let mut files = files.clone();
        let text = String::from_utf8(files.remove(path).unwrap()).unwrap();
        files.extend(change(text).map(|changed| (path.to_owned(), changed.into_bytes())));
        Pipeline::load(&files, &device).unwrap_err().to_string()
    };
    for (from, to, expected) in [
        (
            "attention_dim\": 24",
            "attention_dim\": 20",
            "`joint_attention_dim` does not fit: 20 channels, but text_encoder with text_encoder_2 has 22",
        ),
        (
            "attention_dim\": 24",
            "attention_dim\": 28",
            "`joint_attention_dim` does not fit: 28 channels, but text_encoder_3 has 24",
        ),
        ("projection_dim\": 18", "projection_dim\": 16", "`pooled_projection_dim` does not fit: 16 channels"),
        ("heads\": 2", "heads\": 4", "`caption_projection_dim` is 16, but all heads have 32 channels"),
    ] {
        let message = error("transformer/config.json", &|text| {
            assert!(text.contains(from), "{text}");
            Some(text.replace(from, to))
        });
        assert!(message.starts_with("transformer/config.json") && message.contains(expected), "{message}");
    }
    let message = error("text_encoder_2/config.json", &|_| None);
    assert!(message.contains("SD3 needs a CLIP encoder there"), "{message}");
}
