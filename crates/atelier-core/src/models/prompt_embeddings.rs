//! What a prompt becomes before a denoiser reads it.

use burn::tensor::Tensor;

/// The text encoders' answer to prompts, one row each, in the names of diffusers' pipelines.
#[derive(Debug, Clone)]
pub struct PromptEmbeddings {
    /// States of all tokens, `[rows, tokens, features]`.
    pub prompt_embeds: Tensor<3>,
    /// One vector per prompt, `[rows, features]`, for the models that take one: SDXL, SD3, FLUX.
    pub pooled_prompt_embeds: Option<Tensor<2>>,
    /// The size conditions of SDXL, `[rows, 6]`: height and width of the original, top and left of the crop, height and
    /// width of the picture to be.
    pub time_ids: Option<Tensor<2>>,
    /// The guidance scale for models that were distilled with it, `[rows]`: FLUX.1 dev.
    pub guidance: Option<Tensor<1>>,
}

impl From<Tensor<3>> for PromptEmbeddings {
    fn from(prompt_embeds: Tensor<3>) -> Self {
        Self { prompt_embeds, pooled_prompt_embeds: None, time_ids: None, guidance: None }
    }
}

impl PromptEmbeddings {
    /// How many prompts there are.
    pub fn rows(&self) -> usize {
        self.prompt_embeds.dims()[0]
    }

    /// All rows of all `parts`, which are of one kind.
    ///
    /// # Panics
    /// If there is no part.
    #[must_use]
    pub fn cat(parts: Vec<Self>) -> Self {
        let mut states = Vec::new();
        let (mut pooled, mut time_ids): (Option<Vec<_>>, Option<Vec<_>>) = (Some(vec![]), Some(vec![]));
        let mut guidance: Option<Vec<_>> = Some(vec![]);
        for part in parts {
            states.push(part.prompt_embeds);
            pooled = pooled.zip(part.pooled_prompt_embeds).map(|(rows, row)| [rows, vec![row]].concat());
            time_ids = time_ids.zip(part.time_ids).map(|(rows, row)| [rows, vec![row]].concat());
            guidance = guidance.zip(part.guidance).map(|(rows, row)| [rows, vec![row]].concat());
        }
        Self {
            prompt_embeds: Tensor::cat(states, 0),
            pooled_prompt_embeds: pooled.map(|rows| Tensor::cat(rows, 0)),
            time_ids: time_ids.map(|rows| Tensor::cat(rows, 0)),
            guidance: guidance.map(|rows| Tensor::cat(rows, 0)),
        }
    }

    /// Some of the rows.
    #[must_use]
    pub fn rows_of(&self, rows: core::ops::Range<usize>) -> Self {
        let (first, count) = (rows.start, rows.len());
        let vector = |vector: &Tensor<2>| vector.clone().narrow(0, first, count);
        Self {
            prompt_embeds: self.prompt_embeds.clone().narrow(0, first, count),
            pooled_prompt_embeds: self.pooled_prompt_embeds.as_ref().map(vector),
            time_ids: self.time_ids.as_ref().map(vector),
            guidance: self.guidance.clone().map(|guidance| guidance.narrow(0, first, count)),
        }
    }

    /// A single row, `rows` times.
    #[must_use]
    pub fn expand(self, rows: usize) -> Self {
        let [_, tokens, features] = self.prompt_embeds.dims();
        let vector = |vector: Tensor<2>| {
            let [_, features] = vector.dims();
            vector.expand([rows, features])
        };
        Self {
            prompt_embeds: self.prompt_embeds.expand([rows, tokens, features]),
            pooled_prompt_embeds: self.pooled_prompt_embeds.map(vector),
            time_ids: self.time_ids.map(vector),
            guidance: self.guidance.map(|guidance| guidance.expand([rows])),
        }
    }

    /// With the size conditions of SDXL, `[rows, 6]`.
    #[must_use]
    pub fn with_time_ids(self, time_ids: Tensor<2>) -> Self {
        Self { time_ids: Some(time_ids), ..self }
    }

    /// With a guidance scale for models that were distilled with it.
    #[must_use]
    pub fn with_guidance(self, scale: f64) -> Self {
        let guidance = Tensor::full([self.rows()], scale, &self.prompt_embeds.device());
        Self { guidance: Some(guidance), ..self }
    }

    /// The same values for a model in training.
    #[cfg(feature = "autodiff")]
    #[must_use]
    pub fn autodiff(self) -> Self {
        Self {
            prompt_embeds: self.prompt_embeds.autodiff(),
            pooled_prompt_embeds: self.pooled_prompt_embeds.map(Tensor::autodiff),
            time_ids: self.time_ids.map(Tensor::autodiff),
            guidance: self.guidance.map(Tensor::autodiff),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn embeddings(rows: usize, pooled: bool) -> PromptEmbeddings {
        let device = Device::flex();
        let states = PromptEmbeddings::from(Tensor::ones([rows, 4, 3], &device));
        PromptEmbeddings { pooled_prompt_embeds: pooled.then(|| Tensor::ones([rows, 2], &device)), ..states }
    }

    #[test]
    fn rows_are_joined_and_repeated() {
        let joined = PromptEmbeddings::cat(vec![embeddings(2, true), embeddings(1, true).expand(3)]);
        assert_eq!((joined.rows(), joined.pooled_prompt_embeds.unwrap().dims()), (5, [5, 2]));
        assert!(joined.time_ids.is_none());
        let plain = PromptEmbeddings::cat(vec![embeddings(2, false), embeddings(2, false)]);
        assert!(plain.pooled_prompt_embeds.is_none());
        let guided =
            [embeddings(1, false).with_guidance(3.5).expand(2), embeddings(1, false).with_guidance(1.0)];
        let guidance = PromptEmbeddings::cat(guided.to_vec()).guidance.unwrap();
        assert_eq!(guidance.into_data(), TensorData::from([3.5_f32, 3.5, 1.0]));
    }
}
