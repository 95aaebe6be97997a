//! Training from nothing: first the autoencoder, then denoiser and text encoder together. A model that was trained so can be
//! trained further.

use super::{Data, MODEL, finish, load_model, picture_multiple, save_pipeline, write_options};
use crate::{
    architecture,
    base_precision::BasePrecision,
    checkpoint,
    error::TrainError,
    learning_rate::LearningRateKind,
    options::TrainOptions,
    pictures::PictureCache,
    tasks::{AutoencoderTask, DenoiserTask, DenoiserWithText, Noising},
    tokenizer,
    trainer::{Events, train},
};
use atelier_core::{models::autoencoder::Autoencoder, pipeline::Pipeline, weights::Precision};
use atelier_criteria::{CriteriaTree, prompt::BlockDropout};
use burn::{
    module::{Module, ParamGroup},
    tensor::{Device, Tensor},
};
use std::path::PathBuf;

/// The folder of the first stage in the output folder.
const AUTOENCODER: &str = "autoencoder";

/// Trains a small painter on the paintings of `options.data`; gives the model folder.
///
/// Where `options.model` names one, it is trained further. Its encoder stays as it is, for the denoiser knows its latents;
/// the steps of the autoencoder then improve the decoder.
///
/// # Errors
/// [`TrainError`], among them [`TrainError::Interrupted`] after a checkpoint.
pub fn pretrain(
    options: &TrainOptions,
    tree: &CriteriaTree,
    events: &mut Events<'_>,
) -> Result<PathBuf, TrainError> {
    if options.base_precision != BasePrecision::F32 {
        let problem =
            "--base-precision is for `train sft` and `train align`: pretraining trains all weights in f32";
        return Err(TrainError::Option(problem.to_owned()));
    }
    let device = options.device.device()?;
    let with_autoencoder = options.output_dir.join(AUTOENCODER).join(MODEL);
    let resumed = options.resume_from_checkpoint.is_some() && with_autoencoder.is_dir();
    let given = if resumed {
        Some(Pipeline::load(with_autoencoder.as_path(), &device)?)
    } else if options.model.as_os_str().is_empty() {
        None
    } else {
        Some(load_model(options, &device)?)
    };
    let data =
        Data::read(options, tree, given.as_ref().map_or(architecture::PICTURE_MULTIPLE, picture_multiple))?;
    write_options(options)?;
    let mut pipeline = match given {
        Some(pipeline) if resumed => pipeline,
        given => {
            let pictures = PictureCache::read(&data.folder, options.size, events)?;
            let trained = match given {
                Some(given) => {
                    let encoder = ParamGroup::from_predicate("encoder.");
                    train_autoencoder(given, &pictures, Some(encoder), options, events)?
                }
                None => {
                    let words = tokenizer::vocabulary_texts(tree);
                    let texts = words.iter().chain(&data.captions).map(String::as_str);
                    let fresh = architecture::small_painter(texts, options.size, options.seed, &device)?;
                    let mut trained = train_autoencoder(fresh, &pictures, None, options, events)?;
                    let scale = 1.0 / latent_deviation(&trained, &pictures, &device)?;
                    trained.vae_config.set_scaling_factor(scale);
                    trained
                }
            };
            save_pipeline(&trained, &with_autoencoder, Precision::F32)?;
            trained
        }
    };
    let latents = data.latents(&pipeline, options, &device, events)?;
    let mut task = DenoiserTask {
        pipeline: &pipeline,
        latents: &latents,
        prompts: &data.prompts,
        dropout: BlockDropout::default(),
        noising: Noising::new(&pipeline.scheduler_config, options.snr_gamma)?,
        options,
    };
    let model =
        DenoiserWithText { denoiser: pipeline.denoiser.clone(), text_encoder: pipeline.text_encoder.clone() };
    let stage = TrainOptions {
        resume_from_checkpoint: checkpoint_of(options, &options.output_dir),
        ..options.clone()
    };
    let DenoiserWithText { denoiser, text_encoder } =
        train(&mut task, model.train(), &stage, &options.output_dir, events)?;
    pipeline.denoiser = denoiser;
    pipeline.text_encoder = text_encoder;
    finish(&pipeline, options, events)
}

/// Trains the autoencoder but for its `frozen` parameters.
fn train_autoencoder(
    mut pipeline: Pipeline,
    pictures: &PictureCache,
    frozen: Option<ParamGroup>,
    options: &TrainOptions,
    events: &mut Events<'_>,
) -> Result<Pipeline, TrainError> {
    let output = options.output_dir.join(AUTOENCODER);
    let stage = TrainOptions {
        max_train_steps: options.autoencoder_steps,
        learning_rate: options.autoencoder_learning_rate,
        lr_scheduler: LearningRateKind::Cosine,
        adam_weight_decay: 0.0,
        ema_decay: 0.0,
        resume_from_checkpoint: checkpoint_of(options, &output),
        ..options.clone()
    };
    let mut task = AutoencoderTask {
        pictures,
        crop: options.autoencoder_crop.min(options.size),
        latent_channels: pipeline.vae_config.latent_channels(),
        factor: pipeline.vae_config.downsampling_factor(),
    };
    let Autoencoder::Tiny(vae) = &pipeline.vae else {
        let problem =
            "`train pretrain` trains autoencoders of the class AutoencoderTiny; --model has another one";
        return Err(TrainError::Option(problem.to_owned()));
    };
    let mut model = vae.clone().train();
    if let Some(frozen) = frozen {
        model = model.freeze_group(frozen);
    }
    pipeline.vae = Autoencoder::Tiny(train(&mut task, model, &stage, &output, events)?);
    Ok(pipeline)
}

/// A run that is resumed goes on from the checkpoint of the stage it was in; the other stage has none.
fn checkpoint_of(options: &TrainOptions, folder: &std::path::Path) -> Option<String> {
    let resume = options.resume_from_checkpoint.as_ref()?;
    checkpoint::find(folder, resume).is_ok().then(|| resume.clone())
}

/// The standard deviation of the autoencoder's latents: the denoiser expects 1.
fn latent_deviation(
    pipeline: &Pipeline,
    pictures: &PictureCache,
    device: &Device,
) -> Result<f64, TrainError> {
    let mut sums = [0.0; 3];
    let first: Vec<usize> = (0..pictures.len().min(64)).collect();
    for chunk in first.chunks(16) {
        let latents: Tensor<4> = pipeline.encode_pictures(pictures.batch(chunk, device));
        let values = crate::pictures::read(latents)?;
        for value in values.into_iter().map(f64::from) {
            sums[0] += 1.0;
            sums[1] += value;
            sums[2] += value * value;
        }
    }
    let [count, sum, squares] = sums;
    let deviation = (squares / count - (sum / count).powi(2)).sqrt();
    if deviation.is_finite() && deviation > 0.0 {
        Ok(deviation)
    } else {
        Err(TrainError::Data(
            "the autoencoder gives the same latents for every picture; train it longer".to_owned(),
        ))
    }
}
