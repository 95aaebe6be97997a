//! Which tokens a folder adds to a tokenizer, and which one fills prompts up, as transformers 5 reads it.

use super::{CLIP_PADDING, T5_PADDING, TOKENIZER_CONFIG};
use crate::{
    json,
    pipeline::{ModelFiles, PipelineError},
};
use serde_json::{Map, Value};
use tokenizers::{AddedToken, PaddingDirection};

/// The file that named the special tokens before `tokenizer_config.json` did.
const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";

/// The file that had the tokens of textual inversion before `tokenizer_config.json` had them.
const ADDED_TOKENS: &str = "added_tokens.json";

/// What the files beside a `tokenizer.json` say of it.
#[derive(Debug, Default)]
pub(super) struct SpecialTokens {
    /// Tokens beyond the vocabulary, by their number.
    pub added: Vec<AddedToken>,
    /// The token that fills prompts up, if these files name one.
    pub padding: Option<AddedToken>,
    /// That of the tokenizer's class, which goes before that of `tokenizer.json`.
    pub class_padding: Option<&'static str>,
    /// The side that is filled up, if it is said.
    pub side: Option<PaddingDirection>,
}

impl SpecialTokens {
    /// Reads the files in `folder`. With `added_tokens_decoder`, which newer versions of transformers write,
    /// `tokenizer_config.json` says everything; without, `special_tokens_map.json` goes before it.
    ///
    /// # Errors
    /// [`PipelineError::File`] names a file that is no JSON object.
    pub fn read<F: ModelFiles + ?Sized>(files: &F, folder: &str) -> Result<Self, PipelineError> {
        let config = object(files, &format!("{folder}/{TOKENIZER_CONFIG}"))?;
        let mut padding = token(config.get("pad_token"));
        let mut added: Vec<(u64, AddedToken)>;
        if let Some(Value::Object(decoder)) = config.get("added_tokens_decoder") {
            let entry = |(id, value): (&String, &Value)| Some((id.parse().ok()?, token(Some(value))?));
            added = decoder.iter().filter_map(entry).collect();
        } else {
            let map = object(files, &format!("{folder}/{SPECIAL_TOKENS_MAP}"))?;
            padding = token(map.get("pad_token")).or(padding);
            let ids = object(files, &format!("{folder}/{ADDED_TOKENS}"))?;
            let entry = |(text, id): (&String, &Value)| Some((id.as_u64()?, AddedToken::from(text, false)));
            added = ids.iter().filter_map(entry).collect();
        }
        added.sort_by_key(|(id, _)| *id);
        let side = match config.get("padding_side").and_then(Value::as_str) {
            Some("left") => Some(PaddingDirection::Left),
            Some("right") => Some(PaddingDirection::Right),
            _ => None,
        };
        let added = added.into_iter().map(|(_, token)| token).collect();
        Ok(Self { added, padding, class_padding: class_padding(files, folder, &config), side })
    }
}

/// The padding of the tokenizer's class, which is in `model_index.json` or else in its configuration.
fn class_padding<F: ModelFiles + ?Sized>(
    files: &F,
    folder: &str,
    config: &Map<String, Value>,
) -> Option<&'static str> {
    let index = object(files, "model_index.json").unwrap_or_default();
    let class = index.get(folder).and_then(|part| part.get(1)?.as_str());
    let class = class.or_else(|| config.get("tokenizer_class")?.as_str())?;
    match class {
        "CLIPTokenizer" | "CLIPTokenizerFast" => Some(CLIP_PADDING),
        "T5Tokenizer" | "T5TokenizerFast" => Some(T5_PADDING),
        // Classes without a default take that of `tokenizer.json`.
        _ => None,
    }
}

/// A token: a text, or an object with its `content` and how it is found in a prompt.
fn token(value: Option<&Value>) -> Option<AddedToken> {
    match value? {
        Value::String(text) => Some(AddedToken::from(text, true)),
        Value::Object(object) => {
            let flag = |key: &str| object.get(key).and_then(Value::as_bool);
            let content = object.get("content")?.as_str()?;
            let plain = AddedToken::from(content, flag("special").unwrap_or(true));
            Some(AddedToken {
                single_word: flag("single_word").unwrap_or(plain.single_word),
                lstrip: flag("lstrip").unwrap_or(plain.lstrip),
                rstrip: flag("rstrip").unwrap_or(plain.rstrip),
                normalized: flag("normalized").unwrap_or(plain.normalized),
                ..plain
            })
        }
        _ => None,
    }
}

/// The object in the JSON file at `path`; an empty one if there is no such file.
fn object<F: ModelFiles + ?Sized>(files: &F, path: &str) -> Result<Map<String, Value>, PipelineError> {
    if !files.contains(path) {
        return Ok(Map::new());
    }
    json::from_slice(&files.read(path)?).map_err(|error| PipelineError::File {
        path: path.to_owned(),
        reason: format!("is not the JSON object that transformers writes: {error}"),
    })
}
