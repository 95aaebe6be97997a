//! FLUX in small: scheduler, parts, a LoRA and a whole pipeline compute what diffusers and transformers compute from the same
//! files, which `make_flux_fixtures.py` makes.
//!
//! Parts are within 1e-4 of their output's scale, as in `models_parity.rs`, and the pipeline is within 1e-3, as in
//! `sd_parity.rs`. diffusers keeps sigmas in f32, here they are f64: they agree to 1e-6.

#![recursion_limit = "256"]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use atelier_core::lora::{Component, LoraAdapter, LoraConfig, LoraFile};
use atelier_core::models::layers::Adaptable;
use atelier_core::models::prompt_embeddings::PromptEmbeddings;
use atelier_core::models::t5_encoder::T5Config;
use atelier_core::models::transformer_flux::{FluxTransformer2DModel, FluxTransformer2DModelConfig};
use atelier_core::noise::NoiseSource;
use atelier_core::pipeline::{Pipeline, SecondTextEncoder};
use atelier_core::sampling::{Conditioning, sample};
use atelier_core::schedulers::{
    FlowMatchConfig, FlowMatchEulerDiscreteScheduler, FlowMatchSchedule, Scheduler, SchedulerConfig,
    SchedulerKind,
};
use atelier_core::weights::{self, Precision, TensorValues, WeightsFile};
use burn::tensor::{Device, Int, Tensor, TensorData};
use futures_lite::future::block_on;
use serde::Deserialize;
use support::{Fixture, assert_close, assert_close_within};

const DIFFUSERS: &str = "diffusion_pytorch_model.safetensors";
const TRANSFORMERS: &str = "model.safetensors";

// Scheduler

#[derive(Deserialize)]
struct TensorFile {
    shape: [usize; 4],
    values: Vec<f32>,
}

impl TensorFile {
    fn tensor(&self) -> Tensor<4> {
        Tensor::from_data(TensorData::new(self.values.clone(), self.shape), &Device::flex())
    }
}

#[derive(Deserialize)]
struct SchedulerFile {
    training: Vec<TrainingFile>,
    trajectories: Vec<TrajectoryFile>,
}

#[derive(Deserialize)]
struct TrainingFile {
    config: String,
    indices: Vec<usize>,
    timesteps: Vec<f64>,
    sigmas: Vec<f64>,
    noised: Vec<usize>,
    original: TensorFile,
    noise: TensorFile,
    noisy: TensorFile,
    velocity: TensorFile,
}

#[derive(Deserialize)]
struct TrajectoryFile {
    name: String,
    config: String,
    image_seq_len: Option<usize>,
    timesteps: Vec<f64>,
    sigmas: Vec<f64>,
    latents: TensorFile,
    steps: Vec<StepFile>,
}

#[derive(Deserialize)]
struct StepFile {
    model_output: TensorFile,
    prev_sample: TensorFile,
}

fn scheduler_file() -> SchedulerFile {
    serde_json::from_slice(&fs::read("tests/fixtures/schedulers/flow-match-euler.json").unwrap()).unwrap()
}

fn config(text: &str) -> FlowMatchConfig {
    match SchedulerConfig::from_json(text.as_bytes()).unwrap() {
        SchedulerConfig::FlowMatch(config) => config,
        SchedulerConfig::Diffusion(_) => panic!("{text} is of a flow matching model"),
    }
}

#[track_caller]
fn assert_numbers(found: &[f64], expected: &[f64], unit: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-6 * unit, "{what}: {found} instead of {expected}");
    }
}

