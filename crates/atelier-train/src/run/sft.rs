//! Stage 1: the auxiliary model.

use super::{Data, RunFolder, denoiser_stage, finish_trained, load_model, picture_multiple, trained};
use crate::{
    checkpoint::base_fingerprint,
    error::TrainError,
    latents::LatentCache,
    options::TrainOptions,
    tasks::{Noising, SftTask},
    text_states::TextStates,
    trainer::{Events, train},
};
use atelier_core::pipeline::Pipeline;
use atelier_criteria::{CriteriaTree, prompt::BlockDropout};
use burn::tensor::Device;
use std::path::PathBuf;

/// Fine-tunes the denoiser of `options.model` on captions with attributes; gives the folder of the auxiliary model.
///
/// # Errors
/// [`TrainError`], among them [`TrainError::Interrupted`] after a checkpoint.
pub fn sft(
    options: &TrainOptions,
    tree: &CriteriaTree,
    events: &mut Events<'_>,
) -> Result<PathBuf, TrainError> {
    let stage = denoiser_stage("sft", options);
    let folder = RunFolder::open(options, std::slice::from_ref(&stage))?;
    let device = options.device.device()?;
    let pipeline = load_model(options, &device)?;
    let data = Data::read(options, tree, picture_multiple(&pipeline))?;
    let latents = data.latents(&pipeline, options, &device, events)?;
    let mut task = task(&pipeline, &data, &latents, options, &device)?;
    let model = trained(&pipeline, options, &device)?;
    let stage = folder.stage(&stage, Some(base_fingerprint(&pipeline)?))?;
    folder.begin(options)?;
    let model = train(&mut task, model, options, &stage, events)?;
    finish_trained(pipeline, model, options, events)
}

fn task<'a>(
    pipeline: &'a Pipeline,
    data: &'a Data,
    latents: &'a LatentCache,
    options: &'a TrainOptions,
    device: &Device,
) -> Result<SftTask<'a>, TrainError> {
    Ok(SftTask {
        pipeline,
        latents,
        prompts: &data.prompts,
        dropout: BlockDropout::default(),
        noising: Noising::new(&pipeline.scheduler_config, options.snr_gamma)?,
        states: TextStates::new(pipeline, options.cache_dir.as_deref(), device)?,
        options,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::overfitting::{Overfitting, fixture, latents, paintings};

    #[test]
    fn adapters_of_every_family_learn_their_batch() {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, tree, device) = (paintings(folder.path()), CriteriaTree::embedded(), Device::flex());
        for family in ["sd", "sd21", "sdxl", "sd3", "flux"] {
            let options = TrainOptions {
                data: data.clone(),
                model: fixture(family),
                size: 16,
                lora_rank: 4,
                ..TrainOptions::default()
            };
            let pipeline = load_model(&options, &device).expect("a model");
            let data = Data::read(&options, tree, picture_multiple(&pipeline)).expect("data");
            let latents = latents(&data, &pipeline, &options);
            for seed in 0..3 {
                let mut task = task(&pipeline, &data, &latents, &options, &device).expect("a task");
                let model = trained(&pipeline, &options, &device).expect("an adapter");
                let overfitting = Overfitting { model, seed, learning_rate: 3e-2, watched: "loss" };
                let [before, after] = overfitting.run(&mut task).expect("losses");
                println!("{family} with seed {seed}: {before} became {after}");
                assert!(after < 0.9 * before, "{family}: {before} became {after}");
            }
        }
    }
}
