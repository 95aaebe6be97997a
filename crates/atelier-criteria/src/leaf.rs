//! What the tree is made of: dimensions, and leaves with their two attributes.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One root of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dimension {
    /// One word in kebab case, the first segment of the ids below.
    pub id: String,
    /// The name to show.
    pub name: String,
    /// Position among the dimensions, as written in the file.
    pub order: u32,
    /// One sentence on what the dimension is about.
    pub summary: String,
}

/// One aspect of a picture: a pair of a positive and a negative attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leaf {
    /// The full id: the segments from the dimension down, joined by dots.
    pub id: String,
    /// The name to show.
    pub name: String,
    /// Index into [`CriteriaTree::dimensions`](crate::CriteriaTree::dimensions).
    pub dimension: usize,
    /// What a picture has that succeeds in this aspect.
    pub positive: Attribute,
    /// What a picture has that fails in this aspect.
    pub negative: Attribute,
    /// The genres it applies to, in kebab case; empty for all.
    pub genres: Vec<String>,
    /// Whether a part of a picture may have the other side of the leaf: it is about the place of things in the frame, or
    /// about how much of it they take.
    pub changed_by_crop: bool,
    /// Whether the mirror image of a picture may have the other side of the leaf: it tells left from right.
    pub changed_by_flip: bool,
}

impl Leaf {
    /// The attribute of one side.
    #[must_use]
    pub const fn attribute(&self, side: Side) -> &Attribute {
        match side {
            Side::Positive => &self.positive,
            Side::Negative => &self.negative,
        }
    }

    /// Whether the leaf applies to pictures of `genre`.
    #[must_use]
    pub fn applies_to(&self, genre: &str) -> bool {
        self.genres.is_empty() || self.genres.iter().any(|own| own == genre)
    }

    /// The level of the leaf: the number of segments of its id, the dimension being level 1.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.id.split('.').count()
    }
}

/// One side of a leaf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// What stands in a prompt: 2 to 6 words, unique in the tree.
    pub phrase: String,
    /// One sentence that tells a layman what to look for.
    pub explanation: String,
}

/// The two sides of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The picture succeeds.
    Positive,
    /// The picture fails.
    Negative,
}

impl Side {
    /// Both sides, the positive one first.
    pub const BOTH: [Self; 2] = [Self::Positive, Self::Negative];

    /// The other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Positive => Self::Negative,
            Self::Negative => Self::Positive,
        }
    }

    /// The word used in files and prompts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Negative => "negative",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
