//! The files of a tree as they are written.

use crate::{Attribute, CriteriaError};
use serde::Deserialize;
use std::{collections::BTreeMap, fs, path::Path};

/// One TOML file; ids in it leave the dimension out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DimensionSource {
    pub id: String,
    pub name: String,
    pub order: u32,
    pub summary: String,
    /// Nodes and leaves about the place of things in the frame, or about how much of it they take.
    #[serde(default, rename = "changed-by-crop")]
    pub changed_by_crop: Vec<String>,
    /// Nodes and leaves that tell left from right.
    #[serde(default, rename = "changed-by-flip")]
    pub changed_by_flip: Vec<String>,
    #[serde(default)]
    pub nodes: BTreeMap<String, String>,
    #[serde(default, rename = "leaf")]
    pub leaves: Vec<LeafSource>,
}

/// One `[[leaf]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeafSource {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub genres: Vec<String>,
    pub positive: Attribute,
    pub negative: Attribute,
}

/// A parsed file with its name.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub name: String,
    pub dimension: DimensionSource,
}

impl SourceFile {
    pub fn parse(name: &str, text: &str) -> Result<Self, CriteriaError> {
        let dimension = toml::from_str(text).map_err(|error| CriteriaError::Syntax {
            file: name.to_owned(),
            line: 1 + error.span().map_or(0, |span| text[..span.start].matches('\n').count()),
            message: error.message().to_owned(),
        })?;
        Ok(Self { name: name.to_owned(), dimension })
    }

    /// The full id of a node or leaf of this file.
    pub fn full_id(&self, id: &str) -> String {
        format!("{}.{id}", self.dimension.id)
    }
}

/// Whether `leaf` is one of `nodes` or lies below one.
pub(crate) fn lies_below(leaf: &str, nodes: &[String]) -> bool {
    nodes.iter().any(|node| {
        leaf.strip_prefix(node.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// Names and texts of the `*.toml` files of a folder, in the order of their names.
///
/// The name of a file is its path, so that a message leads there.
pub(crate) fn read_dir(dir: &Path) -> Result<Vec<(String, String)>, CriteriaError> {
    let unreadable = |source| CriteriaError::Folder { path: dir.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(CriteriaError::NoDimensions { place: dir.display().to_string() });
    }
    paths
        .into_iter()
        .map(|path| match fs::read_to_string(&path) {
            Ok(text) => Ok((path.display().to_string(), text)),
            Err(source) => Err(CriteriaError::File { path, source }),
        })
        .collect()
}
