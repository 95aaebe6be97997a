//! Training from nothing: first the autoencoder, then denoiser and text encoder together. A model that was trained so can be
//! trained further.

use super::{
    AUTOENCODER, Data, RunFolder, StageOfRun, finish, folder::with_autoencoder, load_model, picture_multiple,
    save_pipeline,
};
use crate::{
    architecture,
    base_precision::BasePrecision,
    checkpoint::{Subject, base_fingerprint},
    error::TrainError,
    learning_rate::LearningRateKind,
    options::TrainOptions,
    pictures::PictureCache,
    tasks::{AutoencoderTask, DenoiserTask, DenoiserWithText, Noising},
    tokenizer,
    trainer::{Events, Stage, train},
};
use atelier_core::{models::autoencoder::Autoencoder, pipeline::Pipeline, weights::Precision};
use atelier_criteria::{CriteriaTree, prompt::BlockDropout};
use burn::{
    module::{Module, ParamGroup},
    tensor::{Device, Tensor},
};
use std::path::PathBuf;

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
    let [last, first] = stages(options);
    let folder = RunFolder::open(options, &[last.clone(), first.clone()])?;
    let device = options.device.device()?;
    let own = with_autoencoder(&options.output_dir);
    // Where the second stage goes on, the first one is over; its result lies beside the checkpoint, maybe of another folder.
    let finished = match folder.checkpoint_of(last.name) {
        Some(checkpoint) => Some(with_autoencoder(checkpoint.parent().unwrap_or(checkpoint))),
        None => (folder.is_resumed() && folder.checkpoint_of(first.name).is_none()).then(|| own.clone()),
    };
    let given = if let Some(finished) = &finished {
        Some(Pipeline::load(finished.as_path(), &device)?)
    } else if options.model.as_os_str().is_empty() {
        None
    } else {
        Some(load_model(options, &device)?)
    };
    let data =
        Data::read(options, tree, given.as_ref().map_or(architecture::PICTURE_MULTIPLE, picture_multiple))?;
    let mut pipeline = match given {
        Some(pipeline) if finished.is_some() => pipeline,
        given => {
            let pictures = PictureCache::read(&data.folder, options.size, events)?;
            let trained = match given {
                Some(given) => {
                    let encoder = ParamGroup::from_predicate("encoder.");
                    let stage = folder.stage(&first, Some(base_fingerprint(&given)?))?;
                    folder.begin(options)?;
                    train_autoencoder(given, &pictures, Some(encoder), options, &stage, events)?
                }
                None => {
                    let words = tokenizer::vocabulary_texts(tree);
                    let texts = words.iter().chain(&data.captions).map(String::as_str);
                    let fresh = architecture::small_painter(texts, options.size, options.seed, &device)?;
                    let stage = folder.stage(&first, None)?;
                    folder.begin(options)?;
                    let mut trained = train_autoencoder(fresh, &pictures, None, options, &stage, events)?;
                    let scale = 1.0 / latent_deviation(&trained, &pictures, &device)?;
                    trained.vae_config.set_scaling_factor(scale);
                    trained
                }
            };
            save_pipeline(&trained, &own, Precision::F32)?;
            // As a resumed run reads it: the last digits of the scaling factor are not lost here and kept there.
            Pipeline::load(own.as_path(), &device)?
        }
    };
    let latents = data.latents(&pipeline, options, &device, events).map_err(|error| {
        error.keeping(|| {
            let folder = own.display();
            format!("the autoencoder is kept in {folder}: go on with --resume-from-checkpoint latest")
        })
    })?;
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
    let stage = folder.stage(&last, Some(base_fingerprint(&pipeline)?))?;
    if finished.is_some() {
        folder.begin(options)?;
        if !own.is_dir() {
            save_pipeline(&pipeline, &own, Precision::F32)?;
        }
    }
    let DenoiserWithText { denoiser, text_encoder } =
        train(&mut task, model.train(), options, &stage, events)?;
    pipeline.denoiser = denoiser;
    pipeline.text_encoder = text_encoder;
    finish(&pipeline, options, events)
}

/// The stages, the last one first.
fn stages(options: &TrainOptions) -> [StageOfRun; 2] {
    let subject = Subject::whole(options);
    let last =
        StageOfRun { name: "denoiser", folder: "", steps: options.max_train_steps, subject: subject.clone() };
    let first =
        StageOfRun { name: AUTOENCODER, folder: AUTOENCODER, steps: options.autoencoder_steps, subject };
    [last, first]
}

/// Trains the autoencoder but for its `frozen` parameters.
fn train_autoencoder(
    mut pipeline: Pipeline,
    pictures: &PictureCache,
    frozen: Option<ParamGroup>,
    options: &TrainOptions,
    stage: &Stage,
    events: &mut Events<'_>,
) -> Result<Pipeline, TrainError> {
    let options = &TrainOptions {
        max_train_steps: options.autoencoder_steps,
        learning_rate: options.autoencoder_learning_rate,
        lr_scheduler: LearningRateKind::Cosine,
        adam_weight_decay: 0.0,
        ema_decay: 0.0,
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
    pipeline.vae = Autoencoder::Tiny(train(&mut task, model, options, stage, events)?);
    Ok(pipeline)
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
