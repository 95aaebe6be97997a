//! The tree: loading, and finding leaves.

use crate::{
    CriteriaError, Dimension, Leaf, Node, ids,
    node::NodeEntry,
    source,
    source::{SourceFile, lies_below},
    validation,
};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::OnceLock,
};

/// The painting criteria that come with the crate: file name and text.
const EMBEDDED: [(&str, &str); 7] = [
    ("composition.toml", include_str!("../criteria/painting/composition.toml")),
    ("color-relations.toml", include_str!("../criteria/painting/color-relations.toml")),
    ("light-and-value.toml", include_str!("../criteria/painting/light-and-value.toml")),
    ("form-and-drawing.toml", include_str!("../criteria/painting/form-and-drawing.toml")),
    ("space-and-depth.toml", include_str!("../criteria/painting/space-and-depth.toml")),
    ("brushstroke-and-texture.toml", include_str!("../criteria/painting/brushstroke-and-texture.toml")),
    ("subject-and-expression.toml", include_str!("../criteria/painting/subject-and-expression.toml")),
];

/// A valid tree of criteria.
///
/// Tree order means: dimensions by their `order`, below them every node where the file first mentions it. The leaves
/// below a node therefore lie side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct CriteriaTree {
    dimensions: Vec<Dimension>,
    leaves: Vec<Leaf>,
    /// Every node, leaves included, depth first.
    pub(crate) nodes: Vec<NodeEntry>,
    leaf_indices: HashMap<String, usize>,
}

