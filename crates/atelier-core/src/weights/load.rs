use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use super::error::first_names;
use super::names::{FileParameter, ModulePath};
use super::{WeightsError, WeightsFile};
use crate::models::autoencoder_kl;

/// Replaces all parameters of `module` by those of a safetensors file, given as `bytes`: see [`load_files`].
///
/// # Errors
///
/// As [`load_files`].
pub fn load_into<M: Module>(module: M, bytes: &[u8]) -> Result<M, WeightsError> {
    match WeightsFile::from_bytes("", bytes.to_vec()).and_then(|file| load_files(module, &[file])) {
        // The caller knows where the bytes came from.
        Err(WeightsError::InFile { source, .. }) => Err(*source),
        result => result,
    }
}

/// Replaces all parameters of `module` by those of safetensors files, which share the model among them.
///
/// Tensors in f64, f16 and bf16 become f32. The parameters stay on their device and keep their identities; random initial
/// values that nobody has looked at are never computed. Tensors that the module has no place for are left out, as diffusers
/// and transformers do it, with a warning unless they are known to belong to something else.
///
/// # Errors
///
/// Any [`WeightsError`] but those of devices. Names and shapes are checked before the first value is read.
pub fn load_files<M: Module>(module: M, files: &[WeightsFile]) -> Result<M, WeightsError> {
    let Sources { found, left_out } = sources(&module, files)?;
    if !left_out.is_empty() {
        let path = files.first().map_or("", WeightsFile::path);
        let (count, names) = (left_out.len(), first_names(&left_out));
        tracing::warn!(
            "{path}: the model has no place for {count} of the tensors, which are left out: {names}"
        );
    }
    let mut loader = Loader { path: ModulePath::default(), found, error: None };
    let module = module.map(&mut loader);
    loader.error.map_or(Ok(module), Err)
}

/// Whether [`load_files`] would find what `module` needs; no value is read, and none of the module computed.
///
/// # Errors
/// [`WeightsError::Names`] and [`WeightsError::Shape`].
pub fn check_files<M: Module>(module: &M, files: &[WeightsFile]) -> Result<(), WeightsError> {
    sources(module, files).map(|_| ())
}

/// What files have for a module.
struct Sources<'a> {
    /// Where the values of all parameters are, by the parameters' names.
    found: BTreeMap<String, Source<'a>>,
    /// Names in the files that the module does not know, sorted; without those of parts that such files often have as well.
    left_out: Vec<String>,
}

fn sources<'a, M: Module>(module: &M, files: &'a [WeightsFile]) -> Result<Sources<'a>, WeightsError> {
    let mut expected = ExpectedParameters::default();
    module.visit(&mut expected);
    let expected = expected.shapes;
    let mut found: BTreeMap<String, Source<'_>> = BTreeMap::new();
    let mut left_out = Vec::new();
    for file in files {
        for (name, shape) in file.tensors() {
            let in_model = name_in_model(name, &expected);
            if expected.contains_key(&in_model) {
                found.insert(in_model, Source { file, name, shape });
            } else if !is_of_another_part(name) {
                left_out.push(name.to_owned());
            }
        }
    }
    left_out.sort();

    let missing: Vec<String> = expected.keys().filter(|name| !found.contains_key(*name)).cloned().collect();
    if !missing.is_empty() {
        return Err(WeightsError::Names { missing, unexpected: left_out });
    }
    for (name, source) in &found {
        let expected = &expected[name];
        if source.shape != expected {
            let (name, found) = (name.clone(), source.shape.to_vec());
            return Err(WeightsError::Shape { name, expected: expected.clone(), found });
        }
    }
    Ok(Sources { found, left_out })
}

/// Whether a tensor is one that files of sound models have beside what is needed: constants of old files of transformers, the
/// rest of CLIP beside its text encoder, the decoder of T5 beside its encoder, and the counters of a moving average.
fn is_of_another_part(name: &str) -> bool {
    const BEGINNINGS: [&str; 3] = ["vision_model.", "visual_projection.", "decoder.block."];
    const NAMES: [&str; 8] = [
        "position_ids",
        "logit_scale",
        "text_projection.weight",
        "decoder.embed_tokens.weight",
        "decoder.final_layer_norm.weight",
        "lm_head.weight",
        "optimization_step",
        "num_updates",
    ];
    let is_named =
        |end: &&str| name.strip_suffix(*end).is_some_and(|before| before.is_empty() || before.ends_with('.'));
    BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) || NAMES.iter().any(is_named)
}

