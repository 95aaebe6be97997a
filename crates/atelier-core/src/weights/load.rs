use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::WeightsError;
use super::names::{FileParameter, ModulePath};

/// Replaces all parameters of `module` by those of a safetensors file, given as `bytes`.
///
/// Tensors in f16 and bf16 are widened to f32. The parameters stay on their device and keep their identities;
/// random initial values that nobody has looked at are never computed.
///
/// # Errors
///
/// Any [`WeightsError`] but those of files and devices. All tensors are checked before the first is replaced.
pub fn load_into<M: Module>(module: M, bytes: &[u8]) -> Result<M, WeightsError> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut found: BTreeMap<&str, TensorView<'_>> = file.iter().collect();
    // Old files of transformers store this constant.
    found.retain(|name, _| !name.ends_with(".position_ids"));

    let mut expected = ExpectedParameters::default();
    module.visit(&mut expected);
    let expected = expected.shapes;

    let missing: Vec<String> =
        expected.keys().filter(|name| !found.contains_key(name.as_str())).cloned().collect();
    let unexpected: Vec<String> =
        found.keys().filter(|name| !expected.contains_key(**name)).map(|name| (*name).to_owned()).collect();
    if !missing.is_empty() || !unexpected.is_empty() {
        return Err(WeightsError::Names { missing, unexpected });
    }

    let mut values = BTreeMap::new();
    for (name, view) in found {
        let expected = &expected[name];
        if view.shape() != expected {
            let (name, expected, found) = (name.to_owned(), expected.clone(), view.shape().to_vec());
            return Err(WeightsError::Shape { name, expected, found });
        }
        values.insert(name.to_owned(), read_floats(name, &view)?);
    }
    Ok(module.map(&mut Loader { path: ModulePath::default(), values }))
}

/// The values of a tensor, all finite, in f32.
fn read_floats(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, WeightsError> {
    let two_bytes =
        |convert: fn([u8; 2]) -> f32| view.data().as_chunks::<2>().0.iter().copied().map(convert).collect();
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => view.data().as_chunks::<4>().0.iter().copied().map(f32::from_le_bytes).collect(),
        Dtype::F16 => two_bytes(|bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => two_bytes(|bytes| bf16::from_le_bytes(bytes).to_f32()),
        dtype => return Err(WeightsError::Dtype { name: name.to_owned(), dtype }),
    };
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(WeightsError::NotFinite { name: name.to_owned(), value: *value }),
        None => Ok(values),
    }
}

/// Collects the names and shapes, in PyTorch's layout, that a module needs.
#[derive(Default)]
struct ExpectedParameters {
    path: ModulePath,
    shapes: BTreeMap<String, Vec<usize>>,
}

impl ModuleVisitor for ExpectedParameters {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let FileParameter { name, transposed } = self.path.parameter();
        let mut shape = param.lazy_shape().to_vec();
        if transposed {
            shape.reverse();
        }
        self.shapes.insert(name, shape);
    }
}

/// Puts values, in PyTorch's layout and known to fit, into a module.
struct Loader {
    path: ModulePath,
    values: BTreeMap<String, Vec<f32>>,
}

impl ModuleMapper for Loader {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let FileParameter { name, transposed } = self.path.parameter();
        let Some(values) = self.values.remove(&name) else { return param };
        let shape = param.lazy_shape();
        let values = if transposed { transpose(&values, shape[1], shape[0]) } else { values };
        let tensor = Tensor::from_data(TensorData::new(values, shape), &param.lazy_device());
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}

/// `[rows, columns]` to `[columns, rows]`, in memory: a transposed view would cost at every use.
fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}
