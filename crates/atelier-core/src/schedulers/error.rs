use thiserror::Error;

/// A scheduler cannot be built, or cannot do what it is asked.
#[derive(Debug, Error)]
pub enum SchedulerError {
    /// Not JSON, or a value of the wrong type.
    #[error("the scheduler's configuration cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// Other JSON than a configuration.
    #[error("the scheduler's configuration is {found}; an object with `_class_name` and its keys is needed")]
    NotAnObject {
        /// What it is instead.
        found: &'static str,
    },
    /// A class whose models are noised in another way than any sampler knows.
    #[error(
        "`_class_name` is {class}, whose models follow another process than diffusion with betas or flow matching; they \
         cannot be used"
    )]
    OtherModel {
        /// The class.
        class: String,
    },
    /// A class that no sampler stands in for unless somebody says so.
    #[error(
        "`_class_name` is {class}, which no sampler stands in for: {reason}; choose one yourself to paint all \
         the same (`--scheduler`): {choices}"
    )]
    NoSampler {
        /// The class.
        class: String,
        /// Why not.
        reason: &'static str,
        /// The samplers of the same process.
        choices: &'static str,
    },
    /// A value that diffusers knows and this implementation does not.
    #[error("{class} does not support `{key}` = {value}; supported: {supported}")]
    Unsupported {
        /// Name of the scheduler class.
        class: &'static str,
        /// Key in `scheduler_config.json`.
        key: &'static str,
        /// The value found.
        value: String,
        /// The values that would work.
        supported: String,
    },
    /// A value outside its range, or values that contradict each other.
    #[error("the scheduler's configuration is invalid: `{key}` {problem}")]
    Invalid {
        /// Key in `scheduler_config.json`.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A number of steps that the configuration has no timesteps for.
    #[error("{steps} steps are not possible: {problem}")]
    Steps {
        /// The steps asked for.
        steps: usize,
        /// Why not, and what would be possible.
        problem: String,
    },
    /// A step that does not exist.
    #[error("step {index} does not exist, there are {steps} (from 0); call set_timesteps first")]
    Index {
        /// The step asked for.
        index: usize,
        /// The steps there are.
        steps: usize,
    },
    /// A step that adds noise was given none.
    #[error("step {index} adds noise and was given none; pass noise wherever needs_noise says so")]
    MissingNoise {
        /// The step.
        index: usize,
    },
    /// A tensor of another shape than the sample.
    #[error("{tensor} has the shape {found:?}, but the sample has {expected:?}")]
    Shape {
        /// Which tensor.
        tensor: &'static str,
        /// Its shape.
        found: [usize; 4],
        /// The sample's shape.
        expected: [usize; 4],
    },
    /// A sampler of the other kind of models.
    #[error("{scheduler} does not fit the model, which was trained by {process}; choose {choices}")]
    OtherProcess {
        /// The sampler's name.
        scheduler: &'static str,
        /// How the model was trained.
        process: &'static str,
        /// The samplers that fit.
        choices: &'static str,
    },
    /// Something that is defined for diffusion alone.
    #[error("this needs a model that was trained by diffusion; the model was trained by flow matching")]
    NotDiffusion,
    /// Timesteps that depend on the picture, and no picture.
    #[error(
        "the timesteps depend on the size of the picture (`use_dynamic_shifting`); call set_timesteps_for"
    )]
    NoPicture,
    /// A name that is not one of [`SchedulerKind::ALL`](super::SchedulerKind::ALL).
    #[error("there is no scheduler `{name}`; choose ddpm, ddim, euler, dpm-solver or flow-match-euler")]
    UnknownKind {
        /// The name given.
        name: String,
    },
}
