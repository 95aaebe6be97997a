//! Any tiny model with changed configurations or with parts of another one: it is refused or it paints, and nothing panics or
//! asks for memory that is not there.

use super::support::tiny_model::fixtures;
use atelier_core::{
    models::{
        ModelConfig, ModelError, autoencoder::AutoencoderConfig, clip_text::CLIPTextConfig,
        denoiser::DenoiserConfig, t5_encoder::T5Config,
    },
    picture::ModelNames,
    pipeline::{Inventory, Pipeline},
    weights::{self, Precision},
};
use atelier_train::{
    painter::PaintOptions,
    sampler::{SampleOptions, sample},
};
use burn::{module::Module, tensor::Device};
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, ops::ControlFlow, path::Path, sync::LazyLock};

type Files = BTreeMap<String, Vec<u8>>;

/// A tiny model of every family.
static MODELS: LazyLock<Vec<Files>> = LazyLock::new(|| {
    let painter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/painter");
    let tiny = ["sd", "sd21", "sdxl", "sd3", "flux"].map(|name| fixtures(&format!("pipelines/{name}")));
    tiny.iter().chain([&painter]).map(|folder| files(folder)).collect()
});

/// Weights of more values than this are not made.
const LARGEST: usize = 300_000;

fn files(folder: &Path) -> Files {
    let mut all = Files::new();
    for part in fs::read_dir(folder).expect("a folder").flatten() {
        let name = part.file_name().into_string().expect("a name");
        if part.path().is_dir() {
            let inner = files(&part.path()).into_iter();
            all.extend(inner.map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else if name != "io.safetensors" {
            all.insert(name, fs::read(part.path()).expect("a file"));
        }
    }
    all
}

/// Loads, plans and paints; gives whether there is a picture.
fn paints(files: &Files) -> bool {
    let device = Device::flex();
    let planned = Inventory::read(files, &device).map_err(|error| error.to_string());
    let pipeline = match Pipeline::load(files, &device) {
        Ok(pipeline) => pipeline,
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains(": "), "no file is named: {message}");
            return false;
        }
    };
    assert!(planned.is_ok(), "it loads, but cannot be planned: {planned:?}");
    let out = tempfile::tempdir().expect("a folder");
    let Ok(mut paint) = PaintOptions::for_model(&pipeline, None) else { return false };
    paint.size = [16; 2];
    paint.painting.steps = 1;
    let options = SampleOptions {
        prompt: "a harbour".to_owned(),
        paint,
        seed: 1,
        count: 1,
        latents: None,
        save_latents: None,
        out: out.path().to_owned(),
        models: ModelNames { model: "tiny".to_owned(), ..ModelNames::default() },
    };
    sample(&pipeline, &options, &mut |_| ControlFlow::Continue(())).is_ok()
}

/// Values that a number, a list or a text may have been changed to.
fn value() -> impl Strategy<Value = Value> {
    let numbers = [0, 1, 2, 3, 5, 7, 12, 16, 24, 60, 1000, 1 << 20, 1 << 33, i64::MAX];
    let numbers = prop::sample::select(numbers.to_vec());
    prop_oneof![
        4 => numbers.clone().prop_map(Value::from),
        1 => numbers.clone().prop_map(|number| (-number).into()),
        1 => Just(u64::MAX.into()),
        1 => prop::sample::select(vec![0.5, -0.5, 1e-320, 1e30, 1e300]).prop_map(Value::from),
        2 => prop::collection::vec(numbers, 0..4).prop_map(Value::from),
        1 => prop::sample::select(vec![json!(null), json!(true), json!(false), json!("silu"), json!({}), json!([[1]])]),
    ]
}

/// What happens to a key.
#[derive(Debug, Clone)]
enum Change {
    Set(Value),
    Remove,
    /// One of the other values that such files have there.
    Multiply(u64),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => value().prop_map(Change::Set),
        1 => Just(Change::Remove),
        2 => (2..4_u64).prop_map(Change::Multiply),
    ]
}

