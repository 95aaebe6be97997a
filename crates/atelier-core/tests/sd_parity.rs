//! Stable Diffusion 1.5, 2.1 and SDXL in small: parts and whole pipelines compute what diffusers and transformers
//! compute from the same folders, which `make_sd_fixtures.py` makes.
//!
//! Parts are within 1e-4 of their output's scale, as in `models_parity.rs`. Pipelines are within 1e-3: four steps with
//! guidance 5 multiply the differences of f32 sums some ten times.

#![recursion_limit = "256"]

mod support;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use atelier_core::models::autoencoder_kl::{AutoencoderKL, AutoencoderKLConfig};
use atelier_core::models::clip_text::CLIPTextConfig;
use atelier_core::models::prompt_embeddings::PromptEmbeddings;
use atelier_core::models::unet_2d_condition::UNet2DConditionModelConfig;
use atelier_core::noise::NoiseSource;
use atelier_core::pipeline::{Pipeline, SizeConditions};
use atelier_core::sampling::{Conditioning, sample};
use atelier_core::schedulers::SchedulerKind;
use atelier_core::text::PromptTokenizer;
use atelier_core::weights;
use burn::tensor::{Device, Int, Tensor};
use futures_lite::future::block_on;
use serde_json::Value;
use support::{Fixture, assert_close, assert_close_within};

const DIFFUSERS: &str = "diffusion_pytorch_model.safetensors";
const TRANSFORMERS: &str = "model.safetensors";

// Parts

fn autoencoder(fixture: &Fixture) -> (AutoencoderKLConfig, AutoencoderKL) {
    let config = fixture.config::<AutoencoderKLConfig>();
    let model = config.init(&Device::flex()).unwrap();
    (config, weights::load(model, &fixture.folder.join(DIFFUSERS)).unwrap())
}

#[test]
fn autoencoder_kl_matches_diffusers() {
    for name in ["autoencoder_kl", "autoencoder_kl_16"] {
        let fixture = Fixture::open(name);
        let (_, model) = autoencoder(&fixture);
        assert_close(model.encode(fixture.floats("image")).mean, fixture.floats("mean"));
        assert_close(model.decode(fixture.floats("latents")), fixture.floats("decoded"));
    }
    let fixture = Fixture::open("autoencoder_kl");
    let (_, model) = autoencoder(&fixture);
    assert_close(model.encode(fixture.floats("image")).logvar, fixture.floats("logvar"));
}

#[test]
fn autoencoder_kl_matches_diffusers_in_tiles() {
    let fixture = Fixture::open("autoencoder_kl");
    let (config, model) = autoencoder(&fixture);
    let image = fixture.floats("image");
    assert_close(model.encode_tiled(&image, &config).mean, fixture.floats("tiled_mean"));
    let latents = fixture.floats("latents");
    assert_close(model.decode_tiled(&latents, &config), fixture.floats("tiled_decoded"));
    // The tiles are no detail: without them the picture is another one.
    let difference: f32 = (model.decode(latents) - fixture.floats("tiled_decoded")).abs().max().into_scalar();
    assert!(difference > 1e-3, "{difference}");
}

#[test]
fn unet_with_vector_and_sizes_matches_diffusers() {
    let fixture = Fixture::open("unet_text_time");
    let model = fixture.config::<UNet2DConditionModelConfig>().init(&Device::flex()).unwrap();
    let model = weights::load(model, &fixture.folder.join(DIFFUSERS)).unwrap();
    let prompt = PromptEmbeddings {
        prompt_embeds: fixture.floats("encoder_hidden_states"),
        pooled_prompt_embeds: Some(fixture.floats("text_embeds")),
        time_ids: Some(fixture.floats("time_ids")),
        guidance: None,
    };
    let output = model.forward(fixture.floats("sample"), fixture.floats("timestep"), prompt);
    assert_close(output, fixture.floats("output"));
}

#[test]
fn clip_text_with_projection_matches_transformers() {
    for name in ["clip_text_projection", "clip_text_projection_old"] {
        let fixture = Fixture::open(name);
        let config: CLIPTextConfig = fixture.config();
        let model = config.init_with_projection(&Device::flex()).unwrap();
        let model = weights::load(model, &fixture.folder.join(TRANSFORMERS)).unwrap();
        let ids: Tensor<2, Int> = fixture.floats::<2>("input_ids").int();
        let states = model.states(ids, &config);
        assert_close(states.text_embeds.clone().unwrap(), fixture.floats("text_embeds"));
        assert_close(states.hidden_state(1), fixture.floats("penultimate"));
        assert_close(states.hidden_state(2), fixture.floats("clip_skip"));
    }
}

// Tokenizers