impl CriteriaTree {
    /// The embedded criteria of painting: 7 dimensions, 246 leaves, all at level 5.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static TREE: OnceLock<CriteriaTree> = OnceLock::new();
        TREE.get_or_init(|| Self::from_sources(EMBEDDED).expect("the embedded criteria pass their own test"))
    }

    /// The tree of a folder: every `*.toml` file in it is one dimension.
    ///
    /// # Errors
    /// The folder or a file cannot be read, or the first rule a file breaks; [`CriteriaError::Several`] lists them if
    /// there are more.
    pub fn from_dir(dir: &Path) -> Result<Self, CriteriaError> {
        Self::from_sources(source::read_dir(dir)?)
    }

    /// The tree of files in memory, as pairs of file name and text.
    ///
    /// # Errors
    /// See [`CriteriaTree::from_dir`].
    pub fn from_sources<N, T>(sources: impl IntoIterator<Item = (N, T)>) -> Result<Self, CriteriaError>
    where
        N: AsRef<str>,
        T: AsRef<str>,
    {
        let (files, mut problems) = check(sources);
        match problems.len() {
            0 => Ok(Self::build(files)),
            1 => Err(problems.remove(0)),
            _ => Err(CriteriaError::Several(problems)),
        }
    }

    /// Everything that is wrong with the tree of a folder; nothing if [`CriteriaTree::from_dir`] would take it.
    #[must_use]
    pub fn lint_dir(dir: &Path) -> Vec<CriteriaError> {
        match source::read_dir(dir) {
            Ok(sources) => Self::lint(sources),
            Err(problem) => vec![problem],
        }
    }

    /// Everything that is wrong with the embedded tree: nothing.
    #[must_use]
    pub fn embedded_problems() -> Vec<CriteriaError> {
        Self::lint(EMBEDDED)
    }

    /// Everything that is wrong with files in memory; nothing if [`CriteriaTree::from_sources`] would take them.
    #[must_use]
    pub fn lint<N, T>(sources: impl IntoIterator<Item = (N, T)>) -> Vec<CriteriaError>
    where
        N: AsRef<str>,
        T: AsRef<str>,
    {
        check(sources).1
    }

    /// Puts valid files together.
    fn build(mut files: Vec<SourceFile>) -> Self {
        files.sort_by(|a, b| (a.dimension.order, &a.dimension.id).cmp(&(b.dimension.order, &b.dimension.id)));
        let mut tree = Self {
            dimensions: Vec::new(),
            leaves: Vec::new(),
            nodes: Vec::new(),
            leaf_indices: HashMap::new(),
        };
        for file in files {
            let dimension = tree.dimensions.len();
            let SourceFile { dimension: source, .. } = file;
            let names = source.nodes.iter().map(|(id, name)| (format!("{}.{id}", source.id), name.clone()));
            let names: BTreeMap<String, String> =
                names.chain([(source.id.clone(), source.name.clone())]).collect();
            let leaves = source.leaves.into_iter().map(|leaf| Leaf {
                changed_by_crop: lies_below(&leaf.id, &source.changed_by_crop),
                changed_by_flip: lies_below(&leaf.id, &source.changed_by_flip),
                id: format!("{}.{}", source.id, leaf.id),
                name: leaf.name,
                dimension,
                positive: leaf.positive,
                negative: leaf.negative,
                genres: leaf.genres,
            });
            tree.add_dimension(leaves.collect(), &names);
            tree.dimensions.push(Dimension {
                id: source.id,
                name: source.name,
                order: source.order,
                summary: source.summary,
            });
        }
        tree
    }

    /// Adds the leaves of one dimension and every node above them, whose names are in `names`.
    fn add_dimension(&mut self, mut leaves: Vec<Leaf>, names: &BTreeMap<String, String>) {
        let mut mentioned: HashMap<String, usize> = HashMap::new();
        for leaf in &leaves {
            for node in ids::ancestors(&leaf.id).chain([leaf.id.as_str()]) {
                let next = mentioned.len();
                mentioned.entry(node.to_owned()).or_insert(next);
            }
        }
        leaves.sort_by_cached_key(|leaf| -> Vec<usize> {
            ids::ancestors(&leaf.id).chain([leaf.id.as_str()]).map(|node| mentioned[node]).collect()
        });
        let mut entries: HashMap<String, usize> = HashMap::new();
        for leaf in leaves {
            let index = self.leaves.len();
            for (level, node) in ids::ancestors(&leaf.id).enumerate() {
                let entry = *entries.entry(node.to_owned()).or_insert_with(|| {
                    let name = names[node].clone();
                    self.nodes.push(NodeEntry {
                        id: node.to_owned(),
                        name,
                        depth: level + 1,
                        leaves: index..index,
                    });
                    self.nodes.len() - 1
                });
                self.nodes[entry].leaves.end = index + 1;
            }
            self.nodes.push(NodeEntry {
                id: leaf.id.clone(),
                name: leaf.name.clone(),
                depth: leaf.depth(),
                leaves: index..index + 1,
            });
            self.leaf_indices.insert(leaf.id.clone(), index);
            self.leaves.push(leaf);
        }
    }

    /// The dimensions in tree order.
    #[must_use]
    pub fn dimensions(&self) -> &[Dimension] {
        &self.dimensions
    }

    /// The leaves in tree order.
    #[must_use]
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// The dimension of a leaf of this tree.
    ///
    /// # Panics
    /// If the leaf is of a tree with more dimensions.
    #[must_use]
    pub fn dimension_of(&self, leaf: &Leaf) -> &Dimension {
        &self.dimensions[leaf.dimension]
    }

    /// The leaf with the full id `id`.
    #[must_use]
    pub fn leaf(&self, id: &str) -> Option<&Leaf> {
        self.leaf_index(id).map(|index| &self.leaves[index])
    }

    /// The position of the leaf `id` in [`CriteriaTree::leaves`].
    #[must_use]
    pub fn leaf_index(&self, id: &str) -> Option<usize> {
        self.leaf_indices.get(id).copied()
    }

    /// The leaf with the full id `id`.
    ///
    /// # Errors
    /// [`CriteriaError::UnknownId`] suggests the nearest leaves.
    pub fn require_leaf(&self, id: &str) -> Result<&Leaf, CriteriaError> {
        self.leaf(id).ok_or_else(|| CriteriaError::UnknownId {
            id: id.to_owned(),
            nearest: ids::nearest(id, self.leaves.iter().map(|leaf| leaf.id.as_str())),
        })
    }

    /// The leaves below any of `prefixes` in tree order, each once. A prefix is the id of a dimension, an inner node or
    /// a leaf.
    ///
    /// # Errors
    /// [`CriteriaError::UnknownId`] if nothing lies below a prefix.
    pub fn select<P: AsRef<str>>(
        &self,
        prefixes: impl IntoIterator<Item = P>,
    ) -> Result<Vec<&Leaf>, CriteriaError> {
        let mut chosen = vec![false; self.leaves.len()];
        for prefix in prefixes {
            let node = self.require_node(prefix.as_ref())?;
            chosen[node.leaf_range()].fill(true);
        }
        Ok(self.leaves.iter().zip(chosen).filter_map(|(leaf, chosen)| chosen.then_some(leaf)).collect())
    }

    /// The node, inner or leaf, with the full id `id`.
    ///
    /// # Errors
    /// [`CriteriaError::UnknownId`] suggests the nearest nodes.
    pub fn require_node(&self, id: &str) -> Result<Node<'_>, CriteriaError> {
        self.node(id).ok_or_else(|| CriteriaError::UnknownId {
            id: id.to_owned(),
            nearest: ids::nearest(id, self.nodes.iter().map(|node| node.id.as_str())),
        })
    }
}

/// The files that could be parsed, and everything that is wrong.
fn check<N, T>(sources: impl IntoIterator<Item = (N, T)>) -> (Vec<SourceFile>, Vec<CriteriaError>)
where
    N: AsRef<str>,
    T: AsRef<str>,
{
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for (name, text) in sources {
        match SourceFile::parse(name.as_ref(), text.as_ref()) {
            Ok(file) => files.push(file),
            Err(problem) => problems.push(problem),
        }
    }
    if files.is_empty() && problems.is_empty() {
        problems.push(CriteriaError::NoDimensions { place: "the given files".to_owned() });
    }
    problems.extend(validation::problems(&files));
    (files, problems)
}
