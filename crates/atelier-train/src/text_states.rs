//! Embeddings of prompts by frozen text encoders, computed once per prompt.

use crate::{error::TrainError, pictures};
use atelier_core::{
    models::prompt_embeddings::PromptEmbeddings,
    pipeline::{Pipeline, SizeConditions},
};
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::HashMap;

/// Remembers what the text encoders said: captions and attributes come again in every epoch.
#[derive(Debug)]
pub struct TextStates<'a> {
    pipeline: &'a Pipeline,
    device: Device,
    known: HashMap<String, Embedding>,
    /// Tokens and features of the states.
    shape: [usize; 2],
}

/// What one prompt became.
#[derive(Debug)]
struct Embedding {
    states: Vec<f32>,
    pooled: Option<Vec<f32>>,
}

impl<'a> TextStates<'a> {
    /// An empty memory for `pipeline`'s text encoders, which must be on `device`.
    pub fn new(pipeline: &'a Pipeline, device: &Device) -> Self {
        Self { pipeline, device: device.clone(), known: HashMap::new(), shape: [0; 2] }
    }

    /// Embeddings of `prompts`, one row each, with the `sizes` of their pictures where the model takes them.
    ///
    /// # Errors
    /// [`TrainError::Pipeline`] names a prompt that cannot be tokenised; [`TrainError::DeviceLost`].
    pub fn get(
        &mut self,
        prompts: &[String],
        sizes: &[SizeConditions],
    ) -> Result<PromptEmbeddings, TrainError> {
        let mut unknown: Vec<&str> =
            prompts.iter().map(String::as_str).filter(|prompt| !self.known.contains_key(*prompt)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            let embeddings = self.pipeline.encode_prompts(&unknown, &self.device)?;
            let [_, tokens, features] = embeddings.prompt_embeds.dims();
            self.shape = [tokens, features];
            let states = pictures::read(embeddings.prompt_embeds)?;
            let pooled = embeddings.pooled_prompt_embeds.map(pictures::read).transpose()?;
            let mut pooled = pooled.as_ref().map(|values| values.chunks(values.len() / unknown.len()));
            for (prompt, states) in unknown.into_iter().zip(states.chunks(tokens * features)) {
                let pooled = pooled.as_mut().and_then(Iterator::next).map(<[f32]>::to_vec);
                self.known.insert(prompt.to_owned(), Embedding { states: states.to_vec(), pooled });
            }
        }
        let rows: Vec<&Embedding> = prompts.iter().filter_map(|prompt| self.known.get(prompt)).collect();
        let states: Vec<f32> = rows.iter().flat_map(|row| &row.states).copied().collect();
        let pooled: Vec<f32> = rows.iter().filter_map(|row| row.pooled.as_ref()).flatten().copied().collect();
        let [tokens, features] = self.shape;
        let states = TensorData::new(states, [rows.len(), tokens, features]);
        let pooled_features = pooled.len() / rows.len().max(1);
        let pooled = (pooled_features > 0)
            .then(|| Tensor::from_data(TensorData::new(pooled, [rows.len(), pooled_features]), &self.device));
        let embeddings = PromptEmbeddings {
            pooled_prompt_embeds: pooled,
            ..Tensor::<3>::from_data(states, &self.device).into()
        };
        Ok(self.pipeline.with_sizes(embeddings, sizes))
    }
}
