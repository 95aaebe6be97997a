//! Which files hold the weights of a part: one or several, plain or of a variant, under the names of diffusers and transformers.

use super::{ModelFiles, PipelineError, files::missing};
use crate::{
    json,
    weights::{WeightsError, WeightsFile},
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Variants in the order in which they are taken where there are several and no plain file. Others come after them, by their
/// names, and weights before the moving average last.
const PREFERRED: [&str; 4] = ["fp16", "bf16", "fp32", "ema"];
const LAST: &str = "non_ema";

/// Ends of names that weights in other formats have.
const OTHER_FORMATS: [&str; 10] =
    [".bin", ".ckpt", ".pt", ".pth", ".gguf", ".onnx", ".msgpack", ".h5", ".xml", ".index.json"];
/// Those of pickles.
const PICKLES: [&str; 4] = [".bin", ".ckpt", ".pt", ".pth"];

/// What a file is to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// All weights.
    Whole,
    /// The list of files that share them.
    Index,
}

/// The weights of a part of the model: `FOLDER/STEM.safetensors` or those that `FOLDER/STEM.safetensors.index.json` lists. Where
/// neither is there, a variant is taken, such as `STEM.fp16.safetensors`; of several one, with a warning.
///
/// # Errors
/// [`PipelineError`] names the file that is missing or cannot be used.
pub(super) fn weights_of<F: ModelFiles + ?Sized>(
    files: &F,
    folder: &str,
    stem: &str,
) -> Result<Vec<WeightsFile>, PipelineError> {
    let names = files.names(folder);
    let mut variants: BTreeMap<String, (Kind, &String)> = BTreeMap::new();
    for name in &names {
        if let Some((variant, kind)) = kind_of(name, stem) {
            let found = variants.entry(variant).or_insert((kind, name));
            *found = (*found).min((kind, name));
        }
    }
    let Some(variant) = chosen(&variants) else { return Err(nothing(&names, folder, stem)) };
    if !variant.is_empty() && variants.len() > 1 {
        let all = variants.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        tracing::warn!(
            "{folder}: there are the variants {all} of the weights, and no plain file; {variant} is taken"
        );
    }
    let (kind, name) = variants[variant];
    match kind {
        Kind::Whole => Ok(vec![files.weights(&format!("{folder}/{name}"))?]),
        Kind::Index => shards(files, folder, name),
    }
}

/// The variant of the file `name`, empty for a plain one, if it has weights of a part whose files begin with `stem`.
fn kind_of(name: &str, stem: &str) -> Option<(String, Kind)> {
    let rest = name.strip_prefix(stem)?;
    if rest == ".safetensors" {
        return Some((String::new(), Kind::Whole));
    }
    if rest == ".safetensors.index.json" {
        return Some((String::new(), Kind::Index));
    }
    let between = |start: &str, end: &str| {
        let variant = rest.strip_prefix(start)?.strip_suffix(end)?;
        (!variant.is_empty()).then(|| variant.to_owned())
    };
    // The second is what diffusers wrote until 0.30.
    let index = between(".safetensors.index.", ".json").or_else(|| between(".safetensors.", ".index.json"));
    let whole = || between(".", ".safetensors").filter(|variant| !is_shard(variant));
    index.map(|variant| (variant, Kind::Index)).or_else(|| Some((whole()?, Kind::Whole)))
}

/// Whether a name ends as those of one of several files, `-00001-of-00002`.
fn is_shard(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.rsplit_once("-of-").is_some_and(|(before, all)| {
        is_number(all) && before.rsplit_once('-').is_some_and(|(_, number)| is_number(number))
    })
}

/// The variant that is taken.
fn chosen<'a>(variants: &'a BTreeMap<String, (Kind, &String)>) -> Option<&'a str> {
    let rank = |variant: &&str| match *variant {
        "" => 0,
        LAST => PREFERRED.len() + 2,
        other => 1 + PREFERRED.iter().position(|name| *name == other).unwrap_or(PREFERRED.len()),
    };
    variants.keys().map(String::as_str).min_by_key(rank)
}

/// `*.safetensors.index.json`: which file holds which tensor.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

fn shards<F: ModelFiles + ?Sized>(
    files: &F,
    folder: &str,
    name: &str,
) -> Result<Vec<WeightsFile>, PipelineError> {
    let index = format!("{folder}/{name}");
    let invalid = |reason: String| PipelineError::File { path: index.clone(), reason };
    let shards: ShardIndex =
        json::from_slice(&files.read(&index)?).map_err(|error| invalid(error.to_string()))?;
    let names: BTreeSet<&String> = shards.weight_map.values().collect();
    let open = |name: &String| {
        let path = files.mentioned(folder, name)?;
        if !files.contains(&path) {
            return Err(invalid(format!("lists {name}, which is missing; download the model again")));
        }
        files.weights(&path)
    };
    names.into_iter().map(open).collect()
}

