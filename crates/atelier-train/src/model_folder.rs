//! What people give as `--model`: a model folder, a place above or below one, a single file, or the name of a model that is
//! somewhere else.

use crate::error::TrainError;
use atelier_core::{
    pipeline::{ModelFiles, is_inside},
    weights::{WeightsError, WeightsFile},
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

const EXPECTED: &str = "a diffusers model folder is expected (model_index.json, unet/, vae/, …)";
const INDEX: &str = "model_index.json";
/// The parts that a folder needs at least to be completed by a base.
const DENOISERS: [&str; 2] = ["unet", "transformer"];
/// Where the hub's cache keeps the versions of a model.
const SNAPSHOTS: &str = "snapshots";

/// How far below a folder models are looked for: a hub cache has them three levels down.
const DEPTH: usize = 4;
/// How many are named, and how many folders are looked into for them.
const NAMED: usize = 6;
const LOOKED_INTO: usize = 2000;

/// The model folder that `path` means: itself, or the snapshot of a hub cache.
///
/// # Errors
/// [`TrainError::File`] says what `path` is instead, and what to do.
pub fn find(path: &Path) -> Result<PathBuf, TrainError> {
    if is_model(path) {
        return Ok(path.to_owned());
    }
    let reason = if path.is_file() {
        of_file(path)
    } else if !path.is_dir() {
        of_nothing(path)
    } else if path.join(SNAPSHOTS).is_dir() {
        match snapshot(path) {
            Ok(snapshot) => return find(&snapshot),
            Err(reason) => reason,
        }
    } else {
        of_folder(path)
    };
    Err(TrainError::File { path: path.to_owned(), reason })
}

/// Whether a folder holds a model, or a denoiser that a base completes.
fn is_model(folder: &Path) -> bool {
    folder.contains(INDEX) || DENOISERS.iter().any(|part| folder.contains(&format!("{part}/config.json")))
}

/// The version of a model in the hub's cache that `refs/main` names, or the only one.
fn snapshot(cache: &Path) -> Result<PathBuf, String> {
    let snapshots = cache.join(SNAPSHOTS);
    let main = fs::read_to_string(cache.join("refs/main")).unwrap_or_default();
    let main = main.trim();
    if is_inside(main) && snapshots.join(main).is_dir() {
        return Ok(snapshots.join(main));
    }
    let all = folders(&snapshots);
    match all.as_slice() {
        [] => Err("is a model of the hub's cache without any snapshot: the download is not complete; download the model \
                   again"
            .to_owned()),
        [one] => Ok(one.clone()),
        _ => Err(format!("has several snapshots in the hub's cache; name one of them: {}", listed(&all))),
    }
}

/// What a path is that leads nowhere.
fn of_nothing(path: &Path) -> String {
    if let Ok(target) = path.read_link() {
        return format!("is a link to {}, which is not there", target.display());
    }
    let text = path.to_string_lossy();
    match hub_name(&text) {
        Some(name) => {
            let folder = name.rsplit('/').next().unwrap_or(name);
            format!(
                "is no folder here. If it is a model of the Hugging Face hub: nothing is downloaded; fetch it with `hf download \
                 {name} --local-dir {folder}`, then give --model {folder}"
            )
        }
        None => format!("there is no such folder; {EXPECTED}"),
    }
}

/// `OWNER/NAME` of the hub, if that is what `text` is, bare or in an address.
fn hub_name(text: &str) -> Option<&str> {
    let bare = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .map_or(Some(text), |rest| {
            ["huggingface.co/", "hf.co/"].iter().find_map(|host| rest.strip_prefix(host))
        })?;
    let mut parts = bare.trim_end_matches('/').splitn(3, '/');
    let (owner, name, rest) = (parts.next()?, parts.next()?, parts.next());
    let is_part = |part: &str| {
        !part.starts_with('.')
            && !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    // A folder that is there has been misspelt below.
    let is_address = bare.len() < text.len();
    let is_name =
        is_part(owner) && is_part(name) && (is_address || (rest.is_none() && !Path::new(owner).is_dir()));
    is_name.then(|| &bare[..owner.len() + 1 + name.len()])
}

/// What a file is that stands where a folder should.
fn of_file(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name.ends_with(".json") {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let whole = above(folder).unwrap_or_else(|| folder.to_owned());
        return format!("is a file; give the folder of the model, {}", whole.display());
    }
    let convert = |class: &str| {
        format!(
            "a checkpoint of one file becomes a folder with diffusers: {class}.from_single_file({name:?})\
             .save_pretrained(\"FOLDER\")"
        )
    };
    match WeightsFile::open(path) {
        Ok(file) => {
            let has =
                |parts: &[&str]| file.tensors().any(|(name, _)| parts.iter().any(|part| name.contains(part)));
            if has(&["lora", "lokr_", "hada_w"]) {
                return "is an adapter: give it as --lora, and the model that it was trained on as --model"
                    .to_owned();
            }
            let class = if has(&["conditioner.embedders."]) {
                "StableDiffusionXLPipeline"
            } else if has(&["double_blocks."]) {
                "FluxPipeline"
            } else if has(&["joint_blocks."]) {
                "StableDiffusion3Pipeline"
            } else {
                "StableDiffusionPipeline"
            };
            format!("is a single file, and {EXPECTED}; {}", convert(class))
        }
        Err(error) => match inner(error) {
            WeightsError::Pickle => format!(
                "is a single pickle file, which may run code when it is opened, and {EXPECTED}; where you trust it, {}",
                convert("StableDiffusionPipeline")
            ),
            error => format!("is a single file, and {EXPECTED}: {error}"),
        },
    }
}

fn inner(error: WeightsError) -> WeightsError {
    match error {
        WeightsError::InFile { source, .. } => *source,
        error => error,
    }
}

/// What a folder is that is no model.
fn of_folder(path: &Path) -> String {
    if ["adapter_config.json", crate::adapter::FILE].iter().any(|file| path.contains(file)) {
        return "is an adapter: give it as --lora, and the model that it was trained on as --model"
            .to_owned();
    }
    if let Some(whole) = above(path) {
        return format!("is a part of a model; give the whole: {}", whole.display());
    }
    if let Some(class) = class_of_part(path) {
        return format!("is one part of a model alone ({class}); {EXPECTED}");
    }
    let (mut candidates, mut left) = (Vec::new(), LOOKED_INTO);
    look_below(path, DEPTH, &mut left, &mut candidates);
    if !candidates.is_empty() {
        return format!("is no model folder, but there are models in it: {}", listed(&candidates));
    }
    let is_single = |name: &&String| [".safetensors", ".ckpt", ".gguf"].iter().any(|end| name.ends_with(end));
    match path.names("").iter().find(is_single) {
        Some(single) => format!("is no model folder; {single} in it {}", of_file(&path.join(single))),
        None => format!("is no model folder; {EXPECTED}"),
    }
}

/// The model that `folder` is a part of.
fn above(folder: &Path) -> Option<PathBuf> {
    let named = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).map(Path::to_owned);
    let real = folder.canonicalize().ok().and_then(|folder| folder.parent().map(Path::to_owned));
    named.into_iter().chain(real).find(|parent| parent.contains(INDEX))
}

/// The class that the configuration of a part names.
fn class_of_part(folder: &Path) -> Option<String> {
    let config: Value = serde_json::from_slice(&folder.read("config.json").ok()?).ok()?;
    let class = config["_class_name"].as_str().or_else(|| config["architectures"][0].as_str());
    Some(class.or_else(|| config["model_type"].as_str())?.to_owned())
}

/// Collects models below `folder`, each under the name that can be given, until `left` folders have been looked into.
fn look_below(folder: &Path, depth: usize, left: &mut usize, found: &mut Vec<PathBuf>) {
    for below in folders(folder) {
        if *left == 0 || found.len() > NAMED {
            return;
        }
        *left -= 1;
        if is_model(&below) || (below.join(SNAPSHOTS).is_dir() && find(&below).is_ok()) {
            found.push(below);
        } else if depth > 1 {
            look_below(&below, depth - 1, left, found);
        }
    }
}

/// The folders in a folder, sorted; hidden ones are left out.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let is_hidden = |path: &Path| path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let mut all: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    all.retain(|path| path.is_dir() && !is_hidden(path));
    all.sort();
    all
}

