use super::{
    DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, DiffusionConfig, EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler, Scheduler, SchedulerConfig, SchedulerError, class::Process,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The samplers to choose from: the first four for all models that were trained on diffusion, the last one for flow
/// matching models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchedulerKind {
    /// [`DDPMScheduler`]: stochastic, for many steps.
    Ddpm,
    /// [`DDIMScheduler`]: deterministic.
    Ddim,
    /// [`EulerDiscreteScheduler`]: deterministic.
    Euler,
    /// [`DPMSolverMultistepScheduler`]: deterministic, of order 2, for few steps.
    #[serde(rename = "dpm-solver")]
    DpmSolverMultistep,
    /// [`FlowMatchEulerDiscreteScheduler`]: deterministic.
    FlowMatchEuler,
}

impl SchedulerKind {
    /// All samplers.
    pub const ALL: [Self; 5] =
        [Self::Ddpm, Self::Ddim, Self::Euler, Self::DpmSolverMultistep, Self::FlowMatchEuler];

    /// The name by which [`FromStr`] and serde know the sampler.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ddpm => "ddpm",
            Self::Ddim => "ddim",
            Self::Euler => "euler",
            Self::DpmSolverMultistep => "dpm-solver",
            Self::FlowMatchEuler => "flow-match-euler",
        }
    }

    /// The class in diffusers.
    pub fn class_name(self) -> &'static str {
        match self {
            Self::Ddpm => "DDPMScheduler",
            Self::Ddim => "DDIMScheduler",
            Self::Euler => "EulerDiscreteScheduler",
            Self::DpmSolverMultistep => "DPMSolverMultistepScheduler",
            Self::FlowMatchEuler => "FlowMatchEulerDiscreteScheduler",
        }
    }

    /// What the models that it samples were trained on.
    pub(super) fn process(self) -> Process {
        match self {
            Self::Ddpm | Self::Ddim | Self::Euler | Self::DpmSolverMultistep => Process::Diffusion,
            Self::FlowMatchEuler => Process::FlowMatch,
        }
    }

    /// A sampler without timesteps, configured as [`DiffusionConfig::for_class`](super::DiffusionConfig::for_class) has it
    /// where the file is of another class.
    ///
    /// # Errors
    /// [`SchedulerError`] names what in `config` is invalid, or not supported by this sampler;
    /// [`SchedulerError::OtherProcess`] if it is for the other kind of models.
    pub fn build(self, config: &SchedulerConfig) -> Result<Box<dyn Scheduler>, SchedulerError> {
        use SchedulerConfig::{Diffusion, FlowMatch};
        let own = |config: &DiffusionConfig| config.for_class(self.class_name());
        Ok(match (self, config) {
            (Self::Ddpm, Diffusion(config)) => Box::new(DDPMScheduler::new(&own(config)?)?),
            (Self::Ddim, Diffusion(config)) => Box::new(DDIMScheduler::new(&own(config)?)?),
            (Self::Euler, Diffusion(config)) => Box::new(EulerDiscreteScheduler::new(&own(config)?)?),
            (Self::DpmSolverMultistep, Diffusion(config)) => {
                Box::new(DPMSolverMultistepScheduler::new(&own(config)?)?)
            }
            (Self::FlowMatchEuler, FlowMatch(config)) => {
                Box::new(FlowMatchEulerDiscreteScheduler::new(config)?)
            }
            (_, Diffusion(_)) => return Err(self.other_process(Process::Diffusion)),
            (_, FlowMatch(_)) => return Err(self.other_process(Process::FlowMatch)),
        })
    }

    /// The error of a model that follows `process`, which this sampler does not.
    pub(super) fn other_process(self, process: Process) -> SchedulerError {
        let (process, choices) = (process.name(), process.samplers());
        SchedulerError::OtherProcess { scheduler: self.name(), process, choices }
    }
}

impl fmt::Display for SchedulerKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for SchedulerKind {
    type Err = SchedulerError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| SchedulerError::UnknownKind { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedulers::FlowMatchConfig;

    #[test]
    fn samplers_of_other_models_are_refused() {
        let error = SchedulerKind::FlowMatchEuler.build(&SchedulerConfig::default()).unwrap_err();
        assert!(error.to_string().contains("trained by diffusion; choose ddpm, ddim"), "{error}");
        let config = SchedulerConfig::FlowMatch(FlowMatchConfig::default());
        let error = SchedulerKind::Ddim.build(&config).unwrap_err();
        assert!(error.to_string().contains("flow matching; choose flow-match-euler"), "{error}");
        SchedulerKind::FlowMatchEuler.build(&config).unwrap();
    }

    #[test]
    fn names_are_the_same_everywhere() {
        for kind in SchedulerKind::ALL {
            assert_eq!(kind.to_string().parse::<SchedulerKind>().unwrap(), kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        let error = "lms".parse::<SchedulerKind>().unwrap_err().to_string();
        assert!(SchedulerKind::ALL.iter().all(|kind| error.contains(kind.name())), "{error}");
    }
}
