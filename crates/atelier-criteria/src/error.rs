//! Everything that can be wrong with a tree, labels or weights.

use crate::{PromptError, Side};
use std::{io, path::PathBuf};
use thiserror::Error;

/// What is wrong, in which file and at which key, and what to do about it.
///
/// Leaves and nodes are named by their full id: the file writes it without the dimension.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CriteriaError {
    /// The folder of a tree cannot be listed.
    #[error("cannot read the criteria folder {path}: {source}", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of a tree cannot be read.
    #[error("cannot read the criteria file {path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no dimension file at all.
    #[error("no criteria in {place}: write one .toml file per dimension there")]
    NoDimensions {
        /// The folder, or a description of the sources.
        place: String,
    },
    /// The file is not TOML, or has keys of wrong names or types.
    #[error("{file}, line {line}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What the TOML reader says.
        message: String,
    },
    /// A dimension without a leaf.
    #[error("{file}: dimension `{dimension}` has no [[leaf]]")]
    NoLeaves {
        /// The file.
        file: String,
        /// The dimension.
        dimension: String,
    },
    /// An id occurs twice: two dimensions or two leaves.
    #[error("{file}: id `{id}` is taken already, in {first}; ids must be unique")]
    DuplicateId {
        /// The file of the second one.
        file: String,
        /// The id.
        id: String,
        /// The file of the first one.
        first: String,
    },
    /// An id, or the word for a genre, is not in kebab case.
    #[error("{file}: `{id}` must be lower-case letters and digits, words joined by `-`{dots}",
        dots = if *.dots { " and levels by `.`" } else { ", without dots" })]
    NotKebabCase {
        /// The file.
        file: String,
        /// The id or genre.
        id: String,
        /// Whether it may have several levels.
        dots: bool,
    },
    /// A leaf lies too high or too low.
    #[error(
        "{file}: leaf `{leaf}` is at level {depth}; leaves lie at levels 2 to 5, the dimension being level 1"
    )]
    Depth {
        /// The file.
        file: String,
        /// The leaf.
        leaf: String,
        /// Its level.
        depth: usize,
    },
    /// A leaf hangs on an inner node without a name.
    #[error(
        "{file}: leaf `{leaf}` needs the inner node `{node}`; name it in [nodes] (without the dimension)"
    )]
    MissingNode {
        /// The file.
        file: String,
        /// The leaf.
        leaf: String,
        /// The node.
        node: String,
    },
    /// An inner node with nothing below.
    #[error("{file}: no leaf lies below the inner node `{node}` of [nodes]; remove it or add a leaf")]
    UnusedNode {
        /// The file.
        file: String,
        /// The node.
        node: String,
    },
    /// A list of what crops or flips change names what is not there.
    #[error(
        "{file}: {key} names `{node}`, but no leaf lies there; write a node or leaf without the dimension"
    )]
    NothingBelow {
        /// The file.
        file: String,
        /// The list.
        key: &'static str,
        /// The node or leaf.
        node: String,
    },
    /// One id for a leaf and an inner node.
    #[error("{file}: `{leaf}` is a leaf and an inner node at once; move the leaf one level down")]
    LeafIsNode {
        /// The file.
        file: String,
        /// The id.
        leaf: String,
    },
    /// A name, summary or explanation without text.
    #[error("{file}: {key} of `{id}` is empty")]
    EmptyText {
        /// The file.
        file: String,
        /// The dimension, node or leaf.
        id: String,
        /// The key, such as `positive.explanation`.
        key: String,
    },
    /// A phrase is too short or too long.
    #[error("{file}: {side}.phrase of leaf `{leaf}`, `{phrase}`, must have 2 to 6 words")]
    PhraseLength {
        /// The file.
        file: String,
        /// The leaf.
        leaf: String,
        /// The side.
        side: Side,
        /// The phrase.
        phrase: String,
    },
    /// A phrase that the prompt template could not give back.
    #[error("{file}: {side}.phrase of leaf `{leaf}`: {source}")]
    PhraseCharacters {
        /// The file.
        file: String,
        /// The leaf.
        leaf: String,
        /// The side.
        side: Side,
        /// Why.
        source: PromptError,
    },
    /// The same phrase twice, capitals and spaces apart.
    #[error("{file}: {side}.phrase of leaf `{leaf}`, `{phrase}`, is that of leaf `{first}` already")]
    DuplicatePhrase {
        /// The file.
        file: String,
        /// The leaf.
        leaf: String,
        /// The side.
        side: Side,
        /// The phrase.
        phrase: String,
        /// The leaf that has it first.
        first: String,
    },
    /// Several problems at once.
    #[error("{count} problems with the criteria:\n{list}", count = .0.len(), list = list(.0))]
    Several(Vec<CriteriaError>),
    /// No leaf or node has this id.
    #[error("unknown criteria id `{id}`{hint}", hint = hint(nearest))]
    UnknownId {
        /// The id.
        id: String,
        /// Ids that may be meant, the likeliest first.
        nearest: Vec<String>,
    },
    /// One picture cannot have both attributes of a pair.
    #[error("leaf `{leaf}` is labelled positive and negative at once; keep one of them")]
    BothSides {
        /// The leaf.
        leaf: String,
    },
    /// One label twice.
    #[error("leaf `{leaf}` is labelled {side} twice; keep one of them")]
    RepeatedLabel {
        /// The leaf.
        leaf: String,
        /// The side.
        side: Side,
    },
    /// A weight of a dimension cannot be used.
    #[error("weight `{pair}`: {reason}")]
    Weight {
        /// The text, `id=weight`.
        pair: String,
        /// Why.
        reason: String,
    },
    /// A prompt cannot be written or read.
    #[error(transparent)]
    Prompt(#[from] PromptError),
}

fn list(problems: &[CriteriaError]) -> String {
    let lines: Vec<String> = problems.iter().map(|problem| format!("- {problem}")).collect();
    lines.join("\n")
}

fn hint(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        ids => format!(
            "; did you mean {}?",
            ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" or ")
        ),
    }
}
