//! The rules that the files of a tree keep. Every violation is found, not the first one only.

use crate::{
    Attribute, CriteriaError, Side, ids, prompt,
    source::{SourceFile, lies_below},
};
use std::collections::{BTreeSet, HashMap};

/// Levels at which leaves may lie; the dimension is level 1.
const DEPTHS: std::ops::RangeInclusive<usize> = 2..=5;
/// Words of a phrase.
const WORDS: std::ops::RangeInclusive<usize> = 2..=6;

/// All problems of `files`, in the order of the files.
pub(crate) fn problems(files: &[SourceFile]) -> Vec<CriteriaError> {
    let mut check = Check::default();
    for file in files {
        check.file(file);
    }
    check.problems
}

/// What was seen so far, for what must be unique in the whole tree.
#[derive(Default)]
struct Check {
    problems: Vec<CriteriaError>,
    /// Full id of a dimension or leaf, to its file.
    ids: HashMap<String, String>,
    /// Phrase without capitals and double spaces, to its leaf.
    phrases: HashMap<String, String>,
}

impl Check {
    fn file(&mut self, file: &SourceFile) {
        let dimension = &file.dimension;
        self.id(file, &dimension.id, ids::is_kebab_case(&dimension.id), false);
        self.text(file, &dimension.id, "name", &dimension.name);
        self.text(file, &dimension.id, "summary", &dimension.summary);
        if dimension.leaves.is_empty() {
            self.problems
                .push(CriteriaError::NoLeaves { file: file.name.clone(), dimension: dimension.id.clone() });
        }
        for leaf in &dimension.leaves {
            let id = file.full_id(&leaf.id);
            self.id(file, &id, ids::is_id(&leaf.id), true);
            self.text(file, &id, "name", &leaf.name);
            self.genres(file, &leaf.genres);
            self.attribute(file, &id, Side::Positive, &leaf.positive);
            self.attribute(file, &id, Side::Negative, &leaf.negative);
        }
        self.nodes(file);
        self.changed_by(file, "changed-by-crop", &dimension.changed_by_crop);
        self.changed_by(file, "changed-by-flip", &dimension.changed_by_flip);
    }

    fn id(&mut self, file: &SourceFile, id: &str, well_formed: bool, dots: bool) {
        if !well_formed {
            self.problems.push(CriteriaError::NotKebabCase {
                file: file.name.clone(),
                id: id.to_owned(),
                dots,
            });
        }
        if let Some(first) = self.ids.get(id) {
            let (file, id, first) = (file.name.clone(), id.to_owned(), first.clone());
            self.problems.push(CriteriaError::DuplicateId { file, id, first });
        } else {
            self.ids.insert(id.to_owned(), file.name.clone());
        }
    }

    fn text(&mut self, file: &SourceFile, id: &str, key: &str, text: &str) {
        if text.trim().is_empty() {
            let (file, id, key) = (file.name.clone(), id.to_owned(), key.to_owned());
            self.problems.push(CriteriaError::EmptyText { file, id, key });
        }
    }

    fn genres(&mut self, file: &SourceFile, genres: &[String]) {
        for genre in genres.iter().filter(|genre| !ids::is_kebab_case(genre)) {
            let (file, id) = (file.name.clone(), genre.clone());
            self.problems.push(CriteriaError::NotKebabCase { file, id, dots: false });
        }
    }

    fn attribute(&mut self, file: &SourceFile, leaf: &str, side: Side, attribute: &Attribute) {
        self.text(file, leaf, &format!("{side}.explanation"), &attribute.explanation);
        let (file, leaf, phrase) = (file.name.clone(), leaf.to_owned(), attribute.phrase.clone());
        let words: Vec<String> = phrase.split_whitespace().map(str::to_lowercase).collect();
        if let Err(source) = prompt::check_phrase(&phrase) {
            self.problems.push(CriteriaError::PhraseCharacters { file, leaf, side, source });
        } else if !WORDS.contains(&words.len()) {
            self.problems.push(CriteriaError::PhraseLength { file, leaf, side, phrase });
        } else if let Some(first) = self.phrases.get(&words.join(" ")).cloned() {
            self.problems.push(CriteriaError::DuplicatePhrase { file, leaf, side, phrase, first });
        } else {
            self.phrases.insert(words.join(" "), leaf);
        }
    }

    fn changed_by(&mut self, file: &SourceFile, key: &'static str, nodes: &[String]) {
        for node in nodes {
            let leaves = &file.dimension.leaves;
            if !leaves.iter().any(|leaf| lies_below(&leaf.id, std::slice::from_ref(node))) {
                let (file, node) = (file.name.clone(), node.clone());
                self.problems.push(CriteriaError::NothingBelow { file, key, node });
            }
        }
    }

    fn nodes(&mut self, file: &SourceFile) {
        let dimension = &file.dimension;
        let mut needed = BTreeSet::new();
        for leaf in &dimension.leaves {
            let depth = 1 + leaf.id.split('.').count();
            let (name, id) = (file.name.clone(), file.full_id(&leaf.id));
            if !DEPTHS.contains(&depth) {
                self.problems.push(CriteriaError::Depth { file: name, leaf: id, depth });
                continue;
            }
            for node in ids::ancestors(&leaf.id) {
                if needed.insert(node) && !dimension.nodes.contains_key(node) {
                    let (file, leaf, node) = (file.name.clone(), id.clone(), file.full_id(node));
                    self.problems.push(CriteriaError::MissingNode { file, leaf, node });
                }
            }
        }
        for leaf in &dimension.leaves {
            if needed.contains(leaf.id.as_str()) || dimension.nodes.contains_key(&leaf.id) {
                let (file, leaf) = (file.name.clone(), file.full_id(&leaf.id));
                self.problems.push(CriteriaError::LeafIsNode { file, leaf });
            }
        }
        for (node, name) in &dimension.nodes {
            let id = file.full_id(node);
            self.text(file, &id, "name", name);
            let is_leaf = dimension.leaves.iter().any(|leaf| leaf.id == *node);
            if !needed.contains(node.as_str()) && !is_leaf {
                self.problems.push(CriteriaError::UnusedNode { file: file.name.clone(), node: id });
            }
        }
    }
}