/// The error of a folder with these files, none of which is read.
fn nothing(names: &[String], folder: &str, stem: &str) -> PipelineError {
    let path = |name: &str| format!("{folder}/{name}");
    if let Some(pickle) = names.iter().find(|name| PICKLES.iter().any(|end| name.ends_with(end))) {
        return PipelineError::Weights { path: path(pickle), source: WeightsError::Pickle };
    }
    let whole = format!("{stem}.safetensors");
    let shard = names.iter().find(|name| name.strip_suffix(".safetensors").is_some_and(is_shard_of_any));
    if let Some(shard) = shard {
        let reason = format!(
            "is one of several files, and {whole}.index.json, which lists them, is missing; download it"
        );
        return PipelineError::File { path: path(shard), reason };
    }
    let is_other = |name: &&String| {
        name.ends_with(".safetensors") || OTHER_FORMATS.iter().any(|end| name.ends_with(end))
    };
    if let Some(other) = names.iter().find(is_other) {
        let reason = format!("is not read; weights are expected in {whole}");
        return PipelineError::File { path: path(other), reason };
    }
    missing(path(&whole))
}

/// Whether the name, without its ending, is that of one of several files, whose variant may come last.
fn is_shard_of_any(name: &str) -> bool {
    is_shard(name) || name.rsplit_once('.').is_some_and(|(before, _)| is_shard(before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{Precision, TensorValues, write_tensors};

    const STEM: &str = "diffusion_pytorch_model";

    /// A file with a tensor of that name.
    fn file(tensor: &str) -> Vec<u8> {
        let tensors = [(tensor.to_owned(), TensorValues::new(vec![1], vec![1.0]).unwrap())].into();
        write_tensors(&tensors, Precision::F32, &BTreeMap::new()).unwrap()
    }

    fn folder(names: &[&str]) -> BTreeMap<String, Vec<u8>> {
        names.iter().map(|name| (format!("unet/{name}"), file(name))).collect()
    }

    /// The names of the tensors that are taken.
    fn taken(files: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
        let found = weights_of(files, "unet", STEM).unwrap();
        found.iter().flat_map(|file| file.tensors().map(|(name, _)| name.to_owned())).collect()
    }

    fn error(files: &BTreeMap<String, Vec<u8>>) -> String {
        weights_of(files, "unet", STEM).unwrap_err().to_string()
    }

    #[test]
    fn the_plain_file_comes_first_and_then_variants_in_their_order() {
        let name = |variant: &str| format!("{STEM}{variant}.safetensors");
        let all = ["", ".fp16", ".bf16", ".fp32", ".ema", ".int8", ".non_ema"].map(name);
        for first in 0..all.len() {
            let names: Vec<&str> = all[first..].iter().map(String::as_str).collect();
            assert_eq!(taken(&folder(&names)), [all[first].as_str()]);
        }
    }

    #[test]
    fn shards_are_found_under_all_names_of_their_index() {
        for (index, shards) in [
            (".safetensors.index.json", ["-00001-of-00002.safetensors", "-00002-of-00002.safetensors"]),
            (
                ".safetensors.index.fp16.json",
                [".fp16-00001-of-00002.safetensors", ".fp16-00002-of-00002.safetensors"],
            ),
            (
                ".safetensors.fp16.index.json",
                ["-00001-of-00002.fp16.safetensors", "-00002-of-00002.fp16.safetensors"],
            ),
        ] {
            let shards = shards.map(|end| format!("{STEM}{end}"));
            let mut files = folder(&shards.each_ref().map(String::as_str));
            let map = serde_json::json!({"weight_map": {"a": shards[0], "b": shards[1], "c": shards[0]}});
            let message = error(&files);
            assert!(message.contains("is one of several files"), "{message}");
            files.insert(format!("unet/{STEM}{index}"), map.to_string().into_bytes());
            assert_eq!(taken(&files), shards);
            files.remove(&format!("unet/{}", shards[1]));
            let message = error(&files);
            assert!(
                message.contains(index)
                    && message.contains(&format!("lists {}, which is missing", shards[1])),
                "{message}"
            );
        }
    }

    #[test]
    fn an_index_does_not_lead_out_of_its_folder() {
        for name in ["../../outside.safetensors", "/outside.safetensors", "..\\outside.safetensors"] {
            let mut files = folder(&[]);
            files.insert("outside.safetensors".to_owned(), file("a"));
            let map = serde_json::json!({"weight_map": {"a": name}});
            files.insert(format!("unet/{STEM}.safetensors.index.json"), map.to_string().into_bytes());
            let message = error(&files);
            assert!(message.contains("leads out of the folder"), "{message}");
        }
    }

    #[test]
    fn what_is_there_instead_is_named() {
        assert!(error(&folder(&["diffusion_pytorch_model.bin"])).contains("pickle file"));
        assert!(error(&folder(&["model.gguf"])).starts_with("unet/model.gguf: is not read"));
        assert!(error(&folder(&["model.safetensors"])).starts_with("unet/model.safetensors: is not read"));
        let message = error(&folder(&["config.json"]));
        assert!(message.starts_with("unet/diffusion_pytorch_model.safetensors: is missing"), "{message}");
    }
}
