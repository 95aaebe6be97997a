//! From prompts to token ids.

use burn::tensor::{Device, Int, Tensor, TensorData};
use thiserror::Error;
use tokenizers::{PaddingParams, PaddingStrategy, Tokenizer, TruncationDirection, TruncationParams};

/// A prompt could not be turned into token ids.
#[derive(Debug, Error)]
pub enum TextError {
    /// `tokenizer.json` is not what the `tokenizers` crate writes.
    #[error("tokenizer.json cannot be read: {0}; save it again with Hugging Face tokenizers 0.13 or later")]
    Tokenizer(String),
    /// The tokenizer failed on a text.
    #[error("the prompt {prompt:?} cannot be tokenised: {reason}")]
    Prompt {
        /// The offending prompt.
        prompt: String,
        /// What the tokenizer said.
        reason: String,
    },
}

/// The tokenizer of a model folder, set to the text encoder's fixed length.
#[derive(Debug, Clone)]
pub struct PromptTokenizer {
    tokenizer: Tokenizer,
    bytes: Vec<u8>,
    length: usize,
}

impl PromptTokenizer {
    /// Reads the bytes of a `tokenizer.json`; prompts become `length` ids, padded with the token that the file names,
    /// or `<|endoftext|>` as CLIP does.
    ///
    /// # Errors
    /// [`TextError::Tokenizer`] for anything that is not a tokenizer.
    pub fn from_bytes(bytes: Vec<u8>, length: usize) -> Result<Self, TextError> {
        let invalid = |error: tokenizers::Error| TextError::Tokenizer(error.to_string());
        let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(invalid)?;
        let mut padding = tokenizer.get_padding().cloned().unwrap_or_else(|| PaddingParams {
            pad_id: tokenizer.token_to_id("<|endoftext|>").unwrap_or(0),
            pad_token: "<|endoftext|>".to_owned(),
            ..PaddingParams::default()
        });
        padding.strategy = PaddingStrategy::Fixed(length);
        tokenizer.with_padding(Some(padding));
        let truncation = TruncationParams {
            max_length: length,
            direction: TruncationDirection::Right,
            ..TruncationParams::default()
        };
        tokenizer.with_truncation(Some(truncation)).map_err(invalid)?;
        Ok(Self { tokenizer, bytes, length })
    }

    /// The file that it was read from, to be written back unchanged.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Ids of every prompt, `[prompts, length]`.
    ///
    /// # Errors
    /// [`TextError::Prompt`] names the prompt.
    pub fn encode(&self, prompts: &[&str], device: &Device) -> Result<Tensor<2, Int>, TextError> {
        let mut ids: Vec<i32> = Vec::with_capacity(prompts.len() * self.length);
        for prompt in prompts {
            let encoding = self.tokenizer.encode(*prompt, true).map_err(|error| TextError::Prompt {
                prompt: (*prompt).to_owned(),
                reason: error.to_string(),
            })?;
            ids.extend(encoding.get_ids().iter().map(|&id| id as i32));
        }
        Ok(Tensor::from_data(TensorData::new(ids, [prompts.len(), self.length]), device))
    }

    /// The end of `prompt` that does not fit into the text encoder's length, if there is one.
    pub fn ignored(&self, prompt: &str) -> Option<String> {
        let encoding = self.tokenizer.encode(prompt, true).ok()?;
        let rest = encoding.get_overflowing().first()?;
        // Special tokens stand nowhere in the prompt.
        let start = rest.get_offsets().iter().find(|(from, to)| to > from)?.0;
        prompt.get(start..).map(str::to_owned)
    }

    /// The words of `prompt` that the vocabulary lacks: the model cannot know what they mean.
    pub fn unknown_words(&self, prompt: &str) -> Vec<String> {
        let Some(unknown) = self.tokenizer.token_to_id("<|unk|>") else { return Vec::new() };
        let Ok(encoding) = self.tokenizer.encode(prompt, false) else { return Vec::new() };
        let pieces = encoding.get_ids().iter().zip(encoding.get_offsets());
        pieces
            .filter(|(id, _)| **id == unknown)
            .filter_map(|(_, &(from, to))| prompt.get(from..to).map(str::to_owned))
            .collect()
    }
}
