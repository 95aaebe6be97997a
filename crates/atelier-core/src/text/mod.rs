//! From prompts to token ids.

mod clip_bpe;

use crate::pipeline::{ModelFiles, PipelineError};
use burn::tensor::{Device, Int, Tensor, TensorData};
use thiserror::Error;
use tokenizers::{
    AddedToken, PaddingParams, PaddingStrategy, Tokenizer, TruncationDirection, TruncationParams,
};

/// The file beside a `tokenizer.json` that says how transformers uses it.
pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// What to do about a tokenizer that is there in SentencePiece's own format only.
const SENTENCEPIECE: &str = "is missing, and spiece.model beside it is in a format that is not read; let transformers \
    convert it: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)";

/// A prompt could not be turned into token ids.
#[derive(Debug, Error)]
pub enum TextError {
    /// `tokenizer.json` is not what the `tokenizers` crate writes.
    #[error("tokenizer.json cannot be read: {0}; save it again with Hugging Face tokenizers 0.13 or later")]
    Tokenizer(String),
    /// `vocab.json` or `merges.txt` of an older folder cannot be used.
    #[error("{file}: {problem}")]
    Vocabulary {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
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
    /// Reads the tokenizer in `folder`: `tokenizer.json`, or `vocab.json` and `merges.txt` as CLIP's folders before 2023
    /// have it. `tokenizer_config.json` names the token that fills prompts up, where `tokenizer.json` does not.
    ///
    /// # Errors
    /// [`PipelineError`] names the file that is missing or cannot be used.
    pub fn load<F: ModelFiles + ?Sized>(
        files: &F,
        folder: &str,
        length: usize,
    ) -> Result<Self, PipelineError> {
        let path = |name: &str| format!("{folder}/{name}");
        let (whole, vocabulary) = (path("tokenizer.json"), path("vocab.json"));
        if !files.contains(&whole) && files.contains(&path("spiece.model")) {
            return Err(PipelineError::File { path: whole, reason: SENTENCEPIECE.to_owned() });
        }
        let bytes = if !files.contains(&whole) && files.contains(&vocabulary) {
            clip_bpe::tokenizer_json(&files.read(&vocabulary)?, &files.read(&path("merges.txt"))?)?
        } else {
            files.read(&whole)?
        };
        let config = path(TOKENIZER_CONFIG);
        let padding = if files.contains(&config) { padding_token(&files.read(&config)?) } else { None };
        Ok(Self::with_padding(bytes, length, padding)?)
    }

    /// Reads the bytes of a `tokenizer.json`; prompts become `length` ids, padded with the token that the file names,
    /// or `<|endoftext|>` as CLIP does.
    ///
    /// # Errors
    /// [`TextError::Tokenizer`] for anything that is not a tokenizer.
    pub fn from_bytes(bytes: Vec<u8>, length: usize) -> Result<Self, TextError> {
        Self::with_padding(bytes, length, None)
    }

    fn with_padding(bytes: Vec<u8>, length: usize, token: Option<String>) -> Result<Self, TextError> {
        let invalid = |error: tokenizers::Error| TextError::Tokenizer(error.to_string());
        let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(invalid)?;
        if let Some(token) = &token {
            // As in transformers: the token stands for padding, wherever it comes up.
            tokenizer.add_special_tokens(&[AddedToken::from(token.clone(), true)]);
        }
        let mut padding = tokenizer.get_padding().cloned().unwrap_or_else(|| {
            let token = token.unwrap_or_else(|| "<|endoftext|>".to_owned());
            let pad_id = tokenizer.token_to_id(&token).unwrap_or(0);
            PaddingParams { pad_id, pad_token: token, ..PaddingParams::default() }
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

    /// A `tokenizer_config.json` with what [`Self::load`] and transformers take from it.
    pub fn config(&self) -> Vec<u8> {
        let config = serde_json::json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": self.length,
            "pad_token": self.tokenizer.get_padding().map(|padding| &padding.pad_token),
        });
        format!("{config:#}\n").into_bytes()
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

/// `pad_token` of a `tokenizer_config.json`: a text, or an object with its `content`.
fn padding_token(config: &[u8]) -> Option<String> {
    let config: serde_json::Value = serde_json::from_slice(config).ok()?;
    let token = &config["pad_token"];
    token.as_str().or_else(|| token["content"].as_str()).map(str::to_owned)
}
