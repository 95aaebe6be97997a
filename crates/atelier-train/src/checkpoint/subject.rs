//! What a run trains, and on top of what.

use crate::{
    base_precision::BasePrecision, cache::Fingerprint, error::TrainError, optimizer::named_parameters,
    options::TrainOptions,
};
use atelier_core::pipeline::{Pipeline, SecondTextEncoder};
use burn::module::Module;
use serde::{Deserialize, Serialize};

/// What a checkpoint's weights are: they mean something together with this alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// Rank of the LoRA; 0 for the model itself.
    pub lora_rank: usize,
    /// Alpha of the LoRA; 0 for the model itself.
    pub lora_alpha: f64,
    /// The modules that are trained, in alphabetical order; none for all.
    pub target_modules: Vec<String>,
    /// The type of the frozen weights, in which the fingerprint was taken.
    pub base_precision: BasePrecision,
    /// Fingerprint of the model that training began with; none where that is made from the options.
    pub base: Option<String>,
    /// What that model was called, for messages.
    pub base_name: String,
}

impl Subject {
    /// What `options` train; the model's fingerprint is for the caller to add.
    pub fn new(options: &TrainOptions) -> Self {
        let lora = options.lora();
        let mut target_modules =
            lora.as_ref().map_or_else(|| options.target_modules.clone(), |lora| lora.target_modules.clone());
        target_modules.sort();
        target_modules.dedup();
        Self {
            lora_rank: lora.as_ref().map_or(0, |lora| lora.rank),
            lora_alpha: lora.as_ref().map_or(0.0, |lora| lora.alpha),
            target_modules,
            base_precision: options.base_precision,
            base: None,
            base_name: options.model.display().to_string(),
        }
    }

    /// As [`Self::new`], of a whole model.
    pub fn whole(options: &TrainOptions) -> Self {
        Self::new(&TrainOptions { lora_rank: 0, target_modules: Vec::new(), ..options.clone() })
    }

    /// In what `run`, which would go on, differs from `self`, for people.
    pub(super) fn differences(&self, run: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        let kind = |rank: usize| match rank {
            0 => "the whole model".to_owned(),
            rank => format!("a LoRA of rank {rank}"),
        };
        if self.lora_rank != run.lora_rank {
            let (own, other) = (kind(self.lora_rank), kind(run.lora_rank));
            differences.push(format!("it is of {own}, this run trains {other} (--lora-rank)"));
        } else if self.lora_alpha != run.lora_alpha {
            differences.push(format!("--lora-alpha was {}, and is {} now", self.lora_alpha, run.lora_alpha));
        }
        if self.lora_rank.min(1) == run.lora_rank.min(1) && self.target_modules != run.target_modules {
            let list = |modules: &[String]| match modules {
                [] => "all".to_owned(),
                modules => modules.join(", "),
            };
            differences.push(format!(
                "--target-module was {}, and is {} now",
                list(&self.target_modules),
                list(&run.target_modules)
            ));
        }
        // Taken of weights in other types, fingerprints cannot be compared; going on in another type is no mistake.
        if let (Some(own), Some(other)) = (&self.base, &run.base)
            && self.base_precision == run.base_precision
            && own != other
        {
            differences.push(format!(
                "it was trained on {} with other weights than --model {} has ({} and {})",
                self.base_name,
                run.base_name,
                &own[..own.len().min(8)],
                &other[..other.len().min(8)]
            ));
        }
        differences
    }
}

/// How many values of each parameter a fingerprint looks at: training changes nearly all of them, so the first ones tell.
const VALUES: usize = 1024;

/// Another text for another model, to all that can be expected: of what the denoiser predicts, and of the first values of
/// all weights.
///
/// # Errors
/// [`TrainError::DeviceLost`] if they cannot be read back.
pub fn base_fingerprint(pipeline: &Pipeline) -> Result<String, TrainError> {
    let mut fingerprint = Fingerprint::default();
    if let Ok(config) = pipeline.scheduler_config.diffusion() {
        fingerprint.add(format!("{:?}", config.prediction_type).as_bytes());
    }
    add(&mut fingerprint, &pipeline.denoiser)?;
    add(&mut fingerprint, &pipeline.vae)?;
    add(&mut fingerprint, &pipeline.text_encoder)?;
    match &pipeline.second_text_encoder {
        Some(SecondTextEncoder::Clip { model, .. }) => add(&mut fingerprint, model)?,
        Some(SecondTextEncoder::T5(t5)) => add(&mut fingerprint, &t5.model)?,
        None => {}
    }
    if let Some(t5) = &pipeline.third_text_encoder {
        add(&mut fingerprint, &t5.model)?;
    }
    Ok(fingerprint.to_hex())
}

fn add<M: Module>(fingerprint: &mut Fingerprint, module: &M) -> Result<(), TrainError> {
    for (name, value) in named_parameters(module) {
        let count = value.dims()[0];
        fingerprint.add(format!("{name} {count}").as_bytes());
        if count > 0 {
            let data = value.slice([0..count.min(VALUES)]).try_into_data();
            let data = data.map_err(|error| TrainError::DeviceLost(error.to_string()))?;
            let bytes: Vec<u8> = data.iter::<f32>().flat_map(f32::to_le_bytes).collect();
            fingerprint.add(&bytes);
        }
    }
    Ok(())
}
