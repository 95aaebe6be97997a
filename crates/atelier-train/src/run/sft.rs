//! Stage 1: the auxiliary model.

use super::{Data, finish_trained, load_model, picture_multiple, trained, write_options};
use crate::{
    error::TrainError,
    options::TrainOptions,
    tasks::{Noising, SftTask},
    text_states::TextStates,
    trainer::{Events, train},
};
use atelier_criteria::{CriteriaTree, prompt::BlockDropout};
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
    let device = options.device.device()?;
    let pipeline = load_model(options, &device)?;
    let data = Data::read(options, tree, picture_multiple(&pipeline))?;
    write_options(options)?;
    let latents = data.latents(&pipeline, options, &device, events)?;
    let mut task = SftTask {
        pipeline: &pipeline,
        latents: &latents,
        prompts: &data.prompts,
        dropout: BlockDropout::default(),
        noising: Noising::new(&pipeline.scheduler_config, options.snr_gamma)?,
        states: TextStates::new(&pipeline, options.cache_dir.as_deref(), &device)?,
        options,
    };
    let model = trained(&pipeline, options, &device)?;
    let model = train(&mut task, model, options, &options.output_dir, events)?;
    finish_trained(pipeline, model, options, events)
}