/// Applies `change` to one of the keys of the JSON file `path`.
fn mutate(files: &mut Files, path: &str, key: &Index, change: &Change) {
    let mut config: Value = serde_json::from_slice(&files[path]).expect("JSON");
    let keys = config.as_object_mut().expect("an object");
    let names: Vec<String> = keys.keys().filter(|key| *key != "_class_name").cloned().collect();
    let key = key.get(&names);
    match (change, keys[key].as_u64()) {
        (Change::Set(value), _) => drop(keys.insert(key.clone(), value.clone())),
        (Change::Multiply(by), Some(number)) => drop(keys.insert(key.clone(), (by * number).into())),
        (Change::Remove | Change::Multiply(_), _) => drop(keys.remove(key)),
    }
    files.insert(path.to_owned(), config.to_string().into_bytes());
}

/// Random weights for the configuration at `path`, if it can be built and is small: what is wrong with it would otherwise be
/// found by the weights that it came with.
fn make_weights(files: &mut Files, path: &str) {
    let (json, device) = (files[path].clone(), Device::flex());
    let folder = path.split('/').next().expect("a folder");
    let is_sd3 = files.contains_key("text_encoder_3/config.json");
    let name = if folder.starts_with("text") { "model" } else { "diffusion_pytorch_model" };
    let bytes = match folder {
        "unet" | "transformer" => {
            DenoiserConfig::from_json(&json).ok().and_then(|it| bytes_of(it.init(&device)))
        }
        "vae" => AutoencoderConfig::from_json(&json).ok().and_then(|it| bytes_of(it.init(&device))),
        _ if json.windows(4).any(|part| part == b"d_kv") => {
            T5Config::from_json(&json).ok().and_then(|it| bytes_of(it.init(&device)))
        }
        "text_encoder" if !is_sd3 => {
            CLIPTextConfig::from_json(&json).ok().and_then(|it| bytes_of(it.init(&device)))
        }
        _ => CLIPTextConfig::from_json(&json).ok().and_then(|it| bytes_of(it.init_with_projection(&device))),
    };
    if let Some(bytes) = bytes {
        files.insert(format!("{folder}/{name}.safetensors"), bytes);
    }
}

fn bytes_of<M: Module>(module: Result<M, ModelError>) -> Option<Vec<u8>> {
    let module = module.ok().filter(|module| module.num_params() <= LARGEST)?;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    weights::save(&module, &path, Precision::F32, &BTreeMap::new()).ok()?;
    fs::read(path).ok()
}

/// How many cases are tried; more with PROPTEST_CASES.
const CASES: u32 = 600;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(CASES), failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn changed_configurations_are_refused_or_paint(
        model: Index, changes in prop::collection::vec((any::<Index>(), any::<Index>(), change()), 1..3),
        with_weights: bool,
    ) {
        let mut files = model.get(&MODELS).clone();
        for (path, key, change) in &changes {
            let is_config = |path: &&String| path.ends_with("config.json") || path.ends_with("index.json");
            let paths: Vec<String> = files.keys().filter(is_config).cloned().collect();
            let path = path.get(&paths);
            mutate(&mut files, path, key, change);
            if with_weights && path.ends_with("/config.json") {
                make_weights(&mut files, path);
            }
        }
        paints(&files);
    }
}

#[test]
fn parts_of_other_models_are_refused_or_paint() {
    let (mut refused, mut painted) = (0, 0);
    for (index, model) in MODELS.iter().enumerate() {
        assert!(paints(model), "model {index} itself");
        for other in MODELS.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, other)| other) {
            let folders = [
                "unet/",
                "transformer/",
                "vae/",
                "text_encoder/",
                "text_encoder_2/",
                "tokenizer/",
                "tokenizer_2/",
            ];
            for part in folders {
                let mut files = model.clone();
                files.retain(|path, _| !path.starts_with(part));
                let of_other = other.iter().filter(|(path, _)| path.starts_with(part));
                files.extend(of_other.map(|(path, bytes)| (path.clone(), bytes.clone())));
                if paints(&files) { painted += 1 } else { refused += 1 }
            }
        }
    }
    // Parts of the same shape fit, such as those of both tiny Stable Diffusions.
    assert!(refused > 100 && painted > 20, "{refused} refused, {painted} painted");
}
