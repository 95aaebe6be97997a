//! Whole runs: from options to a model folder.
//!
//! Every run writes into its output folder, which is locked meanwhile and holds no other run
//!
//! ```text
//! config.toml        the options after defaults, file and flags were joined
//! metrics.jsonl      one line per step
//! logs/              the same for TensorBoard
//! samples/           grids of paintings
//! checkpoint-000500/ what `--resume-from-checkpoint latest` goes on from
//! model/             the result, a diffusers folder; or, of a LoRA,
//! pytorch_lora_weights.safetensors
//! .atelier.json      the run's name, and which of the files are as it wrote them
//! ```

mod align;
mod data;
mod folder;
#[cfg(test)]
mod overfitting;
mod pretrain;
mod sft;

use data::Data;
use folder::{RunFolder, StageOfRun};

pub use align::align;
pub use pretrain::pretrain;
pub use sft::sft;

use crate::{
    adapter,
    checkpoint::Subject,
    error::TrainError,
    model_folder,
    optimizer::named_parameters,
    options::TrainOptions,
    output::{Ledger, OutputFolder},
    tasks::TrainedDenoiser,
    trainer::Events,
};
use atelier_core::{
    lora::LoraAdapter,
    models::denoiser::{Denoiser, DenoiserConfig},
    noise::NoiseSource,
    pipeline::{PictureSides, Pipeline},
    weights::Precision,
};
use burn::{
    module::{Module, ParamGroup},
    tensor::Device,
};
use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// Stream of the run's seed that draws the first weights of an adapter.
const ADAPTER_STREAM: u64 = 3;

/// The name of the result in an output folder.
pub const MODEL: &str = "model";

/// The folder of pretraining's first stage in the output folder.
const AUTOENCODER: &str = "autoencoder";

/// Writes `pipeline` as a diffusers folder at `path` in one move, in place of nothing or of what Atelier wrote there.
///
/// # Errors
/// [`TrainError::Pipeline`] for weights that are not finite, [`TrainError::Output`] for a folder of somebody else's and for a
/// disk that is full; an earlier folder is untouched.
pub fn save_pipeline(pipeline: &Pipeline, path: &Path, precision: Precision) -> Result<(), TrainError> {
    save_parts(pipeline, &[], OutputFolder::prepare(path)?, precision, &mut || ControlFlow::Continue(()))
}

