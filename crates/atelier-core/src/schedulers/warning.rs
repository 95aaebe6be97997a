use super::SchedulerKind;
use std::fmt;

/// What of a `scheduler_config.json` is not done as it says. Displayed as a sentence without its full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchedulerWarning {
    /// Another sampler stands in for a class.
    StandIn {
        /// The class in the file.
        class: String,
        /// The sampler.
        kind: SchedulerKind,
    },
    /// A value that is not implemented, and that only says how the file's class goes its way.
    NotFollowed {
        /// The key.
        key: &'static str,
        /// Its value, as JSON.
        value: String,
        /// The sampler that does without.
        kind: SchedulerKind,
    },
    /// A value that is corrected as diffusers corrects it.
    Outdated {
        /// The key.
        key: &'static str,
        /// The value of the file or of its class.
        found: String,
        /// The value that is used.
        used: &'static str,
    },
    /// A key of former versions of diffusers, which decides what the model predicts.
    PredictEpsilon,
    /// A key that no class of diffusers has.
    UnknownKey {
        /// The key.
        key: String,
    },
}

impl fmt::Display for SchedulerWarning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StandIn { class, kind } => write!(
                formatter,
                "the model's scheduler, {class}, is not implemented; {kind} ({}) stands in for it",
                kind.class_name()
            ),
            Self::NotFollowed { key, value, kind } => write!(
                formatter,
                "{kind} does not follow `{key}` = {value} of the model's scheduler_config.json, which is not implemented"
            ),
            Self::Outdated { key, found, used } => write!(
                formatter,
                "`{key}` is {found} in the model's scheduler_config.json or by default; {used} is used instead, as \
                 diffusers' StableDiffusionPipeline does, since the model was made for that"
            ),
            Self::PredictEpsilon => formatter.write_str(
                "`predict_epsilon` = false in the model's scheduler_config.json is read as `prediction_type` = sample, as \
                 diffusers read it before 0.10",
            ),
            Self::UnknownKey { key } => write!(
                formatter,
                "`{key}` in the model's scheduler_config.json changes nothing; no scheduler of diffusers has such a key"
            ),
        }
    }
}