#[test]
fn flow_match_euler_matches_diffusers() {
    for case in scheduler_file().trajectories {
        let mut scheduler = FlowMatchEulerDiscreteScheduler::new(&config(&case.config)).unwrap();
        match case.image_seq_len {
            Some(tokens) => scheduler.set_timesteps_for(case.timesteps.len(), tokens).unwrap(),
            None => scheduler.set_timesteps(case.timesteps.len()).unwrap(),
        }
        assert_numbers(scheduler.timesteps(), &case.timesteps, 1000.0, &case.name);
        assert_numbers(scheduler.sigmas(), &case.sigmas, 1.0, &case.name);
        let mut latents = case.latents.tensor();
        for (index, step) in case.steps.iter().enumerate() {
            latents = scheduler.step(step.model_output.tensor(), index, latents, None).unwrap().prev_sample;
            assert_close(latents.clone(), step.prev_sample.tensor());
        }
    }
}

#[test]
fn training_noise_matches_diffusers() {
    for case in scheduler_file().training {
        let schedule = FlowMatchSchedule::new(&config(&case.config)).unwrap();
        let sigmas: Vec<f64> = case.indices.iter().map(|&index| schedule.sigmas()[index]).collect();
        assert_numbers(&sigmas, &case.sigmas, 1.0, &case.config);
        let timesteps: Vec<f64> = case.indices.iter().map(|&index| schedule.timestep(index)).collect();
        assert_numbers(&timesteps, &case.timesteps, 1000.0, &case.config);
        let (original, noise) = (case.original.tensor(), case.noise.tensor());
        let noisy = schedule.add_noise(original.clone(), noise.clone(), &case.noised);
        assert_close(noisy, case.noisy.tensor());
        assert_close(schedule.velocity(original, noise), case.velocity.tensor());
    }
}

// Parts

#[test]
fn t5_encoder_matches_transformers() {
    let fixture = Fixture::open("t5_encoder");
    let model = fixture.config::<T5Config>().init(&Device::flex()).unwrap();
    let model = weights::load(model, &fixture.folder.join(TRANSFORMERS)).unwrap();
    let ids: Tensor<2, Int> = fixture.floats::<2>("input_ids").int();
    assert_close(model.forward(ids), fixture.floats("last_hidden_state"));
}

/// Older files have the embedding under two names.
#[test]
fn t5_embeddings_are_found_under_their_other_name() {
    let fixture = Fixture::open("t5_encoder");
    let file = WeightsFile::open(&fixture.folder.join(TRANSFORMERS)).unwrap();
    let (mut tensors, metadata) = weights::read_tensors(&file).unwrap();
    let shared = tensors["shared.weight"].clone();
    tensors.insert("encoder.embed_tokens.weight".to_owned(), shared);
    for name in ["", "shared.weight"] {
        tensors.remove(name);
        let bytes = weights::write_tensors(&tensors, Precision::F32, &metadata).unwrap();
        let model = fixture.config::<T5Config>().init(&Device::flex()).unwrap();
        let model = weights::load_into(model, &bytes).unwrap();
        let ids: Tensor<2, Int> = fixture.floats::<2>("input_ids").int();
        assert_close(model.forward(ids), fixture.floats("last_hidden_state"));
    }
}

fn transformer(fixture: &Fixture) -> FluxTransformer2DModel {
    let model = fixture.config::<FluxTransformer2DModelConfig>().init(&Device::flex()).unwrap();
    weights::load(model, &fixture.folder.join(DIFFUSERS)).unwrap()
}

fn output(model: &FluxTransformer2DModel, fixture: &Fixture, guidance: Option<Tensor<1>>) -> Tensor<4> {
    let prompt = PromptEmbeddings {
        pooled_prompt_embeds: Some(fixture.floats("pooled_projections")),
        guidance,
        ..fixture.floats::<3>("encoder_hidden_states").into()
    };
    model.forward(fixture.floats("sample"), fixture.floats("timestep"), prompt)
}

#[test]
fn flux_transformer_matches_diffusers() {
    let fixture = Fixture::open("flux");
    assert_close(output(&transformer(&fixture), &fixture, None), fixture.floats("output"));
}

