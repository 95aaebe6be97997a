//! The scheduler of a model folder, and the samplers that its pipeline takes.

use super::{INDEX, ModelFiles, Pipeline, PipelineError};
use crate::{
    json,
    models::{autoencoder::Autoencoder, denoiser::DenoiserConfig},
    schedulers::{
        FlowMatchEulerDiscreteScheduler, NoiseSchedule, PipelineRules, SamplerChoice, Scheduler,
        SchedulerConfig, SchedulerError, SchedulerKind,
    },
};
use serde_json::Value;

pub(super) const SCHEDULER: &str = "scheduler/scheduler_config.json";

/// Reads the configuration of a model folder's scheduler, whose denoiser is that of `denoiser`.
///
/// # Errors
/// [`PipelineError`] for a file that is missing or cannot be used, and for a scheduler of another process than the
/// denoiser's.
pub(super) fn read<F: ModelFiles + ?Sized>(
    files: &F,
    denoiser: &DenoiserConfig,
) -> Result<SchedulerConfig, PipelineError> {
    if !files.contains(SCHEDULER) {
        let reason = "is missing; it says what noise the model was trained on, so copy it from the model that this one \
                      was made from";
        return Err(PipelineError::File { path: SCHEDULER.to_owned(), reason: reason.to_owned() });
    }
    let json = files.read(SCHEDULER)?;
    let config = match class_in_index(files) {
        Some(class) => SchedulerConfig::from_json_of(&json, &class)?,
        None => SchedulerConfig::from_json(&json)?,
    };
    let flow_matching = match denoiser {
        DenoiserConfig::Flux(_) => "FLUX",
        DenoiserConfig::Sd3(_) => "Stable Diffusion 3",
        DenoiserConfig::Unet(_) => return Ok(config),
    };
    if let SchedulerConfig::Diffusion(config) = &config {
        let reason = format!(
            "`_class_name` is {}, which is no scheduler of flow matching, but {flow_matching} was trained by flow \
             matching; copy the file from the model that this one was made from",
            config.class_name
        );
        return Err(PipelineError::File { path: SCHEDULER.to_owned(), reason });
    }
    Ok(config)
}

/// The class of the scheduler in `model_index.json`, for files that do not name theirs.
fn class_in_index<F: ModelFiles + ?Sized>(files: &F) -> Option<String> {
    let index: Value = json::from_slice(&files.read(INDEX).ok()?).ok()?;
    index["scheduler"][1].as_str().map(str::to_owned)
}

impl Pipeline {
    /// The noise schedule of the denoiser's training.
    ///
    /// # Errors
    /// [`PipelineError::Scheduler`] if the configuration is not supported, or of a flow matching model.
    pub fn noise_schedule(&self) -> Result<NoiseSchedule, PipelineError> {
        Ok(NoiseSchedule::new(self.scheduler_config.diffusion()?)?)
    }

    /// The sampler `kind`, or the one that suits the model: that of its folder, or what stands in for it. Small painters
    /// take DDPM for DDIM, as samplers that add no noise on the way leave specks.
    ///
    /// # Errors
    /// [`PipelineError::Scheduler`] if the model cannot be sampled so.
    pub fn sampler(&self, kind: Option<SchedulerKind>) -> Result<SamplerChoice, PipelineError> {
        let mut choice = self.choose(kind)?;
        if kind.is_none() && choice.kind == SchedulerKind::Ddim && matches!(self.vae, Autoencoder::Tiny(_)) {
            choice = self.choose(Some(SchedulerKind::Ddpm))?;
        }
        // What is not supported is said before anything is painted.
        match choice.kind.build(&choice.config) {
            Ok(_) => Ok(choice),
            Err(error) if error.is_avoidable() => {
                let reason = format!("{error}; choose another sampler to paint without it (`--scheduler`)");
                Err(PipelineError::File { path: SCHEDULER.to_owned(), reason })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn choose(&self, kind: Option<SchedulerKind>) -> Result<SamplerChoice, SchedulerError> {
        // What `Self::class` calls `StableDiffusionPipeline`.
        let rules = match (&self.denoiser_config, &self.second_text_encoder) {
            (DenoiserConfig::Unet(_), None) => PipelineRules::StableDiffusion,
            _ => PipelineRules::Unchanged,
        };
        self.scheduler_config.sampler(kind, rules)
    }

    /// A sampler with `steps` timesteps, chosen as diffusers' pipeline of the model chooses them for latents of the given
    /// height and width.
    ///
    /// # Errors
    /// [`SchedulerError`] if the model cannot be sampled so, or not in so many steps.
    pub fn scheduler(
        &self,
        kind: SchedulerKind,
        steps: usize,
        [height, width]: [usize; 2],
    ) -> Result<Box<dyn Scheduler>, SchedulerError> {
        let SamplerChoice { config, .. } = self.choose(Some(kind))?;
        if let (DenoiserConfig::Flux(_), SchedulerKind::FlowMatchEuler, SchedulerConfig::FlowMatch(config)) =
            (&self.denoiser_config, kind, &config)
        {
            let patch = self.denoiser_config.patch();
            let mut scheduler = FlowMatchEulerDiscreteScheduler::new(config)?;
            scheduler.set_timesteps_for(steps, (height / patch) * (width / patch))?;
            return Ok(Box::new(scheduler));
        }
        let mut scheduler = kind.build(&config)?;
        scheduler.set_timesteps(steps)?;
        Ok(scheduler)
    }
}