fn listed(paths: &[PathBuf]) -> String {
    let mut names: Vec<String> = paths.iter().take(NAMED).map(|path| path.display().to_string()).collect();
    if paths.len() > NAMED {
        names.push("…".to_owned());
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use atelier_core::weights::{Precision, TensorValues, write_tensors};
    use std::collections::BTreeMap;

    /// A folder with these files, which hold an empty object.
    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, "{}").expect("written");
        }
        folder
    }

    #[track_caller]
    fn refused(path: &Path, expected: &[&str]) {
        let error = find(path).expect_err("no model").to_string();
        for part in expected {
            assert!(error.contains(part), "no {part:?} in: {error}");
        }
    }

    #[test]
    fn models_and_denoisers_are_taken_as_they_are() {
        for files in [&["model_index.json"][..], &["unet/config.json"], &["transformer/config.json"]] {
            let folder = folder(files);
            assert_eq!(find(folder.path()).expect("a model"), folder.path());
        }
    }

    #[test]
    fn a_hub_cache_means_its_snapshot() {
        const CACHE: &str = "models--org--tiny";
        let one = folder(&["models--org--tiny/snapshots/abc/model_index.json"]);
        let cache = one.path().join(CACHE);
        assert_eq!(find(&cache).expect("the only one"), cache.join("snapshots/abc"));
        refused(one.path(), &["there are models in it", CACHE]);

        let two = folder(&[
            "models--org--tiny/snapshots/abc/model_index.json",
            "models--org--tiny/snapshots/def/model_index.json",
        ]);
        let cache = two.path().join(CACHE);
        refused(&cache, &["several snapshots", "abc", "def"]);
        fs::create_dir(cache.join("refs")).expect("made");
        fs::write(cache.join("refs/main"), "def\n").expect("written");
        assert_eq!(find(&cache).expect("refs/main"), cache.join("snapshots/def"));
        // What it says may not lead elsewhere.
        fs::write(cache.join("refs/main"), "../snapshots/def").expect("written");
        refused(&cache, &["several snapshots"]);

        let none = folder(&["models--org--tiny/snapshots/.keep"]);
        refused(&none.path().join(CACHE), &["without any snapshot", "download"]);
    }

    #[test]
    fn places_near_a_model_are_answered_with_its_place() {
        let folder =
            folder(&["a/b/model/model_index.json", "a/b/model/unet/config.json", "a/c/unet/config.json"]);
        let (a, model) = (folder.path().join("a"), folder.path().join("a/b/model"));
        refused(&a, &["there are models in it", &model.display().to_string(), "a/c"]);
        refused(&model.join("unet"), &["is a part of a model", &model.display().to_string()]);
        refused(
            &model.join("model_index.json"),
            &["give the folder of the model", &model.display().to_string()],
        );
        fs::write(a.join("c/unet/config.json"), r#"{"_class_name": "UNet2DConditionModel"}"#)
            .expect("written");
        refused(&a.join("c/unet"), &["one part of a model alone (UNet2DConditionModel)"]);
        refused(&self::folder(&["notes.txt"]).path().join(""), &["is no model folder", EXPECTED]);
    }

    #[test]
    fn single_files_are_answered_with_what_to_do() {
        let folder = folder(&["notes.txt"]);
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).expect("written");
            path
        };
        let with = |tensor: &str| {
            let value = TensorValues::new(vec![1], vec![1.0]).expect("it fits");
            let tensors = BTreeMap::from([(tensor.to_owned(), value)]);
            write_tensors(&tensors, Precision::F32, &BTreeMap::new()).expect("finite")
        };
        for (tensor, expected) in [
            ("model.diffusion_model.input_blocks.0.0.bias", "StableDiffusionPipeline.from_single_file"),
            ("conditioner.embedders.0.bias", "StableDiffusionXLPipeline.from_single_file"),
            ("model.diffusion_model.double_blocks.0.bias", "FluxPipeline.from_single_file"),
            ("unet.mid_block.to_q.lora_A.weight", "give it as --lora"),
        ] {
            refused(&write("v1-5.safetensors", &with(tensor)), &[expected]);
        }
        refused(
            &write("v1-5.ckpt", b"PK\x03\x04..."),
            &["pickle", "where you trust it", "from_single_file(\"v1-5.ckpt\")"],
        );
        refused(&write("flux.gguf", b"GGUF\x03\0\0\0\0\0\0\0"), &["a GGUF file", "a diffusers folder"]);
        refused(folder.path(), &["is no model folder; flux.gguf in it", "GGUF"]);
        fs::write(folder.path().join("adapter_config.json"), "{}").expect("written");
        refused(folder.path(), &["give it as --lora"]);
    }

    #[test]
    fn names_of_the_hub_are_recognised() {
        for name in [
            "runwayml/stable-diffusion-v1-5",
            "https://huggingface.co/runwayml/stable-diffusion-v1-5/tree/main",
        ] {
            refused(
                Path::new(name),
                &[
                    "nothing is downloaded",
                    "hf download runwayml/stable-diffusion-v1-5 --local-dir stable-diffusion-v1-5",
                ],
            );
        }
        for name in ["nowhere", "./a/b", "/a/b", "../a/b", "a/b/c", "src/painter"] {
            refused(Path::new(name), &["there is no such folder", EXPECTED]);
        }
    }
}