/// Where a parameter's values are.
struct Source<'a> {
    file: &'a WeightsFile,
    /// The name there.
    name: &'a str,
    /// The shape there.
    shape: &'a [usize],
}

/// The name of a tensor in the model. Transformers 5 leaves out a prefix that its text encoders had until then, and that
/// they have in nearly all files; old autoencoders have other names for their attention; and T5's embedding has two names.
fn name_in_model(name: &str, expected: &BTreeMap<String, Vec<usize>>) -> String {
    let shared = (name == "encoder.embed_tokens.weight").then(|| "shared.weight".to_owned());
    let other_names = [Some(format!("text_model.{name}")), autoencoder_kl::current_name(name), shared];
    let known = other_names.into_iter().flatten().find(|other| expected.contains_key(other));
    known.unwrap_or_else(|| name.to_owned())
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

/// Puts values, in PyTorch's layout and known to fit, into a module, until one cannot be read.
struct Loader<'a> {
    path: ModulePath,
    found: BTreeMap<String, Source<'a>>,
    error: Option<WeightsError>,
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let FileParameter { name, transposed } = self.path.parameter();
        let Some(source) = self.found.get(&name).filter(|_| self.error.is_none()) else { return param };
        let values = match source.file.read(source.name) {
            Ok(values) => values,
            Err(error) => {
                self.error = Some(error);
                return param;
            }
        };
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
    use burn::tensor::Device;
    use futures_lite::future::block_on;
    use half::{bf16, f16};
    use safetensors::Dtype;
    use safetensors::tensor::{TensorView, serialize};

    use super::super::{Precision, to_bytes};
    use super::*;

    #[derive(Module, Debug)]
    struct Model {
        linear: Linear,
        norm: LayerNorm,
    }

    fn model() -> Model {
        let device = Device::flex();
        Model { linear: LinearConfig::new(3, 2).init(&device), norm: LayerNormConfig::new(2).init(&device) }
    }

    /// A file with these tensors, which fits [`Model`] unless `change` spoils it.
    fn file(change: impl FnOnce(&mut BTreeMap<&str, (Dtype, Vec<usize>, Vec<u8>)>)) -> Vec<u8> {
        let f32s = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let mut tensors = BTreeMap::from([
            ("linear.weight", (Dtype::F32, vec![2, 3], f32s(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))),
            ("linear.bias", (Dtype::F32, vec![2], f32s(&[0.5, -0.5]))),
            ("norm.weight", (Dtype::F32, vec![2], f32s(&[2.0, 3.0]))),
            ("norm.bias", (Dtype::F32, vec![2], f32s(&[0.0, 1.0]))),
        ]);
        change(&mut tensors);
        let views = tensors.iter().map(|(name, (dtype, shape, data))| {
            (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        serialize(views, None).unwrap()
    }

    #[test]
    fn linear_weights_change_their_layout() {
        let model = load_into(model(), &file(|_| {})).unwrap();
        assert_eq!(
            model.linear.weight.val().to_data(),
            TensorData::from([[1.0_f32, 4.0], [2.0, 5.0], [3.0, 6.0]])
        );
        assert_eq!(model.norm.gamma.val().to_data(), TensorData::from([2.0_f32, 3.0]));
    }

    #[test]
    fn loading_keeps_identities_and_gradients() {
        let before = model().train();
        let id = before.linear.weight.id;
        let after = load_into(before, &file(|_| {})).unwrap();
        assert_eq!(after.linear.weight.id, id);
        assert!(after.linear.weight.is_require_grad());
    }

    #[test]
    fn half_precision_is_widened() {
        let halves = |to_bytes: fn(f32) -> [u8; 2]| [1.5, -0.25].into_iter().flat_map(to_bytes).collect();
        let loaded = load_into(
            model(),
            &file(|tensors| {
                let f16s = halves(|value| f16::from_f32(value).to_le_bytes());
                let bf16s = halves(|value| bf16::from_f32(value).to_le_bytes());
                tensors.insert("linear.bias", (Dtype::F16, vec![2], f16s));
                tensors.insert("norm.bias", (Dtype::BF16, vec![2], bf16s));
            }),
        )
        .unwrap();
        let expected = TensorData::from([1.5_f32, -0.25]);
        assert_eq!(loaded.linear.bias.unwrap().val().to_data(), expected);
        assert_eq!(loaded.norm.beta.unwrap().val().to_data(), expected);
    }

    #[test]
    fn other_names_are_listed() {
        let spoilt = file(|tensors| {
            let bias = tensors.remove("norm.bias").unwrap();
            tensors.insert("norm.offset", bias);
        });
        let error = load_into(model(), &spoilt).unwrap_err().to_string();
        assert_eq!(error, "the file is not for this model: 1 missing: norm.bias; 1 unexpected: norm.offset");
    }

    #[test]
    fn what_the_model_has_no_place_for_is_left_out() {
        let with_more = file(|tensors| {
            let bias = tensors["norm.bias"].clone();
            for name in
                ["norm.offset", "norm.position_ids", "vision_model.post_layernorm.bias", "logit_scale"]
            {
                tensors.insert(name, bias.clone());
            }
            // Of another type than weights have: it is not read.
            tensors.insert("optimization_step", (Dtype::I64, vec![], vec![0; 8]));
        });
        let model = load_into(model(), &with_more).unwrap();
        assert_eq!(model.norm.gamma.val().to_data(), TensorData::from([2.0_f32, 3.0]));
        let files = [WeightsFile::from_bytes("", with_more).unwrap()];
        let Sources { left_out, .. } = sources(&model, &files).map_err(|error| error.to_string()).unwrap();
        assert_eq!(left_out, ["norm.offset"]);
    }

    #[test]
    fn double_precision_is_narrowed() {
        let doubles = |values: [f64; 2]| values.into_iter().flat_map(f64::to_le_bytes).collect::<Vec<u8>>();
        let with = |values| {
            file(|tensors| drop(tensors.insert("norm.bias", (Dtype::F64, vec![2], doubles(values)))))
        };
        let loaded = load_into(model(), &with([0.1, -3.0])).unwrap();
        assert_eq!(loaded.norm.beta.unwrap().val().to_data(), TensorData::from([0.1_f32, -3.0]));
        let error = load_into(model(), &with([1e300, 0.0])).unwrap_err();
        assert!(matches!(error, WeightsError::NotFinite { .. }), "{error}");
    }

    #[test]
    fn another_shape_is_named_in_the_layout_of_the_file() {
        let spoilt = file(|tensors| tensors.get_mut("linear.weight").unwrap().1 = vec![3, 2]);
        let error = load_into(model(), &spoilt).unwrap_err().to_string();
        assert!(error.contains("`linear.weight` has shape [3, 2], but the model needs [2, 3]"), "{error}");
    }

    #[test]
    fn nan_is_named() {
        let spoilt = file(|tensors| {
            tensors.get_mut("norm.bias").unwrap().2[4..].copy_from_slice(&f32::NAN.to_le_bytes());
        });
        let error = load_into(model(), &spoilt).unwrap_err();
        assert!(matches!(error, WeightsError::NotFinite { ref name, .. } if name == "norm.bias"), "{error}");
    }

    #[test]
    fn integers_are_refused() {
        let spoilt = file(|tensors| tensors.get_mut("norm.bias").unwrap().0 = Dtype::I32);
        let error = load_into(model(), &spoilt).unwrap_err().to_string();
        assert!(error.contains("`norm.bias` has the type I32"), "{error}");
    }

    #[test]
    fn every_truncation_is_noticed() {
        let bytes = file(|_| {});
        for length in 0..bytes.len() {
            let error = load_into(model(), &bytes[..length]).unwrap_err();
            let noticed = matches!(error, WeightsError::Corrupt(_) | WeightsError::Truncated { .. });
            assert!(noticed, "{length} bytes: {error}");
        }
    }

    #[test]
    fn saving_and_loading_returns_the_same_numbers_and_bytes() {
        let metadata = [("a", "1"), ("b", "2"), ("c", "3")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let saved = block_on(to_bytes(&model(), Precision::F32, &metadata)).unwrap();
        let loaded = load_into(model(), &saved).unwrap();
        assert_eq!(block_on(to_bytes(&loaded, Precision::F32, &metadata)).unwrap(), saved);
    }

    #[test]
    fn values_too_large_for_half_precision_are_refused() {
        let mut large = model();
        large.norm.gamma = large.norm.gamma.map(|gamma| gamma * 1e5);
        let error = block_on(to_bytes(&large, Precision::F16, &BTreeMap::new())).unwrap_err();
        assert!(
            matches!(error, WeightsError::NotFinite { ref name, .. } if name == "norm.weight"),
            "{error}"
        );
    }
}
