//! The tokenizers of a model folder, one for each text encoder.

use super::{
    ModelFiles, PipelineError, TEXT_ENCODER, TOKENIZER,
    parts::ONE_MODEL,
    t5_text_encoder::{T5_OF_FLUX, T5_OF_SD3, T5Place},
    text_encoders::{self, SecondTextEncoderConfig},
};
use crate::{
    json,
    models::{clip_text::CLIPTextConfig, t5_encoder::T5Config},
    text::{PromptTokenizer, TOKENIZER_CONFIG},
};
use serde_json::Value;

/// Each set to the tokens that its text encoder reads.
#[derive(Debug)]
pub(super) struct Tokenizers {
    pub first: PromptTokenizer,
    pub second: Option<PromptTokenizer>,
    pub third: Option<PromptTokenizer>,
}

impl Tokenizers {
    /// Reads what belongs to text encoders with these configurations.
    pub fn load<F: ModelFiles + ?Sized>(
        files: &F,
        text: &CLIPTextConfig,
        second: Option<&SecondTextEncoderConfig>,
        third: Option<&T5Config>,
    ) -> Result<Self, PipelineError> {
        let first = of_clip(files, TOKENIZER, TEXT_ENCODER, text)?;
        let second = match second {
            None => None,
            Some(SecondTextEncoderConfig::Clip(config)) => {
                let tokenizer = of_clip(files, text_encoders::TOKENIZER, text_encoders::FOLDER, config)?;
                if tokenizer.length() != first.length() {
                    let problem = format!(
                        "prompts of {} tokens do not fit beside those of {} of {TOKENIZER}{ONE_MODEL}",
                        tokenizer.length(),
                        first.length()
                    );
                    return Err(PipelineError::Parts { path: text_encoders::TOKENIZER.to_owned(), problem });
                }
                Some(tokenizer)
            }
            Some(SecondTextEncoderConfig::T5(config)) => Some(of_t5(files, &T5_OF_FLUX, config)?),
        };
        let third = third.map(|config| of_t5(files, &T5_OF_SD3, config)).transpose()?;
        Ok(Self { first, second, third })
    }
}

/// Of a CLIP encoder. As in diffusers, prompts have the length that the tokenizer's configuration says; where it says none,
/// that of the encoder.
fn of_clip<F: ModelFiles + ?Sized>(
    files: &F,
    folder: &str,
    encoder: &str,
    config: &CLIPTextConfig,
) -> Result<PromptTokenizer, PipelineError> {
    let positions = config.max_position_embeddings;
    let length = model_max_length(files, folder)?.unwrap_or(positions);
    if length > positions {
        let problem = format!(
            "`model_max_length` does not fit: {length} tokens, but {encoder} has {positions} (`max_position_embeddings`){ONE_MODEL}"
        );
        return Err(PipelineError::Parts { path: format!("{folder}/{TOKENIZER_CONFIG}"), problem });
    }
    checked(PromptTokenizer::load(files, folder, length)?, folder, encoder, config.vocab_size)
}

fn of_t5<F: ModelFiles + ?Sized>(
    files: &F,
    place: &T5Place,
    config: &T5Config,
) -> Result<PromptTokenizer, PipelineError> {
    let tokenizer = PromptTokenizer::load(files, place.tokenizer, place.tokens)?;
    checked(tokenizer, place.tokenizer, place.folder, config.vocab_size)
}

/// `tokenizer`, if the vocabulary of the text encoder in the folder `encoder` has all tokens that it can give.
fn checked(
    tokenizer: PromptTokenizer,
    folder: &str,
    encoder: &str,
    vocab_size: usize,
) -> Result<PromptTokenizer, PipelineError> {
    let highest = tokenizer.highest_id()? as usize;
    if highest < vocab_size {
        return Ok(tokenizer);
    }
    let problem = format!(
        "gives ids up to {highest}, but {encoder} knows {vocab_size} tokens (`vocab_size`){ONE_MODEL}"
    );
    Err(PipelineError::Parts { path: folder.to_owned(), problem })
}

/// The longest prompt, in tokens, that `tokenizer_config.json` allows; transformers writes a number beyond all models where there
/// is no limit.
fn model_max_length<F: ModelFiles + ?Sized>(files: &F, folder: &str) -> Result<Option<usize>, PipelineError> {
    const NO_LIMIT: u64 = 1 << 20;
    let path = format!("{folder}/{TOKENIZER_CONFIG}");
    if !files.contains(&path) {
        return Ok(None);
    }
    let config: Value = json::from_slice(&files.read(&path)?)
        .map_err(|error| PipelineError::File { path: path.clone(), reason: error.to_string() })?;
    match config["model_max_length"].as_u64() {
        Some(0) => {
            let reason = "`model_max_length` is 0: no prompt fits into that".to_owned();
            Err(PipelineError::File { path, reason })
        }
        length => {
            Ok(length.filter(|length| *length < NO_LIMIT).and_then(|length| usize::try_from(length).ok()))
        }
    }
}
