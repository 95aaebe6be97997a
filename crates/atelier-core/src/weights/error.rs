use thiserror::Error;

/// Weights that could not be read or written.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// Not a safetensors file.
    #[error("not a safetensors file, or corrupt: {0}; download it again, or let another program write it")]
    Corrupt(String),
    /// Half a download.
    #[error("only {found} of {expected} bytes are there: the download was cut off; download the file again")]
    Truncated {
        /// The length of the file.
        found: u64,
        /// What its header announces.
        expected: u64,
    },
    /// A pickle file, which can run any code when it is opened.
    #[error(
        "this is a pickle file, which may run code when it is opened; get the model in safetensors, or convert it with \
         `save_pretrained(…, safe_serialization=True)` where you trust it"
    )]
    Pickle,
    /// A file of another format, such as GGUF.
    #[error("this is {format}, which is not read; {advice}")]
    OtherFormat {
        /// What it is.
        format: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// What git has in the place of a large file.
    #[error("this is only a pointer to the file; fetch it with `git lfs pull`")]
    Pointer,
    /// Tensors that the model needs are not in the file.
    #[error("the file is not for this model: {}", list_names(missing, unexpected))]
    Names {
        /// Tensors that the model needs and the file lacks, sorted.
        missing: Vec<String>,
        /// Tensors in the file that the model does not know, sorted.
        unexpected: Vec<String>,
    },
    /// A tensor that has another shape than the model's parameter.
    #[error(
        "tensor `{name}` has shape {found:?}, but the model needs {expected:?} (does the configuration fit?)"
    )]
    Shape {
        /// Name of the tensor.
        name: String,
        /// The shape that the model needs, in PyTorch's layout.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A tensor of a type other than f64, f32, f16 and bf16.
    #[error(
        "tensor `{name}` has the type {dtype}; only F64, F32, F16 and BF16 can be read: get weights that are not quantised"
    )]
    Dtype {
        /// Name of the tensor.
        name: String,
        /// The type in the file.
        dtype: safetensors::Dtype,
    },
    /// A NaN or an infinity: the training diverged, or a value does not fit the file's precision.
    #[error("tensor `{name}` holds the value {value}, which is not finite")]
    NotFinite {
        /// Name of the tensor.
        name: String,
        /// The first such value, as it is or would be in the file.
        value: f32,
    },
    /// Values that do not fill a shape.
    #[error("{found} values do not fill a tensor of shape {shape:?}")]
    Elements {
        /// The shape.
        shape: Vec<usize>,
        /// How many values there are.
        found: usize,
    },
    /// A tensor with another number of dimensions than is wanted.
    #[error("a tensor with {expected} dimensions is wanted, but its shape is {shape:?}")]
    Rank {
        /// The number of dimensions that is wanted.
        expected: usize,
        /// The shape.
        shape: Vec<usize>,
    },
    /// A tensor that could not be read back from the device.
    #[error("tensor `{name}` cannot be read from the device: {reason}")]
    Device {
        /// Name of the tensor.
        name: String,
        /// What the device said.
        reason: String,
    },
    /// A file that could not be opened, read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file whose contents cannot be used.
    #[error("{path}: {source}")]
    InFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: Box<WeightsError>,
    },
}

/// How many names a message lists.
const LISTED: usize = 8;

/// The first of `names` for a message, and how many follow.
pub(super) fn first_names(names: &[String]) -> String {
    let listed = names[..names.len().min(LISTED)].join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => listed,
        more => format!("{listed}, and {more} more"),
    }
}

fn list_names(missing: &[String], unexpected: &[String]) -> String {
    let list = |what: &str, names: &[String]| match names {
        [] => None,
        names => Some(format!("{} {what}: {}", names.len(), first_names(names))),
    };
    [list("missing", missing), list("unexpected", unexpected)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}
