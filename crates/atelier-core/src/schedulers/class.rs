//! The scheduler classes of diffusers: their defaults, and which sampler stands for each.

use super::{SchedulerError, SchedulerKind};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, sync::LazyLock};

/// The keys of every class with the defaults of its `__init__`; `tests/make_fixtures.py` writes the file from diffusers.
static CLASS_DEFAULTS: LazyLock<BTreeMap<String, Map<String, Value>>> = LazyLock::new(|| {
    // Its test reads it as well, so it cannot be broken.
    serde_json::from_str(include_str!("class_defaults.json")).unwrap_or_default()
});

/// What the keys of diffusers' class `name` are if a file does not have them; none for a class that is not diffusers'.
pub(super) fn defaults(name: &str) -> Option<&'static Map<String, Value>> {
    CLASS_DEFAULTS.get(name)
}

/// Whether diffusers' class `name` has `key`.
pub(super) fn has_key(name: &str, key: &str) -> bool {
    defaults(name).is_some_and(|keys| keys.contains_key(key))
}

/// Whether any class of diffusers has `key`, or had it.
pub(super) fn is_known_key(key: &str) -> bool {
    // `tensor_format` is of diffusers before 0.4, and never changed a number.
    const FORMER: [&str; 2] = ["predict_epsilon", "tensor_format"];
    // Private keys, and those of any class that diffusers saves.
    let general = key.starts_with('_') || ["auto_map", "quantization_config"].contains(&key);
    general || FORMER.contains(&key) || CLASS_DEFAULTS.values().any(|keys| keys.contains_key(key))
}

/// What a class's models were trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Process {
    /// Noise given by betas.
    Diffusion,
    /// Straight paths from pictures to noise.
    FlowMatch,
}

impl Process {
    /// The process in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Diffusion => "diffusion",
            Self::FlowMatch => "flow matching",
        }
    }

    /// The samplers of its models, in words.
    pub fn samplers(self) -> &'static str {
        match self {
            Self::Diffusion => "ddpm, ddim, euler or dpm-solver",
            Self::FlowMatch => "flow-match-euler",
        }
    }
}

/// How a class is sampled here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// By itself.
    Own(SchedulerKind),
    /// By another sampler of the same process, which leads to like pictures.
    StandIn(SchedulerKind),
    /// Not unless somebody chooses a sampler: for this reason.
    ByChoice(Process, &'static str),
    /// Not at all: no sampler here is of its process.
    Never,
}

const DISTILLED: &str = "it is for models that were distilled to few steps, which other samplers paint badly";
const TASK: &str = "it is made for another task than painting from noise";
const UNKNOWN: &str = "it is no scheduler of diffusers 0.42 by that name";

impl Standing {
    /// Of diffusers' class `name`. `is_flow` says what the file's keys tell of the process, for names that diffusers does
    /// not have.
    pub fn of(name: &str, is_flow: bool) -> Self {
        use SchedulerKind::{Ddim, Ddpm, DpmSolverMultistep, Euler, FlowMatchEuler};
        match name {
            // The parallel ones only take several steps at once.
            "DDPMScheduler" | "DDPMParallelScheduler" => Self::Own(Ddpm),
            "DDIMScheduler" | "DDIMParallelScheduler" => Self::Own(Ddim),
            "EulerDiscreteScheduler" => Self::Own(Euler),
            // Those that know flow matching beside diffusion.
            "DPMSolverMultistepScheduler"
            | "DEISMultistepScheduler"
            | "DPMSolverSinglestepScheduler"
            | "SASolverScheduler"
            | "UniPCMultistepScheduler"
                if is_flow =>
            {
                Self::StandIn(FlowMatchEuler)
            }
            "DPMSolverMultistepScheduler" => Self::Own(DpmSolverMultistep),
            "FlowMatchEulerDiscreteScheduler" => Self::Own(FlowMatchEuler),
            "PNDMScheduler" => Self::StandIn(Ddim),
            "EulerAncestralDiscreteScheduler"
            | "HeunDiscreteScheduler"
            | "KDPM2AncestralDiscreteScheduler"
            | "KDPM2DiscreteScheduler"
            | "LMSDiscreteScheduler" => Self::StandIn(Euler),
            "DEISMultistepScheduler"
            | "DPMSolverSDEScheduler"
            | "DPMSolverSinglestepScheduler"
            | "SASolverScheduler"
            | "UniPCMultistepScheduler" => Self::StandIn(DpmSolverMultistep),
            "FlowMatchHeunDiscreteScheduler" | "LTXEulerAncestralRFScheduler" => {
                Self::StandIn(FlowMatchEuler)
            }
            "LCMScheduler" | "TCDScheduler" => Self::ByChoice(Process::Diffusion, DISTILLED),
            "FlowMatchLCMScheduler" => Self::ByChoice(Process::FlowMatch, DISTILLED),
            "DDIMInverseScheduler" | "DPMSolverMultistepInverseScheduler" | "RePaintScheduler" => {
                Self::ByChoice(Process::Diffusion, TASK)
            }
            _ if defaults(name).is_some() => Self::Never,
            _ if is_flow => Self::ByChoice(Process::FlowMatch, UNKNOWN),
            _ => Self::ByChoice(Process::Diffusion, UNKNOWN),
        }
    }

    /// The process of the class.
    ///
    /// # Errors
    /// [`SchedulerError::OtherModel`] for one that no sampler here is of.
    pub fn process(self, name: &str) -> Result<Process, SchedulerError> {
        match self {
            Self::Own(kind) | Self::StandIn(kind) => Ok(kind.process()),
            Self::ByChoice(process, _) => Ok(process),
            Self::Never => Err(SchedulerError::OtherModel { class: name.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_own_defaults() {
        let default = |class: &str, key: &str| defaults(class).unwrap()[key].clone();
        assert_eq!(default("EulerDiscreteScheduler", "timestep_spacing"), "linspace");
        assert_eq!(default("DDIMScheduler", "timestep_spacing"), "leading");
        assert_eq!(default("HeunDiscreteScheduler", "beta_end"), 0.012);
        assert_eq!(default("DPMSolverMultistepScheduler", "lambda_min_clipped"), "-Infinity");
        assert!(has_key("LCMScheduler", "clip_sample") && !has_key("PNDMScheduler", "clip_sample"));
        assert!(defaults("Schedulerino").is_none());
        assert!(is_known_key("skip_prk_steps") && is_known_key("_diffusers_version"));
        assert!(!is_known_key("beta_strat"));
    }

    #[test]
    fn samplers_are_of_their_own_class() {
        for kind in SchedulerKind::ALL {
            assert_eq!(Standing::of(kind.class_name(), false), Standing::Own(kind));
        }
    }

    #[test]
    fn a_stand_in_is_of_the_same_process() {
        for (class, keys) in CLASS_DEFAULTS.iter() {
            match Standing::of(class, false) {
                Standing::Own(kind) | Standing::StandIn(kind) => {
                    let is_diffusion = kind.process() == Process::Diffusion;
                    assert_eq!(keys.contains_key("beta_start"), is_diffusion, "{class}");
                }
                Standing::ByChoice(process, _) => {
                    assert_eq!(keys.contains_key("beta_start"), process == Process::Diffusion, "{class}");
                }
                Standing::Never => {
                    // CogVideoX changes what its betas say.
                    let is_changed = keys.contains_key("snr_shift_scale");
                    assert!(!keys.contains_key("beta_start") || is_changed, "{class}");
                }
            }
        }
    }
}
