//! From the page to the worker.

use crate::{Choice, JobId, Pixels, Recipe};
use serde::{Deserialize, Serialize};

/// Where the visitor wants to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// On WebGPU where the browser has an adapter, on the processor otherwise.
    #[default]
    Auto,
    /// On WebGPU; where there is none, on the processor, and the page says so.
    WebGpu,
    /// On the processor.
    Cpu,
}

/// What the page asks of the worker. Jobs run one after the other, in the order of the requests; only
/// [`Request::Cancel`] is answered at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Opens a device; answered by [`Reply::Device`](crate::Reply::Device). Models that were loaded move there when they are
    /// next needed.
    Open {
        /// Which.
        device: DeviceChoice,
    },
    /// Paints `recipe.count` pictures with each chosen model. Answered by [`Reply::Download`](crate::Reply::Download) as
    /// needed, [`Reply::Step`](crate::Reply::Step) after every step, [`Reply::Painted`](crate::Reply::Painted) for every
    /// picture, and [`Reply::Finished`](crate::Reply::Finished).
    Paint {
        /// The number of the job.
        job: JobId,
        /// What to paint, and how.
        recipe: Recipe,
        /// With which models.
        choice: Choice,
    },
    /// Reads attributes in a picture. Answered by [`Reply::Leaf`](crate::Reply::Leaf), several times for each leaf, ever more
    /// certain, and [`Reply::Finished`](crate::Reply::Finished).
    Explain {
        /// The number of the job.
        job: JobId,
        /// The picture.
        picture: ExplainedPicture,
        /// The leaves to read.
        leaves: Vec<LeafPhrases>,
        /// Whether to leave out those that the model was not taught.
        only_taught: bool,
    },
    /// Makes the bytes of a picture file into a picture of the model's size, cropped to a square from its centre. Answered
    /// by [`Reply::Opened`](crate::Reply::Opened).
    OpenPicture {
        /// The number of the job.
        job: JobId,
        /// The file: PNG, JPEG or WebP.
        bytes: Vec<u8>,
    },
    /// Paints a leaf's two sides with the studio. Answered by [`Reply::StudioExample`](crate::Reply::StudioExample).
    StudioExample {
        /// The number of the job.
        job: JobId,
        /// The leaf's id.
        leaf: String,
        /// The genres that it applies to, as the criteria have them; empty for all.
        genres: Vec<String>,
    },
    /// Ends a job within one step; answered by [`Reply::Cancelled`](crate::Reply::Cancelled).
    Cancel {
        /// The number of the job.
        job: JobId,
    },
    /// Deletes the downloaded models; answered by [`Reply::ModelsCleared`](crate::Reply::ModelsCleared).
    ClearModels,
    /// Measures WebGPU, if there is any, and the processor. Answered by [`Reply::Benchmark`](crate::Reply::Benchmark).
    Benchmark {
        /// The number of the job.
        job: JobId,
    },
}

/// A leaf, and what prompts say of its sides. The page has the criteria, so that the worker needs none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafPhrases {
    /// The leaf's id.
    pub id: String,
    /// The positive attribute.
    pub positive: String,
    /// The negative attribute.
    pub negative: String,
}

/// A picture whose attributes are to be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExplainedPicture {
    /// The picture, of the model's size.
    pub pixels: Pixels,
    /// What it shows; empty if that is not known.
    pub caption: String,
}
