//! The criteria that an expert judges paintings by, as a tree, and the prompts made of them. No tensor in it.
//!
//! # The tree
//! A *dimension* (Composition, Color Relations, …) branches into inner nodes down to the *leaves*. A [`Leaf`] is a pair
//! of attributes of one aspect: a positive one (`clean colour`) and a negative one (`muddy colour`). On one picture only
//! some leaves are active, positive and negative ones side by side; [`Labels`] holds both sets. The embedded tree for
//! painting has 7 dimensions, 5 levels and 246 leaves; a tree for another field is a folder of TOML files, one per
//! dimension, read by [`CriteriaTree::from_dir`]:
//!
//! ```toml
//! id = "color-relations"
//! name = "Color Relations"
//! order = 2                       # position among the dimensions
//! summary = "How the colours of a picture act on one another."
//! changed-by-crop = []            # nodes and leaves that a part of the picture may have the other side of
//! changed-by-flip = []            # and those that the mirror image may have the other side of
//!
//! [nodes]                         # every inner node; the keys leave the dimension out
//! "purity" = "Purity"
//! "purity.mixture" = "Mixture"
//! "purity.mixture.cleanliness" = "Cleanliness"
//!
//! [[leaf]]
//! id = "purity.mixture.cleanliness.clean"
//! name = "Clean mixtures"
//! genres = ["still-life"]         # none: every genre
//! positive = { phrase = "clean colour", explanation = "The paints were mixed so that they stay fresh." }
//! negative = { phrase = "muddy colour", explanation = "The paints were mixed until they turned brown." }
//! ```
//!
//! The full id of that leaf is `color-relations.purity.mixture.cleanliness.clean`. Ids are words in kebab case joined by
//! dots, between 2 and 5 levels deep; a phrase has 2 to 6 words and occurs once in the whole tree, so that a phrase is
//! as good a name for an attribute as an id. [`CriteriaTree::lint_dir`] lists everything that is wrong with a folder.
//!
//! # The prompt
//! A caption and the phrases of both sides are written in one reversible template (module [`prompt`]):
//!
//! ```
//! use atelier_criteria::{CriteriaTree, Labels, prompt::Prompt};
//!
//! let labels = Labels {
//!     positive: vec!["color-relations.purity.mixture.cleanliness.clean".to_owned()],
//!     negative: vec!["composition.division.horizon.levelness.level".to_owned()],
//! };
//! let prompt = labels.prompt("a harbour in the evening", CriteriaTree::embedded())?;
//! let text = prompt.compose();
//! assert_eq!(text, "a harbour in the evening | positive: clean colour | negative: tilted horizon");
//! assert_eq!(Prompt::parse(&text)?, prompt);
//! # Ok::<(), atelier_criteria::CriteriaError>(())
//! ```

mod error;
mod ids;
mod labels;
mod leaf;
mod node;
pub mod prompt;
mod search;
mod source;
mod stats;
mod tree;
mod validation;
mod weights;

pub use error::CriteriaError;
pub use ids::edit_distance;
pub use labels::Labels;
pub use leaf::{Attribute, Dimension, Leaf, Side};
pub use node::Node;
pub use prompt::PromptError;
pub use stats::{DimensionStats, Stats};
pub use tree::CriteriaTree;
pub use weights::DimensionWeights;