#[test]
fn flux_transformer_with_guidance_matches_diffusers() {
    let fixture = Fixture::open("flux_guidance");
    let model = transformer(&fixture);
    let found = output(&model, &fixture, Some(fixture.floats("guidance")));
    assert_close(found.clone(), fixture.floats("output"));
    // Without a scale it is 3.5, which only the first row of the fixture has.
    let difference = (output(&model, &fixture, None) - found).abs();
    assert!(difference.clone().slice([0..1]).max().into_scalar::<f32>() < 1e-6);
    assert!(difference.slice([1..2]).max().into_scalar::<f32>() > 1e-3);
}

// LoRA

#[test]
fn every_linear_layer_can_be_adapted() {
    let fixture = Fixture::open("flux_guidance");
    let file = WeightsFile::open(&fixture.folder.join(DIFFUSERS)).unwrap();
    let matrices = file.tensors().filter(|(_, shape)| shape.len() == 2);
    let expected: BTreeSet<String> =
        matrices.filter_map(|(name, _)| name.strip_suffix(".weight").map(str::to_owned)).collect();
    let mut found = BTreeSet::new();
    transformer(&fixture).visit_layers("", &mut |name, _| {
        found.insert(name.to_owned());
    });
    assert_eq!(found, expected);
}

#[test]
fn an_adapter_of_diffusers_matches() {
    let fixture = Fixture::open("flux");
    let model = transformer(&fixture);
    let read = |name: &str| {
        let file = WeightsFile::open(&Path::new("tests/fixtures/lora").join(name)).unwrap();
        weights::read_tensors(&file).unwrap()
    };
    let (tensors, metadata) = read("flux.safetensors");
    let file = LoraFile::new(tensors, &metadata).unwrap();
    assert_eq!(file.components().collect::<Vec<_>>(), [Component::Transformer]);
    let adapter = file.adapter(Component::Transformer, &model, &Device::flex()).unwrap().unwrap();
    let expected: Tensor<4> =
        read("flux_outputs.safetensors").0["adapted"].to_tensor(&Device::flex()).unwrap();
    assert_close(output(&adapter.attach(&model, 1.0).unwrap(), &fixture, None), expected.clone());
    assert_close(output(&adapter.merge(&model, 1.0).unwrap(), &fixture, None), expected);
}

