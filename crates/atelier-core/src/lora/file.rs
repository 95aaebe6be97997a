use super::{
    LoraAdapter, LoraError, LoraLayer,
    adapter::layer_shapes,
    flux_names::{OriginalLayer, original_layer},
    layer::LayerShape,
    names::{self, Key, LayerName, Part},
};
use crate::{
    models::layers::Adaptable,
    weights::{TensorValues, WeightsError},
};
use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData},
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The parts of a pipeline that can have adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// The UNet.
    Unet,
    /// The transformer of FLUX and SD3.
    Transformer,
    /// The first text encoder.
    TextEncoder,
    /// The second text encoder.
    TextEncoder2,
}

impl Component {
    pub(super) const ALL: [Self; 4] = [Self::Unet, Self::Transformer, Self::TextEncoder, Self::TextEncoder2];

    /// Its name in model folders, and before the first dot of keys in LoRA files.
    pub fn key(self) -> &'static str {
        match self {
            Self::Unet => "unet",
            Self::Transformer => "transformer",
            Self::TextEncoder => "text_encoder",
            Self::TextEncoder2 => "text_encoder_2",
        }
    }
}

/// Under this key of a file's metadata diffusers keeps the ranks and alphas.
const METADATA: &str = "lora_adapter_metadata";

/// The tensors of a LoRA file, sorted by component and layer.
#[derive(Debug, Clone)]
pub struct LoraFile {
    terms: BTreeMap<Component, BTreeMap<LayerName, Term>>,
    alphas: Map<String, Value>,
}

#[derive(Debug, Clone, Default)]
struct Term {
    down: Option<TensorValues>,
    up: Option<TensorValues>,
    alpha: Option<f64>,
}

impl LoraFile {
    /// Sorts the tensors of a file.
    ///
    /// # Errors
    /// [`LoraError::Empty`] or [`LoraError::Key`] if this is no LoRA, or one of a kind that is not supported.
    pub fn new(
        tensors: BTreeMap<String, TensorValues>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self, LoraError> {
        let mut terms: BTreeMap<Component, BTreeMap<LayerName, Term>> = BTreeMap::new();
        for (name, tensor) in tensors {
            let unusable = |problem: &str| LoraError::Key { key: name.clone(), problem: problem.to_owned() };
            let Some(Key { component, layer, part }) = Key::parse(&name) else {
                return Err(unusable("is no key of a plain LoRA (LoKr, LoHa and DoRA are not supported)"));
            };
            let term = terms.entry(component).or_default().entry(layer).or_default();
            match part {
                Part::Down => term.down = Some(tensor),
                Part::Up => term.up = Some(tensor),
                Part::Alpha => {
                    let alpha = tensor.values().first().filter(|_| tensor.values().len() == 1);
                    term.alpha = Some(f64::from(*alpha.ok_or_else(|| unusable("is not a single number"))?));
                }
            }
        }
        if terms.is_empty() {
            return Err(LoraError::Empty);
        }
        let alphas = metadata.get(METADATA).and_then(|text| serde_json::from_str(text).ok());
        Ok(Self { terms, alphas: alphas.unwrap_or_default() })
    }

    /// The components that the file has adapters for.
    pub fn components(&self) -> impl Iterator<Item = Component> + '_ {
        self.terms.keys().copied()
    }

    /// The adapter of `component` for `model`, on `device`; `None` if the file has none.
    ///
    /// # Errors
    /// [`LoraError::OtherModel`] or [`LoraError::Shape`] if it does not fit, [`LoraError::Key`] for half a term.
    pub fn adapter<M: Adaptable + Clone>(
        &self,
        component: Component,
        model: &M,
        device: &Device,
    ) -> Result<Option<LoraAdapter>, LoraError> {
        let Some(terms) = self.terms.get(&component) else { return Ok(None) };
        let shapes = layer_shapes(model);
        let flattened = names::flattened(shapes.keys());
        let mut layers = Vec::with_capacity(terms.len());
        let mut missing = Vec::new();
        for (name, term) in terms {
            let found = match name {
                LayerName::Dotted(name) => shapes.contains_key(name).then_some(name.as_str()),
                LayerName::Flattened(name) => names::unflatten(name, &flattened),
            };
            let (LayerName::Dotted(written) | LayerName::Flattened(written)) = name;
            if let Some(found) = found {
                layers.push(term.layer(found, self.alpha(component, found), device)?);
            } else if let Some(terms) = term.of_original(written, &shapes)? {
                for (found, term) in terms {
                    layers.push(term.layer(&found, None, device)?);
                }
            } else {
                missing.push(written.clone());
            }
        }
        if !missing.is_empty() {
            let known: Vec<&str> = shapes.keys().map(String::as_str).take(3).collect();
            return Err(LoraError::OtherModel { missing, known: known.join(", ") });
        }
        layers.sort_by(|a, b| a.name.cmp(&b.name));
        let adapter = LoraAdapter { layers };
        adapter.check(model)?;
        Ok(Some(adapter))
    }

    /// The alpha that the metadata give for a layer.
    fn alpha(&self, component: Component, layer: &str) -> Option<f64> {
        let get = |key: &str| self.alphas.get(&format!("{}.{key}", component.key()));
        let pattern = get("alpha_pattern").and_then(|pattern| pattern.get(layer));
        pattern.or_else(|| get("lora_alpha")).and_then(Value::as_f64)
    }
}

