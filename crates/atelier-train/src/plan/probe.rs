//! A few steps of the real training loop, to see how long they take.

use crate::{
    checkpoint::Subject,
    error::TrainError,
    forward_passes::ForwardPasses,
    model_folder,
    options::TrainOptions,
    run,
    tasks::{NoisedBatch, Noising, TrainedDenoiser},
    trainer::{Stage, Task, TrainEvent, train},
};
use atelier_core::{
    models::{
        denoiser::Denoiser, gradient_checkpointing::DenoiserInput, prompt_embeddings::PromptEmbeddings,
    },
    noise::NoiseSource,
    objectives::{Objective, sft},
    pipeline::{Pipeline, SizeConditions},
};
use burn::tensor::Device;
use image::RgbImage;
use std::{ops::ControlFlow, time::Instant};

/// Steps before those that are measured: devices compile and allocate in them.
const WARM_UP: u64 = 1;
/// Measured steps.
const STEPS: u64 = 2;

/// Seconds that a step of `train sft` with `options` takes, from three steps on noise. The model is loaded for it.
/// `going_on` is asked after every step, and cancels with `Break`.
///
/// # Errors
/// [`TrainError`] for a model that cannot be loaded, for a temporary folder that cannot be written, for a device that
/// fails; [`TrainError::Cancelled`].
pub fn seconds_per_step(
    options: &TrainOptions,
    device: &Device,
    going_on: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<f64, TrainError> {
    let dtype = options.base_precision.dtype_on(device)?;
    let folder = model_folder::find(&options.model)?;
    let pipeline = Pipeline::load_stored_as(dtype, folder.as_path(), device)?;
    let options = TrainOptions {
        max_train_steps: WARM_UP + STEPS,
        checkpointing_steps: 0,
        validation_steps: 0,
        resume_from_checkpoint: None,
        ..options.clone()
    };
    let mut task = ProbeTask {
        prompt: pipeline.encode_prompts(&[""], device)?,
        noising: Noising::new(&pipeline.scheduler_config, options.snr_gamma)?,
        pipeline: &pipeline,
        options: &options,
    };
    let model = run::trained(&pipeline, &options, device)?;
    if going_on().is_break() {
        return Err(TrainError::cancelled());
    }
    let output = tempfile::tempdir()
        .map_err(|error| TrainError::File { path: std::env::temp_dir(), reason: error.to_string() })?;
    let stage = Stage {
        output: output.path().to_owned(),
        run: String::new(),
        resume: None,
        subject: Subject::new(&options),
    };
    let mut warm = None;
    let trained = train(&mut task, model, &options, &stage, &mut |event| {
        if matches!(event, TrainEvent::Step { step: WARM_UP, .. }) {
            // Devices work behind the queue: the clock starts when they are done.
            let _ = device.sync();
            warm = Some(Instant::now());
        }
        going_on()
    });
    match trained {
        // Its checkpoint goes with the temporary folder.
        Err(error) if error.is_cancelled() => return Err(TrainError::cancelled()),
        trained => trained?,
    };
    let _ = device.sync();
    Ok(warm.map_or(f64::NAN, |warm| warm.elapsed().as_secs_f64() / STEPS as f64))
}

/// The objective of stage 1 on noise.
struct ProbeTask<'a> {
    pipeline: &'a Pipeline,
    prompt: PromptEmbeddings,
    noising: Noising,
    options: &'a TrainOptions,
}

impl Task for ProbeTask<'_> {
    type Model = TrainedDenoiser;
    type Frozen = Denoiser;
    type Batch = (NoisedBatch, PromptEmbeddings);

    fn stage(&self) -> &'static str {
        "probe"
    }

    fn examples(&self) -> usize {
        self.options.train_batch_size
    }

    fn frozen(&self) -> Denoiser {
        self.pipeline.denoiser.clone()
    }

    fn batch(
        &mut self,
        examples: &[usize],
        noise: &mut NoiseSource,
        _step: u64,
        device: &Device,
    ) -> Result<Self::Batch, TrainError> {
        let side = self.options.size as usize;
        let [channels, height, width] = self.pipeline.latent_shape(side, side);
        let latents = noise.normal([examples.len(), channels, height, width], device);
        let prompt = self.prompt.clone().expand(examples.len());
        let prompt = self.pipeline.with_sizes(prompt, &[SizeConditions::whole(side, side)]);
        Ok((self.noising.draw(latents, noise), prompt))
    }

    fn objective(
        &self,
        model: &TrainedDenoiser,
        base: &Denoiser,
        (noised, prompt): Self::Batch,
        passes: &mut ForwardPasses,
    ) -> Objective {
        let input = DenoiserInput { sample: noised.sample, timesteps: noised.timesteps, prompt };
        let prediction = passes.predict(model, base, None, input);
        sft(prediction, noised.target.autodiff(), noised.weights.autodiff())
    }

    fn picture(&mut self, _model: &TrainedDenoiser) -> Result<Option<RgbImage>, TrainError> {
        Ok(None)
    }
}
