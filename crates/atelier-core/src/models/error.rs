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
    /// A key that neither diffusers nor this implementation knows: misspelt, or of a later version.
    #[error(
        "{class} has no `{key}` in diffusers 0.42; correct the key, or take it out of the file to go on without it"
    )]
    Unknown {
        /// Name of the model class.
        class: &'static str,
        /// Key in `config.json`.
        key: String,
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
