use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use half::f16;
use serde_json::{Map, Value, json};

use super::WeightsError;
use super::names::{FileParameter, ModulePath};

/// The type of the numbers in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    F32,
    /// 16 bits: 11 bits of significand, up to 65504.
    F16,
}

/// A safetensors file with all parameters of `module` and the strings in `metadata`.
///
/// The same parameters and metadata give the same bytes. `metadata` gets `"format": "pt"`, without which
/// transformers refuses a file.
///
/// # Errors
///
/// [`WeightsError::NotFinite`] for NaN, infinities, and values beyond the range of `precision`;
/// [`WeightsError::Device`] if the device is lost.
pub async fn to_bytes<M: Module>(
    module: &M,
    precision: Precision,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, WeightsError> {
    let mut data = Vec::new();
    for Parameter { name, shape, tensor } in parameters(module) {
        let read = tensor.into_data_async().await;
        let read = read.map_err(|e| WeightsError::Device { name: name.clone(), reason: e.to_string() })?;
        data.push((name, shape, read));
    }
    encode(data, precision, metadata)
}

/// The same without `async`, for where waiting is allowed.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn to_bytes_blocking<M: Module>(
    module: &M,
    precision: Precision,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, WeightsError> {
    let read = |Parameter { name, shape, tensor }| match tensor.try_into_data() {
        Ok(data) => Ok((name, shape, data)),
        Err(e) => Err(WeightsError::Device { name, reason: e.to_string() }),
    };
    let data = parameters(module).into_iter().map(read).collect::<Result<_, _>>()?;
    encode(data, precision, metadata)
}

/// A parameter in PyTorch's layout.
struct Parameter {
    name: String,
    shape: Vec<usize>,
    /// The elements in a row.
    tensor: Tensor<1>,
}

/// All parameters of a module, sorted by name.
fn parameters<M: Module>(module: &M) -> Vec<Parameter> {
    let mut collector = Collector { path: ModulePath::default(), parameters: Vec::new() };
    module.visit(&mut collector);
    collector.parameters.sort_by(|a, b| a.name.cmp(&b.name));
    collector.parameters
}

struct Collector {
    path: ModulePath,
    parameters: Vec<Parameter>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let FileParameter { name, transposed } = self.path.parameter();
        let tensor = param.val().detach();
        let tensor = if transposed { tensor.transpose() } else { tensor };
        let shape = tensor.shape().to_vec();
        let elements = tensor.shape().num_elements();
        self.parameters.push(Parameter { name, shape, tensor: tensor.reshape([elements]) });
    }
}

/// Writes the safetensors format: the length of the header, the header in JSON, the tensors.
///
/// The `safetensors` crate keeps metadata in a hash map, so that its header would differ from run to run.
pub(super) fn encode(
    tensors: Vec<(String, Vec<usize>, TensorData)>,
    precision: Precision,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, WeightsError> {
    let mut header = Map::new();
    let mut all_metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    all_metadata.extend(metadata.clone());
    header.insert("__metadata__".to_owned(), json!(all_metadata));

    let mut body = Vec::new();
    for (name, shape, data) in tensors {
        let start = body.len();
        for value in data.iter::<f32>() {
            let stored = match precision {
                Precision::F32 => value,
                Precision::F16 => f16::from_f32(value).to_f32(),
            };
            if !stored.is_finite() {
                return Err(WeightsError::NotFinite { name, value: stored });
            }
            match precision {
                Precision::F32 => body.extend_from_slice(&stored.to_le_bytes()),
                Precision::F16 => body.extend_from_slice(&f16::from_f32(stored).to_le_bytes()),
            }
        }
        let dtype = match precision {
            Precision::F32 => "F32",
            Precision::F16 => "F16",
        };
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, body.len()] });
        header.insert(name, entry);
    }

    let mut header = Value::Object(header).to_string().into_bytes();
    // Tensors start at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.append(&mut header);
    file.append(&mut body);
    Ok(file)
}