/// Kohya's scripts and the authors of FLUX have one matrix where diffusers has several. The expected rows are those of
/// diffusers' `convert_flux_to_diffusers.py`; with tensors of real size, its `_convert_kohya_flux_lora_to_diffusers` gives the
/// same names and rows.
#[test]
fn adapters_with_the_names_of_the_authors_are_split() {
    let model = transformer(&Fixture::open("flux"));
    let mut noise = NoiseSource::new(3);
    let mut matrix = |rows: usize, columns: usize| {
        TensorValues::new(vec![rows, columns], noise.normals(rows * columns)).unwrap()
    };
    let rows = |matrix: &TensorValues, rows: std::ops::Range<usize>| {
        let columns = matrix.shape()[1];
        let values = matrix.values()[rows.start * columns..rows.end * columns].to_vec();
        TensorValues::new(vec![rows.len(), columns], values).unwrap()
    };
    let (down, qkv, linear1, modulation) = (matrix(2, 16), matrix(48, 2), matrix(112, 2), matrix(32, 2));
    let (scale, shift) = (rows(&modulation, 16..32), rows(&modulation, 0..16));
    let swapped = TensorValues::new(vec![32, 2], [scale.values(), shift.values()].concat()).unwrap();
    let expected: Vec<(&str, TensorValues)> = vec![
        ("norm_out.linear", swapped),
        ("single_transformer_blocks.0.attn.to_k", rows(&linear1, 16..32)),
        ("single_transformer_blocks.0.attn.to_q", rows(&linear1, 0..16)),
        ("single_transformer_blocks.0.attn.to_v", rows(&linear1, 32..48)),
        ("single_transformer_blocks.0.proj_mlp", rows(&linear1, 48..112)),
        ("transformer_blocks.1.attn.to_k", rows(&qkv, 16..32)),
        ("transformer_blocks.1.attn.to_q", rows(&qkv, 0..16)),
        ("transformer_blocks.1.attn.to_v", rows(&qkv, 32..48)),
    ];
    let written = [
        ("double_blocks.1.img_attn.qkv", &qkv),
        ("single_blocks.0.linear1", &linear1),
        ("final_layer.adaLN_modulation.1", &modulation),
    ];
    for kohya in [true, false] {
        let mut tensors = BTreeMap::new();
        for (name, up) in written {
            let (name, sides) = if kohya {
                (format!("lora_unet_{}", name.replace('.', "_")), ["lora_down", "lora_up"])
            } else {
                (format!("diffusion_model.{name}"), ["lora_A", "lora_B"])
            };
            tensors.insert(format!("{name}.{}.weight", sides[0]), down.clone());
            tensors.insert(format!("{name}.{}.weight", sides[1]), up.clone());
            tensors.insert(format!("{name}.alpha"), TensorValues::new(vec![], vec![1.0]).unwrap());
        }
        let file = LoraFile::new(tensors, &BTreeMap::new()).unwrap();
        assert_eq!(file.components().collect::<Vec<_>>(), [Component::Transformer]);
        let adapter = file.adapter(Component::Transformer, &model, &Device::flex()).unwrap().unwrap();
        assert!(adapter.layers().iter().all(|layer| (layer.rank(), layer.alpha()) == (2, 1.0)));
        let (found, _) = block_on(adapter.to_tensors(Component::Transformer)).unwrap();
        assert_eq!(found.len(), 2 * expected.len());
        for (layer, up) in &expected {
            let of = |side: &str| &found[&format!("transformer.{layer}.lora_{side}.weight")];
            assert_eq!((of("A"), of("B")), (&down, up), "{layer}");
        }
    }
    let narrow = BTreeMap::from([
        ("single_blocks.0.linear1.lora_A.weight".to_owned(), down),
        ("single_blocks.0.linear1.lora_B.weight".to_owned(), qkv),
    ]);
    let file = LoraFile::new(narrow, &BTreeMap::new()).unwrap();
    let error = file.adapter(Component::Transformer, &model, &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("[48, 2]") && error.contains("112 outputs"), "{error}");
}

#[test]
fn adapters_are_written_with_the_prefix_of_transformers() {
    let model = transformer(&Fixture::open("flux"));
    let adapter =
        LoraAdapter::new(&model, &LoraConfig::default(), &mut NoiseSource::new(1), &Device::flex()).unwrap();
    let (tensors, _) = block_on(adapter.to_tensors(Component::Transformer)).unwrap();
    // Four layers in each of two blocks, three in each of the single ones, with two matrices each.
    assert_eq!(tensors.len(), (2 * 4 + 2 * 3) * 2);
    assert!(tensors.contains_key("transformer.transformer_blocks.1.attn.to_out.0.lora_A.weight"));
}

// Pipeline

const PROMPT: &str = "A quiet Harbour, at dusk!";
const NEGATIVE: &str = "muddy colour";

fn pipeline(device: &Device) -> (Pipeline, Fixture) {
    let folder = Path::new("tests/fixtures/pipelines/flux");
    (Pipeline::load(folder, device).unwrap(), Fixture::at(folder.to_owned()))
}

#[test]
fn prompts_of_both_tokenizers_match() {
    let device = Device::flex();
    let (pipeline, fixture) = pipeline(&device);
    let Some(SecondTextEncoder::T5(t5)) = &pipeline.second_text_encoder else {
        panic!("FLUX has a T5 encoder");
    };
    for (tokenizer, ids) in [(&pipeline.tokenizer, "input_ids"), (&t5.tokenizer, "input_ids_2")] {
        let found = tokenizer.encode(&[PROMPT], &device).unwrap().float();
        assert_eq!(found.to_data(), fixture.floats::<2>(ids).to_data(), "{ids}");
    }
}

