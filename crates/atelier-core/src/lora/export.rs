use super::{Component, LoraAdapter, adapter_config::METADATA};
use crate::weights::{TensorValues, WeightsError};
use burn::tensor::Tensor;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

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
        // peft looks for patterns at the end of names.
        let exact = |values: Map<String, Value>| {
            Value::Object(values.into_iter().map(|(name, value)| (format!("^{name}"), value)).collect())
        };
        let mut describe = |key: &str, value: Value| {
            metadata.insert(format!("{}.{key}", component.key()), value);
        };
        describe("r", rank.into());
        describe("lora_alpha", alpha.into());
        describe("alpha_pattern", exact(alphas));
        describe("rank_pattern", exact(ranks));
        describe("target_modules", modules.into());
        let metadata = Value::Object(metadata).to_string();
        Ok((tensors, BTreeMap::from([(METADATA.to_owned(), metadata)])))
    }
}
