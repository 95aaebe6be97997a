//! Whether a task teaches: what the tests of the runs measure it by.

use super::Data;
use crate::{
    error::TrainError,
    forward_passes::ForwardPasses,
    latents::LatentCache,
    optimizer::{AdamW, AdamWOptions},
    options::TrainOptions,
    tasks::TrainedDenoiser,
    trainer::{Task, device_of},
};
use atelier_core::{noise::NoiseSource, objectives::Objective, pipeline::Pipeline};
use atelier_studio::{DatasetOptions, write_dataset};
use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

const STEPS: usize = 40;
const BATCH: usize = 4;

/// What an objective lowers, on one batch with one noise, before and after the model was trained on just that.
///
/// Nothing is drawn anew between the steps, so with a sound objective it falls far below where it began, however sums are
/// rounded; with one whose gradient points elsewhere it does not.
pub(super) struct Overfitting {
    /// The model, with gradients.
    pub model: TrainedDenoiser,
    /// Seed of the batch's noise.
    pub seed: u64,
    /// Of AdamW.
    pub learning_rate: f64,
    /// The logged quantity that should fall.
    pub watched: &'static str,
}

impl Overfitting {
    /// Its values on a batch of the first examples.
    pub fn run<T: Task<Model = TrainedDenoiser>>(self, task: &mut T) -> Result<[f32; 2], TrainError> {
        let Self { mut model, seed, learning_rate, watched } = self;
        let (frozen, device) = (task.frozen(), device_of(&model));
        let examples: Vec<usize> = (0..task.examples()).cycle().take(BATCH).collect();
        let mut optimizer = AdamW::new(AdamWOptions::default());
        let mut course = Vec::new();
        for _ in 0..=STEPS {
            let batch = task.batch(&examples, &mut NoiseSource::new(seed), 0, &device)?;
            let mut passes = ForwardPasses::new(false);
            let Objective { loss, names, values } = task.objective(&model, &frozen, batch, &mut passes);
            let index = names.iter().position(|name| *name == watched).expect("a logged quantity");
            course.push(values.inner().slice([index..=index]).into_scalar::<f32>());
            let gradients = passes.gradients(loss.backward(), &model);
            model = optimizer.step(model, gradients, learning_rate).0;
        }
        Ok([course[0], course[STEPS]])
    }
}

/// The tiny random model of a family.
pub(super) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../atelier-core/tests/fixtures/pipelines").join(name)
}

/// Studio paintings of one caption, so that every two are a pair.
pub(super) fn paintings(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    let options = DatasetOptions { count: 20, seed: 1, size: 32 };
    write_dataset(&data, options, &|_, _| ControlFlow::Continue(())).expect("paintings");
    let metadata = data.join("train/metadata.jsonl");
    let alike = fs::read_to_string(&metadata).expect("metadata");
    let alike = alike.lines().map(|line| {
        let mut record: serde_json::Value = serde_json::from_str(line).expect("JSON");
        record["text"] = "a seascape".into();
        format!("{record}\n")
    });
    fs::write(&metadata, alike.collect::<String>()).expect("written");
    data
}

/// The latents of `data`, as a run of `options` caches them.
pub(super) fn latents(data: &Data, pipeline: &Pipeline, options: &TrainOptions) -> LatentCache {
    let device = device_of(&pipeline.denoiser);
    data.latents(pipeline, options, &device, &mut |_| ControlFlow::Continue(())).expect("latents")
}