/// Fills `folder` with the given parts of `pipeline`, such as `unet`, with all where there is none, and moves it to its
/// place. `going_on` is asked at the beginning and before each file, and cancels with `Break`.
///
/// # Errors
/// As [`save_pipeline`]; [`TrainError::Option`] for a part that the model lacks, [`TrainError::Cancelled`].
pub fn save_parts(
    pipeline: &Pipeline,
    parts: &[String],
    folder: OutputFolder,
    precision: Precision,
    going_on: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<(), TrainError> {
    if going_on().is_break() {
        return Err(TrainError::cancelled());
    }
    let mut files = futures_lite::future::block_on(pipeline.to_files(precision))?;
    let part_of = |name: &str| name.split('/').next().unwrap_or(name).to_owned();
    let known: BTreeSet<String> =
        files.keys().filter(|name| name.contains('/')).map(|name| part_of(name)).collect();
    if let Some(unknown) = parts.iter().find(|part| !known.contains(*part)) {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(TrainError::Option(format!("--part {unknown}: the model's parts are {known}")));
    }
    files.retain(|name, _| parts.is_empty() || parts.contains(&part_of(name)));
    for (name, bytes) in &files {
        if going_on().is_break() {
            return Err(TrainError::cancelled());
        }
        folder.write(name, |writer| writer.write_all(bytes))?;
    }
    Ok(folder.publish()?)
}

/// Loads `--model`, once it is clear that it takes pictures of `--size` and `--gradient-checkpointing`.
fn load_model(options: &TrainOptions, device: &Device) -> Result<Pipeline, TrainError> {
    required(&options.model, "--model")?;
    let folder = model_folder::find(&options.model)?;
    check_size(options, PictureSides::read(folder.as_path())?)?;
    check_checkpointing(options, &Pipeline::read_denoiser_config(folder.as_path())?)?;
    tracing::info!(path = %options.model.display(), "loading a model");
    let dtype = options.base_precision.dtype_on(device)?;
    Ok(Pipeline::load_stored_as(dtype, folder.as_path(), device)?)
}

/// Whether a model that takes pictures of `sides` takes those of `options`.
pub(crate) fn check_size(options: &TrainOptions, sides: PictureSides) -> Result<(), TrainError> {
    let (size, PictureSides { divisor, longest }) = (options.size, sides);
    if !(size as usize).is_multiple_of(divisor) {
        return Err(TrainError::Option(format!(
            "--size {size}: this model takes multiples of {divisor} pixels"
        )));
    }
    // A bucket is up to twice as wide or high as the square.
    let (needed, why) = if options.aspect_ratio_buckets {
        (2 * size as usize, ", and --aspect-ratio-buckets twice that")
    } else {
        (size as usize, "")
    };
    match longest {
        Some(longest) if needed > longest => Err(TrainError::Option(format!(
            "--size {size}{why}: this model takes sides up to {longest} pixels"
        ))),
        _ => Ok(()),
    }
}

/// Whether `--gradient-checkpointing` can be had, if it is asked for.
pub(crate) fn check_checkpointing(
    options: &TrainOptions,
    denoiser: &DenoiserConfig,
) -> Result<(), TrainError> {
    if !options.gradient_checkpointing || denoiser.can_be_checkpointed() {
        return Ok(());
    }
    Err(TrainError::Option(format!(
        "--gradient-checkpointing works for UNets; the blocks of a {} cannot be computed again yet",
        denoiser.class()
    )))
}

/// Sides of pictures that are multiples of this go through autoencoder and denoiser without rounding.
fn picture_multiple(pipeline: &Pipeline) -> u32 {
    (pipeline.vae_config.downsampling_factor() * pipeline.denoiser_config.latent_multiple()) as u32
}

/// What `options` ask to train, with gradients.
pub(crate) fn trained(
    pipeline: &Pipeline,
    options: &TrainOptions,
    device: &Device,
) -> Result<TrainedDenoiser, TrainError> {
    match options.lora() {
        Some(config) => {
            let mut noise = NoiseSource::with_stream(options.seed, ADAPTER_STREAM);
            let adapter = LoraAdapter::new(&pipeline.denoiser, &config, &mut noise, device)?;
            Ok(TrainedDenoiser::Adapter(adapter.train()))
        }
        None => Ok(TrainedDenoiser::Whole(trainable(&pipeline.denoiser, &options.target_modules)?)),
    }
}

/// `model` with gradients, for parameters whose name contains one of `modules`; for all where `modules` is empty.
fn trainable(model: &Denoiser, modules: &[String]) -> Result<Denoiser, TrainError> {
    let names = named_parameters(model);
    if let Some(unknown) = modules.iter().find(|module| !names.keys().any(|name| name.contains(*module))) {
        let known: BTreeSet<&str> = names.keys().filter_map(|name| name.split('.').next()).collect();
        return Err(TrainError::Option(format!(
            "--target-module {unknown}: no parameter of the denoiser has that in its name; its modules are {}",
            known.into_iter().collect::<Vec<_>>().join(", ")
        )));
    }
    let model = model.clone().train();
    if modules.is_empty() {
        return Ok(model);
    }
    let trained = ParamGroup::from_any_predicates(modules.to_vec());
    Ok(model.freeze_group(ParamGroup::all().exclude(trained)))
}

fn required(path: &Path, flag: &str) -> Result<(), TrainError> {
    if path.as_os_str().is_empty() {
        return Err(TrainError::Option(format!(
            "{flag} is missing: name it as a flag or in the configuration file"
        )));
    }
    Ok(())
}

/// The stage of a run that trains the denoiser of `--model`.
fn denoiser_stage(name: &'static str, options: &TrainOptions) -> StageOfRun {
    StageOfRun { name, folder: "", steps: options.max_train_steps, subject: Subject::new(options) }
}

/// Saves the result of a run, the model of `pipeline` with `trained` or an adapter alone, and says where it is.
fn finish_trained(
    pipeline: Pipeline,
    trained: TrainedDenoiser,
    options: &TrainOptions,
    events: &mut Events<'_>,
) -> Result<PathBuf, TrainError> {
    match trained {
        TrainedDenoiser::Whole(denoiser) => finish(&Pipeline { denoiser, ..pipeline }, options, events),
        TrainedDenoiser::Adapter(adapter) => {
            let path = options.output_dir.join(adapter::FILE);
            adapter::save(&adapter, &pipeline, &path, options.save_precision.into())?;
            Ledger::note(&options.output_dir, adapter::FILE)?;
            let _ = events(crate::trainer::TrainEvent::Saved(path.clone()));
            Ok(path)
        }
    }
}

/// Saves the result of a run and says where it is.
fn finish(
    pipeline: &Pipeline,
    options: &TrainOptions,
    events: &mut Events<'_>,
) -> Result<PathBuf, TrainError> {
    let path = options.output_dir.join(MODEL);
    save_pipeline(pipeline, &path, options.save_precision.into())?;
    let _ = events(crate::trainer::TrainEvent::Saved(path.clone()));
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_cancelled_folder_is_not_written_at_all() {
        let device = Device::flex();
        let painter = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/painter"));
        let pipeline = Pipeline::load(painter, &device).expect("the shipped painter");
        let folder = tempfile::tempdir().expect("a folder");
        let mut files = 0;
        let model = OutputFolder::prepare(&folder.path().join("model")).expect("a place");
        let saved = save_parts(&pipeline, &[], model, Precision::F16, &mut || {
            files += 1;
            if files > 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(saved.is_err_and(|error| error.is_cancelled()));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