impl Term {
    /// This term of the layer `name` of FLUX's original code as terms of the layers that diffusers has for it: all have its
    /// `down`, and each has some rows of its `up`. `None` if the model has no such layers.
    fn of_original(
        &self,
        name: &str,
        shapes: &BTreeMap<String, LayerShape>,
    ) -> Result<Option<Vec<(String, Self)>>, LoraError> {
        let Some(OriginalLayer { layers, halves_swapped }) = original_layer(name) else { return Ok(None) };
        let sizes: Option<Vec<usize>> = layers.iter().map(|layer| Some(shapes.get(layer)?.outputs)).collect();
        let Some(sizes) = sizes else { return Ok(None) };
        let unusable = |problem: String| LoraError::Key { key: name.to_owned(), problem };
        let Some(up) = &self.up else { return Err(unusable("has no lora_B (lora_up) matrix".to_owned())) };
        let outputs: usize = sizes.iter().sum();
        let rank = match *up.shape() {
            [found, rank] if found == outputs => rank,
            _ => {
                let (found, layers) = (up.shape(), layers.join(", "));
                return Err(unusable(format!(
                    "has a lora_B of shape {found:?}, but {layers} have {outputs} outputs"
                )));
            }
        };
        let mut rows = up.values().to_vec();
        if halves_swapped {
            rows.rotate_left(up.values().len() / 2);
        }
        let mut rest = rows.as_slice();
        let mut terms = Vec::with_capacity(layers.len());
        for (layer, size) in layers.into_iter().zip(sizes) {
            let (own, others) = rest.split_at(size * rank);
            rest = others;
            let up = TensorValues::new(vec![size, rank], own.to_vec())
                .map_err(|error| unusable(error.to_string()))?;
            terms.push((layer, Self { up: Some(up), ..self.clone() }));
        }
        Ok(Some(terms))
    }

    fn layer(&self, name: &str, alpha: Option<f64>, device: &Device) -> Result<LoraLayer, LoraError> {
        let half = |problem: &str| LoraError::Key { key: name.to_owned(), problem: problem.to_owned() };
        let down = self.down.as_ref().ok_or_else(|| half("has no lora_A (lora_down) matrix"))?;
        let up = self.up.as_ref().ok_or_else(|| half("has no lora_B (lora_up) matrix"))?;
        let (rank, inputs, kernel) = match *down.shape() {
            [rank, inputs] => (rank, inputs, None),
            [rank, inputs, height, width] => (rank, inputs * height * width, Some([height, width])),
            _ => return Err(half("has a lora_A that is neither a matrix nor a kernel")),
        };
        let outputs = match *up.shape() {
            [outputs, found] | [outputs, found, 1, 1] if found == rank => outputs,
            _ => return Err(half("has a lora_B that does not take what lora_A gives")),
        };
        let tensor = |values: &[f32], shape: [usize; 2]| {
            Param::from_tensor(Tensor::from_data(TensorData::new(values.to_vec(), shape), device))
        };
        Ok(LoraLayer {
            down: tensor(down.values(), [rank, inputs]),
            up: tensor(up.values(), [outputs, rank]),
            name: name.to_owned(),
            alpha: self.alpha.or(alpha).unwrap_or(rank as f64),
            kernel,
        })
    }
}

impl LoraAdapter {
    /// Tensors and metadata of a file that diffusers' `load_lora_weights` reads, for an adapter of `component`.
    ///
    /// # Errors
    /// [`WeightsError::Device`] if the device is lost.
    pub async fn to_tensors(
        &self,
        component: Component,
    ) -> Result<(BTreeMap<String, TensorValues>, BTreeMap<String, String>), WeightsError> {
        let mut tensors = BTreeMap::new();
        let (mut alphas, mut ranks, mut modules) = (Map::new(), Map::new(), Vec::new());
        for layer in &self.layers {
            let read = async |tensor: Tensor<2>| {
                let data = tensor.into_data_async().await;
                data.map_err(|error| WeightsError::Device {
                    name: layer.name.clone(),
                    reason: error.to_string(),
                })
            };
            let (down, up) = (read(layer.down.val()).await?, read(layer.up.val()).await?);
            let [outputs, rank] = layer.up.lazy_shape().dims();
            let inputs = layer.shape().inputs;
            let (down_shape, up_shape) = match layer.kernel {
                None => (vec![rank, inputs], vec![outputs, rank]),
                Some([height, width]) => (vec![rank, inputs, height, width], vec![outputs, rank, 1, 1]),
            };
            let key = |side: &str| format!("{}.{}.lora_{side}.weight", component.key(), layer.name);
            tensors.insert(key("A"), TensorValues::new(down_shape, down.iter::<f32>().collect())?);
            tensors.insert(key("B"), TensorValues::new(up_shape, up.iter::<f32>().collect())?);
            alphas.insert(layer.name.clone(), layer.alpha.into());
            ranks.insert(layer.name.clone(), rank.into());
            modules.push(layer.name.clone());
        }
        let Some(first) = self.layers.first() else { return Ok((tensors, BTreeMap::new())) };
        let (alpha, rank) = (first.alpha, first.rank());
        alphas.retain(|_, value| value.as_f64() != Some(alpha));
        ranks.retain(|_, value| value.as_u64() != Some(rank as u64));
        let mut metadata = Map::new();
        let mut describe = |key: &str, value: Value| {
            metadata.insert(format!("{}.{key}", component.key()), value);
        };
        describe("r", rank.into());
        describe("lora_alpha", alpha.into());
        describe("alpha_pattern", Value::Object(alphas));
        describe("rank_pattern", Value::Object(ranks));
        describe("target_modules", modules.into());
        let metadata = Value::Object(metadata).to_string();
        Ok((tensors, BTreeMap::from([(METADATA.to_owned(), metadata)])))
    }
}
