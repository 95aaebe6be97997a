//! States of a frozen text encoder, computed once per prompt.

use crate::error::TrainError;
use atelier_core::pipeline::Pipeline;
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::HashMap;

/// Remembers what the text encoder said: captions and attributes come again in every epoch.
#[derive(Debug)]
pub struct TextStates<'a> {
    pipeline: &'a Pipeline,
    device: Device,
    known: HashMap<String, Vec<f32>>,
}

impl<'a> TextStates<'a> {
    /// An empty memory for `pipeline`'s text encoder, which must be on `device`.
    pub fn new(pipeline: &'a Pipeline, device: &Device) -> Self {
        Self { pipeline, device: device.clone(), known: HashMap::new() }
    }

    /// States of `prompts`, `[prompts, tokens, features]`.
    ///
    /// # Errors
    /// [`TrainError::Pipeline`] names a prompt that cannot be tokenised; [`TrainError::DeviceLost`].
    pub fn get(&mut self, prompts: &[String]) -> Result<Tensor<3>, TrainError> {
        let mut unknown: Vec<&str> =
            prompts.iter().map(String::as_str).filter(|prompt| !self.known.contains_key(*prompt)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            let states = self.pipeline.encode_prompts(&unknown, &self.device)?;
            let [_, tokens, features] = states.dims();
            let data = states.try_into_data().map_err(|error| TrainError::DeviceLost(error.to_string()))?;
            let values: Vec<f32> = data.iter::<f32>().collect();
            for (prompt, row) in unknown.into_iter().zip(values.chunks(tokens * features)) {
                self.known.insert(prompt.to_owned(), row.to_vec());
            }
        }
        let config = &self.pipeline.text_config;
        let shape = [prompts.len(), config.max_position_embeddings, config.hidden_size];
        let rows = prompts.iter().filter_map(|prompt| self.known.get(prompt));
        let values: Vec<f32> = rows.flatten().copied().collect();
        Ok(Tensor::from_data(TensorData::new(values, shape), &self.device))
    }
}
