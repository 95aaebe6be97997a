//! From the worker to the page.

use crate::{JobId, Model};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What the worker answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The worker runs, and these leaves it can read in pictures.
    Ready,
    /// A device is open.
    Device(DeviceReport),
    /// Bytes of the models that a job needs.
    Download {
        /// The job that needs them.
        job: JobId,
        /// What has arrived, from the network or from the browser's storage.
        received: u64,
        /// What the job needs.
        total: u64,
        /// Whether all of it so far was in the browser's storage.
        is_stored: bool,
    },
    /// The models could not be kept in the browser's storage; the job goes on.
    NotStored {
        /// Why, in one sentence.
        reason: String,
    },
    /// A step of one picture is done.
    Step {
        /// The job.
        job: JobId,
        /// Who paints.
        model: Model,
        /// Which of the recipe's pictures, from 0.
        index: u32,
        /// Steps done, from 1.
        step: u32,
        /// Steps of a picture.
        steps: u32,
        /// What the picture will look like, at the size of the latents.
        preview: Pixels,
    },
    /// A picture is done.
    Painted {
        /// The job.
        job: JobId,
        /// Who painted.
        model: Model,
        /// Which of the recipe's pictures, from 0.
        index: u32,
        /// The seed of the picture.
        seed: u64,
        /// The picture.
        pixels: Pixels,
        /// The same as a PNG file with its parameters in it.
        png: Vec<u8>,
    },
    /// The leaves that the model was taught, for which probabilities are calibrated; the first reply to an explanation.
    Taught {
        /// The job.
        job: JobId,
        /// Their ids, those that it reads best first.
        leaves: Vec<String>,
    },
    /// What is known of a leaf so far.
    Leaf {
        /// The job.
        job: JobId,
        /// What was read.
        reading: LeafReading,
        /// Parts of the explanation that are done.
        done: u32,
        /// Parts at the most: leaves that are decided early need fewer.
        total: u32,
    },
    /// A picture file was read.
    Opened {
        /// The job.
        job: JobId,
        /// The picture at the model's size.
        pixels: Pixels,
        /// The same as a PNG file.
        png: Vec<u8>,
    },
    /// Two studio paintings that differ in one leaf.
    StudioExample {
        /// The job.
        job: JobId,
        /// The leaf's id.
        leaf: String,
        /// PNG files of its positive and its negative side; none if the studio cannot paint the leaf.
        pngs: Option<[Vec<u8>; 2]>,
    },
    /// A job is done.
    Finished {
        /// The job.
        job: JobId,
        /// How long it took, in milliseconds.
        milliseconds: f64,
    },
    /// A job ended because the page asked for it.
    Cancelled {
        /// The job.
        job: JobId,
    },
    /// A job ended without a result; the worker goes on with the next one.
    Failed {
        /// The job.
        job: JobId,
        /// What was wrong, and what to do.
        message: String,
    },
    /// The downloaded models are deleted.
    ModelsCleared,
    /// What the benchmark measured.
    Benchmark {
        /// The job.
        job: JobId,
        /// The figures.
        report: BenchmarkReport,
    },
}

/// A picture in memory.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pixels {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Red, green and blue of every pixel, row by row.
    pub rgb: Vec<u8>,
}

impl fmt::Debug for Pixels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Pixels({} x {})", self.width, self.height)
    }
}

/// The kind of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// WebGPU.
    WebGpu,
    /// The processor (burn's flex).
    Cpu,
}

/// The device that computes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReport {
    /// WebGPU or the processor.
    pub kind: DeviceKind,
    /// The adapter's name as far as the browser tells it; "the processor" otherwise.
    pub name: String,
    /// Whether the adapter computes in half precision (`shader-f16`).
    pub half_precision: bool,
    /// Why the processor computes although WebGPU was wanted, in one sentence.
    pub fallback: Option<String>,
}

/// What was read of one leaf in a picture; see `LeafExplanation` of the core.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeafReading {
    /// The leaf's id.
    pub leaf: String,
    /// Probability that the positive side is shown rather than the negative one, in `[0, 1]`.
    pub probability: f64,
    /// Half-width of the probability's range for one standard error.
    pub probability_error: f64,
    /// Draws of noise so far.
    pub draws: u32,
    /// Whether the sign is certain: more draws would not change it.
    pub certain: bool,
    /// Whether the model was taught this leaf, so that the probability is calibrated.
    pub taught: bool,
    /// Log-odds per latent pixel, row by row; positive where the positive side is read.
    pub map: Vec<f32>,
    /// Height and width of the map.
    pub map_size: [u32; 2],
}

/// How fast a device is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepTime {
    /// The device.
    pub device: DeviceReport,
    /// A step with guidance, in milliseconds; the median of several.
    pub step: f64,
    /// From the start, with models loaded, to the first finished picture of [`StepTime::STEPS`] steps, in milliseconds.
    /// Shaders are compiled in it.
    pub first_picture: f64,
    /// Decoding a picture, in milliseconds.
    pub decode: f64,
}

impl StepTime {
    /// Steps that are measured.
    pub const STEPS: u32 = 4;
}

/// What the benchmark measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchmarkReport {
    /// Reading the models from the network or the browser's storage and putting them on the device, in milliseconds.
    pub load: f64,
    /// WebGPU, if the browser has it, then the processor.
    pub devices: Vec<StepTime>,
    /// The worker's WebAssembly memory, in bytes.
    pub memory: u64,
}