#[test]
fn flux_matches_diffusers() {
    let device = Device::flex();
    let (pipeline, fixture) = pipeline(&device);
    for (key, negative, guidance_scale, true_cfg_scale) in [
        ("guided", None, 3.5, 1.0),
        ("weakly_guided", None, 1.0, 1.0),
        ("true_cfg", Some(NEGATIVE), 3.5, 3.0),
    ] {
        let conditioning = Conditioning {
            prompt: pipeline.encode_prompts(&[PROMPT, PROMPT], &device).unwrap(),
            negative: negative.map(|prompt| pipeline.encode_negative_prompt(prompt, &device).unwrap()),
            negative_denoiser: None,
            guidance_scale,
        };
        let mut scheduler = pipeline.scheduler(SchedulerKind::FlowMatchEuler, 4, [8, 12]).unwrap();
        let latents = block_on(sample(
            &pipeline.denoiser,
            scheduler.as_mut(),
            fixture.floats("latents"),
            &conditioning.distilled(guidance_scale, true_cfg_scale),
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
fn saved_pipelines_are_loaded_again() {
    let device = Device::flex();
    let (pipeline, _) = pipeline(&device);
    let files = block_on(pipeline.to_files(Precision::F32)).unwrap();
    let again = Pipeline::load(&files, &device).unwrap();
    assert_eq!(files, block_on(again.to_files(Precision::F32)).unwrap());
    let embeddings = |pipeline: &Pipeline| pipeline.encode_prompts(&[PROMPT], &device).unwrap();
    let (first, second) = (embeddings(&pipeline), embeddings(&again));
    assert_eq!(first.prompt_embeds.to_data(), second.prompt_embeds.to_data());
    let index: serde_json::Value = serde_json::from_slice(&files["model_index.json"]).unwrap();
    let folder = Path::new("tests/fixtures/pipelines/flux");
    let original: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("model_index.json")).unwrap()).unwrap();
    for key in ["_class_name", "scheduler", "text_encoder", "text_encoder_2", "transformer", "vae"] {
        assert_eq!(index[key], original[key], "{key}");
    }
    assert!(index.get("unet").is_none());
    let written: serde_json::Value =
        serde_json::from_slice(&files["scheduler/scheduler_config.json"]).unwrap();
    let original: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("scheduler/scheduler_config.json")).unwrap()).unwrap();
    assert_eq!(written, original);
}

/// A folder with one file changed or taken away.
fn error(path: &str, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) -> String {
    let device = Device::flex();
    let mut files = block_on(pipeline(&device).0.to_files(Precision::F32)).unwrap();
    let bytes = files.remove(path).unwrap();
    if let Some(changed) = change(bytes) {
        files.insert(path.to_owned(), changed);
    }
    Pipeline::load(&files, &device).unwrap_err().to_string()
}

#[test]
fn parts_that_do_not_belong_together_are_named() {
    let replaced = |from: &'static str, to: &'static str| {
        move |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            assert!(text.contains(from), "{text}");
            Some(text.replace(from, to).into_bytes())
        }
    };
    let message = error("transformer/config.json", replaced("dim\": 12", "dim\": 16"));
    assert!(message.contains("`joint_attention_dim` does not fit: 16 channels"), "{message}");
    assert!(message.starts_with("transformer/config.json"), "{message}");
    let message = error("text_encoder_2/config.json", |_| None);
    assert!(message.contains("FLUX needs a T5 encoder"), "{message}");
}

#[test]
fn a_tokenizer_of_sentencepiece_says_how_to_convert_it() {
    let device = Device::flex();
    let mut files = block_on(pipeline(&device).0.to_files(Precision::F32)).unwrap();
    files.remove("tokenizer_2/tokenizer.json");
    files.insert("tokenizer_2/spiece.model".to_owned(), vec![10]);
    let message = Pipeline::load(&files, &device).unwrap_err().to_string();
    assert!(message.starts_with("tokenizer_2/tokenizer.json: is missing"), "{message}");
    assert!(message.contains("AutoTokenizer.from_pretrained"), "{message}");
}
