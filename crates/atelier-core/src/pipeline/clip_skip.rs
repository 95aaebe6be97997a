//! How many layers of the text encoders can be left out.

use super::{Pipeline, SecondTextEncoder, text_encoders::SKIPPED_LAYERS};

impl Pipeline {
    /// The largest [`Pipeline::clip_skip`] that has a meaning, as in diffusers: the embeddings come before the first layer.
    /// 0 for FLUX, which takes no layer of its CLIP encoder.
    pub fn most_clip_skip(&self) -> usize {
        let layers = self.text_config.num_hidden_layers;
        match &self.second_text_encoder {
            None => layers,
            Some(SecondTextEncoder::Clip { config, .. }) => {
                layers.min(config.num_hidden_layers).saturating_sub(SKIPPED_LAYERS)
            }
            Some(SecondTextEncoder::T5(_)) => 0,
        }
    }
}
