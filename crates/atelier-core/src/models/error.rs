use thiserror::Error;

/// A `config.json` that does not describe a model that can be built.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// Not JSON, or a value of the wrong type.
    #[error("the configuration of {class} cannot be read: {source}")]
    Json {
        /// Name of the model class.
        class: &'static str,
        /// What the JSON reader found, with line and column.
        source: serde_json::Error,
    },
    /// A value of the wrong type, or one that is not among the possible ones.
    #[error("{class} cannot take `{key}` = {value}: {problem}")]
    Value {
        /// Name of the model class.
        class: &'static str,
        /// Key in `config.json`.
        key: String,
        /// The value found.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A value that diffusers or transformers know and this implementation does not.
    #[error("{class} does not support `{key}` = {value}; supported: {supported}")]
    Unsupported {
        /// Name of the model class.
        class: &'static str,
        /// Key in `config.json`.
        key: String,
        /// The value found.
        value: String,
        /// The values that would work.
        supported: String,
    },
    /// A key that neither diffusers nor this implementation knows, and that is nearly one that they do.
    #[error(
        "{class} has no `{key}` in diffusers 0.42, but `{known}`; correct the key, or take it out of the file"
    )]
    Misspelt {
        /// Name of the model class.
        class: &'static str,
        /// Key in `config.json`.
        key: String,
        /// The key that must be meant.
        known: String,
    },
    /// Values that contradict each other.
    #[error("the configuration of {class} is inconsistent: `{key}` {problem}")]
    Inconsistent {
        /// Name of the model class.
        class: &'static str,
        /// Key in `config.json`.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// A model that could not be built.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The configuration is at fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
}
