//! Stage 2: alignment of the target model.

use super::{Data, finish_trained, load_pipeline, trained, write_options};
use crate::{
    adapter,
    error::TrainError,
    options::TrainOptions,
    tasks::{CpoTask, Noising},
    text_states::TextStates,
    trainer::{Events, train},
};
use atelier_core::{models::denoiser::Denoiser, pipeline::Pipeline};
use atelier_criteria::{CriteriaTree, DimensionWeights};
use burn::tensor::Device;
use std::path::PathBuf;

/// Aligns the denoiser of `options.model` with Complex Preference Optimization; gives the folder of the aligned model.
///
/// # Errors
/// [`TrainError`], among them [`TrainError::Interrupted`] after a checkpoint.
pub fn cpo(
    options: &TrainOptions,
    tree: &CriteriaTree,
    events: &mut Events<'_>,
) -> Result<PathBuf, TrainError> {
    let device = options.device.device()?;
    let pipeline = load_pipeline(&options.model, "--model", &device)?;
    let auxiliary = auxiliary(options, &pipeline, &device)?;
    let weights = DimensionWeights::parse(tree, &options.dimension_weights)?;
    let data = Data::read(options, tree, events)?;
    write_options(options)?;
    let latents = data.pictures.latents(&pipeline, &device, events)?;
    let mut task = CpoTask {
        reference: &pipeline,
        auxiliary,
        states: TextStates::new(&pipeline, &device),
        tree,
        weights,
        latents: &latents,
        captions: &data.captions,
        labels: &data.labels,
        prompts: &data.prompts,
        noising: Noising::new(&pipeline.scheduler_config, options.snr_gamma)?,
        options,
    };
    let model = trained(&pipeline, options, &device)?;
    let model = train(&mut task, model, options, &options.output_dir, events)?;
    finish_trained(pipeline, model, options, events)
}

/// The denoiser of the auxiliary model: one of its own, or that of `pipeline` with an adapter on it, in the same memory.
fn auxiliary(options: &TrainOptions, pipeline: &Pipeline, device: &Device) -> Result<Denoiser, TrainError> {
    if let Some(file) = adapter::find(&options.auxiliary) {
        return Ok(adapter::attach(pipeline, &file, 1.0, device)?.denoiser);
    }
    let auxiliary = load_pipeline(&options.auxiliary, "--auxiliary", device)?;
    if auxiliary.tokenizer.bytes() != pipeline.tokenizer.bytes()
        || auxiliary.text_config != pipeline.text_config
    {
        return Err(TrainError::Option(
            "--auxiliary has another text encoder than --model; fine-tune it from the same model with `atelier train sft`"
                .to_owned(),
        ));
    }
    Ok(auxiliary.denoiser)
}
