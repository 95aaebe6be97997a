//! Named tensors in safetensors files.

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::BTreeMap;

/// How many names a message has.
const NAMED: usize = 3;

pub(super) fn encode(tensors: &BTreeMap<String, Vec<f32>>) -> Result<Vec<u8>, String> {
    let bytes: Vec<(&String, Vec<u8>)> = tensors
        .iter()
        .map(|(name, values)| (name, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views = bytes
        .iter()
        .map(|(name, bytes)| {
            let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)
                .map_err(|error| error.to_string())?;
            Ok((name.as_str(), view))
        })
        .collect::<Result<Vec<_>, String>>()?;
    safetensors::serialize(views, None).map_err(|error| error.to_string())
}

pub(super) fn decode(bytes: &[u8]) -> Result<BTreeMap<String, Vec<f32>>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    file.tensors()
        .into_iter()
        .map(|(name, view)| {
            if view.dtype() != Dtype::F32 {
                return Err(format!("{name} is {:?}, not F32", view.dtype()));
            }
            let words = view.data().chunks_exact(4);
            Ok((name, words.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()))
        })
        .collect()
}

/// Whether `found` has tensors of these sizes and no others, and, if `all`, each of them.
pub(super) fn check(
    found: &BTreeMap<String, Vec<f32>>,
    sizes: &BTreeMap<String, usize>,
    all: bool,
) -> Result<(), String> {
    let missing: Vec<&String> = sizes.keys().filter(|name| all && !found.contains_key(*name)).collect();
    let extra: Vec<&String> = found.keys().filter(|name| !sizes.contains_key(*name)).collect();
    let other = found.iter().filter_map(|(name, values)| {
        let size = *sizes.get(name)?;
        (size != values.len())
            .then(|| format!("{name} has {} values, the model of this run {size}", values.len()))
    });
    let other: Vec<String> = other.collect();
    let mut problems = Vec::new();
    let list = |names: &[&String]| {
        let shown: Vec<&str> = names.iter().take(NAMED).map(|name| name.as_str()).collect();
        shown.join(", ") + if names.len() > NAMED { ", …" } else { "" }
    };
    if !missing.is_empty() {
        problems.push(format!("lacks {} tensors ({})", missing.len(), list(&missing)));
    }
    if !extra.is_empty() {
        problems.push(format!("has {} tensors that are not known ({})", extra.len(), list(&extra)));
    }
    if let Some(first) = other.first() {
        problems.push(format!("has {} tensors of another size ({first})", other.len()));
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(format!("does not fit what this run trains: it {}", problems.join(", and ")))
}
