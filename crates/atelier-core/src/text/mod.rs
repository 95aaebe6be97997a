//! From prompts to token ids.

mod clip_bpe;
mod special_tokens;

use crate::{
    json,
    pipeline::{ModelFiles, PipelineError},
};
use burn::tensor::{Device, Int, Tensor, TensorData};
use special_tokens::SpecialTokens;
use thiserror::Error;
use tokenizers::{
    AddedToken, PaddingDirection, PaddingParams, PaddingStrategy, Tokenizer, TruncationDirection,
    TruncationParams,
};

/// The file beside a `tokenizer.json` that says how transformers uses it.
pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// The tokens that fill prompts up for CLIP and for T5, if a folder names none.
const CLIP_PADDING: &str = "<|endoftext|>";
const T5_PADDING: &str = "<pad>";

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
    /// have it. The token that fills prompts up, and tokens beyond the vocabulary, are those that transformers 5 takes from
    /// `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json`, the class in `model_index.json` and
    /// `tokenizer.json`.
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
            json::without_byte_order_mark(&files.read(&whole)?).to_vec()
        };
        Ok(Self::with_special_tokens(bytes, length, SpecialTokens::read(files, folder)?)?)
    }

    /// Reads the bytes of a `tokenizer.json`; prompts become `length` ids, padded with the token that the file names,
    /// or `<|endoftext|>` as CLIP does.
    ///
    /// # Errors
    /// [`TextError::Tokenizer`] for anything that is not a tokenizer.
    pub fn from_bytes(bytes: Vec<u8>, length: usize) -> Result<Self, TextError> {
        Self::with_special_tokens(bytes, length, SpecialTokens::default())
    }

    fn with_special_tokens(
        mut bytes: Vec<u8>,
        length: usize,
        special: SpecialTokens,
    ) -> Result<Self, TextError> {
        let invalid = |error: tokenizers::Error| TextError::Tokenizer(error.to_string());
        let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(invalid)?;
        let is_new = special.added.iter().any(|token| tokenizer.token_to_id(&token.content).is_none());
        tokenizer.add_tokens(&special.added);
        if is_new {
            // What is written back must know them: no other file of ours names them.
            bytes = tokenizer.to_string(false).map_err(invalid)?.into_bytes();
        }
        let is_known = |token: &str| tokenizer.token_to_id(token).is_some();
        let mut padding = tokenizer.get_padding().cloned().unwrap_or_else(|| {
            let token = [CLIP_PADDING, T5_PADDING].into_iter().find(|token| is_known(token));
            PaddingParams { pad_token: token.unwrap_or(CLIP_PADDING).to_owned(), ..PaddingParams::default() }
        });
        let default = special.class_padding.unwrap_or(&padding.pad_token);
        let default = is_known(default).then(|| AddedToken::from(default, true));
        if let Some(token) = special.padding.or(default) {
            // As in transformers: the token stands for padding, wherever it comes up.
            tokenizer.add_special_tokens(std::slice::from_ref(&token));
            padding.pad_id = tokenizer.token_to_id(&token.content).unwrap_or(padding.pad_id);
            padding.pad_token = token.content;
        }
        padding.direction = special.side.unwrap_or(padding.direction);
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

    /// How many ids every prompt becomes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The highest id that prompts can have: of the vocabulary, of padding, and of what is put around every prompt.
    ///
    /// # Errors
    /// [`TextError::Prompt`] for a tokenizer that cannot take the empty prompt.
    pub fn highest_id(&self) -> Result<u32, TextError> {
        let ids = self.ids("")?;
        let vocabulary = self.tokenizer.get_vocab(true);
        Ok(vocabulary.into_values().chain(ids).max().unwrap_or(0))
    }

    /// The file that it was read from, to be written back unchanged.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A `tokenizer_config.json` with what [`Self::load`] and transformers take from it.
    pub fn config(&self) -> Vec<u8> {
        let padding = self.tokenizer.get_padding();
        let mut config = serde_json::json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": self.length,
            "pad_token": padding.map(|padding| &padding.pad_token),
        });
        if padding.is_some_and(|padding| matches!(padding.direction, PaddingDirection::Left)) {
            config["padding_side"] = "left".into();
        }
        format!("{config:#}\n").into_bytes()
    }

    /// Ids of every prompt, `[prompts, length]`.
    ///
    /// # Errors
    /// [`TextError::Prompt`] names the prompt.
    pub fn encode(&self, prompts: &[&str], device: &Device) -> Result<Tensor<2, Int>, TextError> {
        let mut ids: Vec<i32> = Vec::with_capacity(prompts.len() * self.length);
        for prompt in prompts {
            ids.extend(self.ids(prompt)?.into_iter().map(|id| id as i32));
        }
        Ok(Tensor::from_data(TensorData::new(ids, [prompts.len(), self.length]), device))
    }

    /// As many ids as the length says.
    fn ids(&self, prompt: &str) -> Result<Vec<u32>, TextError> {
        let failed = |reason: String| TextError::Prompt { prompt: prompt.to_owned(), reason };
        let encoding = self.tokenizer.encode(prompt, true).map_err(|error| failed(error.to_string()))?;
        let ids = encoding.get_ids();
        if ids.len() == self.length {
            return Ok(ids.to_vec());
        }
        Err(failed(format!("it became {} tokens instead of {}", ids.len(), self.length)))
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
