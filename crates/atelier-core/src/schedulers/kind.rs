use super::{
    DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, Scheduler,
    SchedulerConfig, SchedulerError,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The samplers to choose from; any can be used with any [`SchedulerConfig`].
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
}

impl SchedulerKind {
    /// All samplers.
    pub const ALL: [Self; 4] = [Self::Ddpm, Self::Ddim, Self::Euler, Self::DpmSolverMultistep];

    /// The name by which [`FromStr`] and serde know the sampler.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ddpm => "ddpm",
            Self::Ddim => "ddim",
            Self::Euler => "euler",
            Self::DpmSolverMultistep => "dpm-solver",
        }
    }

    /// The sampler that diffusers' class `name` is, if it is one of these.
    pub fn of_class(name: &str) -> Option<Self> {
        Some(match name {
            "DDPMScheduler" => Self::Ddpm,
            "DDIMScheduler" => Self::Ddim,
            "EulerDiscreteScheduler" => Self::Euler,
            "DPMSolverMultistepScheduler" => Self::DpmSolverMultistep,
            _ => return None,
        })
    }

    /// A sampler without timesteps.
    ///
    /// # Errors
    /// [`SchedulerError`] names what in `config` is invalid, or not supported by this sampler.
    pub fn build(self, config: &SchedulerConfig) -> Result<Box<dyn Scheduler>, SchedulerError> {
        Ok(match self {
            Self::Ddpm => Box::new(DDPMScheduler::new(config)?),
            Self::Ddim => Box::new(DDIMScheduler::new(config)?),
            Self::Euler => Box::new(EulerDiscreteScheduler::new(config)?),
            Self::DpmSolverMultistep => Box::new(DPMSolverMultistepScheduler::new(config)?),
        })
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
