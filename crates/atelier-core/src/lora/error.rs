use crate::weights::WeightsError;
use thiserror::Error;

/// An adapter could not be made, read or attached.
#[derive(Debug, Error)]
pub enum LoraError {
    /// Options that cannot be met.
    #[error("{0}")]
    Config(String),
    /// No layer of the model has one of the wanted names.
    #[error("no layer of the model has {targets} in its name; there are layers such as {known}")]
    NoTarget {
        /// What was asked for.
        targets: String,
        /// A few layers of the model.
        known: String,
    },
    /// The adapter was made for another model.
    #[error(
        "the adapter is for another model: {} of its layers are not in this one, such as {}; the model has layers such as {known}",
        missing.len(),
        missing.first().map_or("", String::as_str)
    )]
    OtherModel {
        /// Layers of the adapter that the model lacks.
        missing: Vec<String>,
        /// A few layers of the model.
        known: String,
    },
    /// A layer of another size.
    #[error(
        "the adapter is for another model: its layer {name} goes from {found_inputs} to {found_outputs} channels, that of the model from {inputs} to {outputs}"
    )]
    Shape {
        /// The layer.
        name: String,
        /// Values that the model's layer takes per place.
        inputs: usize,
        /// Values that it gives.
        outputs: usize,
        /// Values that the adapter's layer takes per place.
        found_inputs: usize,
        /// Values that it gives.
        found_outputs: usize,
    },
    /// A tensor that is not an adapter's or does not fit, or a description of the adapter that contradicts it.
    #[error("`{key}` {problem}")]
    Key {
        /// The key in the file, or where the description stands.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file without any adapter.
    #[error(
        "there is no LoRA in the file: no key ends in lora_A.weight, lora.down.weight or lora_down.weight"
    )]
    Empty,
    /// A tensor that cannot be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}