/// What transformers makes of prompts, with various files beside the tokenizer.
#[test]
fn prompts_are_filled_up_as_transformers_does() {
    let folder = Path::new("tests/fixtures/tokenizers");
    let read = |path: &Path| std::fs::read(path).unwrap();
    let fixture: Value = serde_json::from_slice(&read(&folder.join("padding.json"))).unwrap();
    let prompts: Vec<&str> =
        fixture["prompts"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let length = fixture["length"].as_u64().unwrap() as usize;
    for case in fixture["cases"].as_array().unwrap() {
        let index = serde_json::json!({ "tokenizer": ["transformers", case["class"]] });
        let mut files = BTreeMap::from([("model_index.json".to_owned(), index.to_string().into_bytes())]);
        let mut add = |name: &str, bytes: Vec<u8>| files.insert(format!("tokenizer/{name}"), bytes);
        if case["whole"] == true {
            let mut whole: Value = serde_json::from_slice(&read(&folder.join("tokenizer.json"))).unwrap();
            whole["padding"] = case["padding"].clone();
            add("tokenizer.json", whole.to_string().into_bytes());
        } else {
            let vocabulary = Path::new("tests/fixtures/pipelines/sd/tokenizer");
            for name in ["vocab.json", "merges.txt"] {
                add(name, read(&vocabulary.join(name)));
            }
        }
        for (name, content) in case["files"].as_object().unwrap() {
            // As some editors save it.
            add(name, format!("\u{feff}{content}").into_bytes());
        }
        let tokenizer = PromptTokenizer::load(&files, "tokenizer", length).unwrap();
        let rows: Vec<Vec<i64>> = serde_json::from_value(case["input_ids"].clone()).unwrap();
        let expected = rows.concat();
        let encode = |tokenizer: &PromptTokenizer| -> Vec<i64> {
            tokenizer.encode(&prompts, &Device::flex()).unwrap().into_data().iter::<i64>().collect()
        };
        assert_eq!(encode(&tokenizer), expected, "{}", case["name"]);
        // What is written is the same tokenizer.
        let written = BTreeMap::from([
            ("tokenizer/tokenizer.json".to_owned(), tokenizer.bytes().to_vec()),
            ("tokenizer/tokenizer_config.json".to_owned(), tokenizer.config()),
        ]);
        let again = PromptTokenizer::load(&written, "tokenizer", length).unwrap();
        assert_eq!(encode(&again), expected, "{}, written and read", case["name"]);
    }
}

// Pipelines

const PROMPT: &str = "A quiet Harbour, at dusk!";
const NEGATIVE: &str = "muddy colour";

struct Case {
    name: &'static str,
    scheduler: SchedulerKind,
    clip_skip: usize,
    sizes: SizeConditions,
}

/// Each pipeline with and without guidance and negative prompt, and the picture of the first.
fn assert_pipeline_matches(case: &Case) {
    let device = Device::flex();
    let folder = Path::new("tests/fixtures/pipelines").join(case.name);
    let fixture = Fixture::at(folder.clone());
    let mut pipeline = Pipeline::load(folder.as_path(), &device).unwrap();
    pipeline.clip_skip = case.clip_skip;
    let ids = pipeline.tokenizer.encode(&[PROMPT], &device).unwrap().float();
    assert_eq!(ids.to_data(), fixture.floats::<2>("input_ids").to_data());
    for (key, negative, guidance_scale) in
        [("guided", NEGATIVE, 5.0), ("guided_empty", "", 5.0), ("unguided", "", 1.0)]
    {
        let sizes = [case.sizes];
        let negative = pipeline.encode_negative_prompt(negative, &device).unwrap();
        let conditioning = Conditioning {
            prompt: pipeline.with_sizes(pipeline.encode_prompts(&[PROMPT, PROMPT], &device).unwrap(), &sizes),
            negative: Some(pipeline.with_sizes(negative, &sizes)),
            guidance_scale,
            negative_denoiser: None,
        };
        let mut scheduler = case.scheduler.build(&pipeline.scheduler_config).unwrap();
        scheduler.set_timesteps(4).unwrap();
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

#[test]
fn stable_diffusion_1_5_matches_diffusers() {
    let sizes = SizeConditions::whole(16, 24);
    assert_pipeline_matches(&Case { name: "sd", scheduler: SchedulerKind::Ddim, clip_skip: 1, sizes });
}

#[test]
fn stable_diffusion_2_1_matches_diffusers() {
    let sizes = SizeConditions::whole(16, 24);
    assert_pipeline_matches(&Case { name: "sd21", scheduler: SchedulerKind::Ddim, clip_skip: 0, sizes });
}

#[test]
fn stable_diffusion_xl_matches_diffusers() {
    let sizes = SizeConditions { original: [32, 40], crop: [4, 2], target: [16, 24] };
    assert_pipeline_matches(&Case { name: "sdxl", scheduler: SchedulerKind::Euler, clip_skip: 0, sizes });
}

/// A byte order mark before any JSON of a model folder is skipped.
#[test]
fn byte_order_marks_are_read() {
    let device = Device::flex();
    let folder = Path::new("tests/fixtures/pipelines/sd");
    let mut files =
        block_on(Pipeline::load(folder, &device).unwrap().to_files(weights::Precision::F32)).unwrap();
    let marked = files.clone();
    for (name, bytes) in files.iter_mut().filter(|(name, _)| name.ends_with(".json")) {
        assert_ne!(bytes[0], 0xef, "{name}");
        bytes.splice(0..0, "\u{feff}".bytes());
    }
    let again = Pipeline::load(&files, &device).unwrap();
    assert_eq!(block_on(again.to_files(weights::Precision::F32)).unwrap(), marked);
}

/// What is written is a folder again, with the same files.
#[test]
fn saved_pipelines_are_loaded_again() {
    let device = Device::flex();
    let folder = Path::new("tests/fixtures/pipelines/sdxl");
    let pipeline = Pipeline::load(folder, &device).unwrap();
    let files = block_on(pipeline.to_files(weights::Precision::F32)).unwrap();
    let again = Pipeline::load(&files, &device).unwrap();
    assert_eq!(files, block_on(again.to_files(weights::Precision::F32)).unwrap());
    // The second tokenizer fills prompts up with `!`, which its `tokenizer.json` does not say.
    let states = |pipeline: &Pipeline| pipeline.encode_prompts(&[PROMPT], &device).unwrap().prompt_embeds;
    assert_eq!(states(&pipeline).to_data(), states(&again).to_data());
    for part in ["model_index.json", "unet/config.json", "text_encoder_2/config.json"] {
        let original: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join(part)).unwrap()).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&files[part]).unwrap();
        for key in ["_class_name", "architectures", "force_zeros_for_empty_prompt", "text_encoder_2", "unet"]
        {
            assert_eq!(original[key], written[key], "{part}: {key}");
        }
    }
}
