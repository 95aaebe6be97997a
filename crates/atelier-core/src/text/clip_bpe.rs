//! CLIP's tokenizer as older model folders have it: `vocab.json` and `merges.txt`.

use super::TextError;
use crate::json::from_slice;
use serde_json::{Map, Value, json};

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// CLIP's own expression: contractions, words, single digits, and runs of anything else.
const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// The `tokenizer.json` that transformers' `CLIPTokenizer` amounts to.
///
/// # Errors
/// [`TextError::Vocabulary`] says which file is not as it should be, and where.
pub(super) fn tokenizer_json(vocabulary: &[u8], merges: &[u8]) -> Result<Vec<u8>, TextError> {
    let invalid = |file: &str, problem: String| TextError::Vocabulary { file: file.to_owned(), problem };
    let vocabulary: Map<String, Value> =
        from_slice(vocabulary).map_err(|error| invalid("vocab.json", error.to_string()))?;
    let id = |token: &str| {
        vocabulary
            .get(token)
            .and_then(Value::as_u64)
            .ok_or_else(|| invalid("vocab.json", format!("lacks the token {token}")))
    };
    let (start, end) = (id(START)?, id(END)?);
    let merges = std::str::from_utf8(merges).map_err(|error| invalid("merges.txt", error.to_string()))?;
    let mut pairs = Vec::new();
    for (number, line) in merges.lines().enumerate() {
        if line.starts_with("#version") || line.trim().is_empty() {
            continue;
        }
        if line.split(' ').count() != 2 {
            return Err(invalid("merges.txt", format!("line {}: {line:?} is no pair", number + 1)));
        }
        pairs.push(line);
    }
    let special = |id: u64, token: &str| {
        json!({
            "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(start, START), special(end, END)],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                { "type": "NFC" },
                { "type": "Replace", "pattern": { "Regex": r"\s+" }, "content": " " },
                { "type": "Lowercase" },
            ],
        },
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                { "type": "Split", "pattern": { "Regex": WORDS }, "behavior": "Removed", "invert": true },
                { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
            ],
        },
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": [END, end],
            "cls": [START, start],
            "trim_offsets": false,
            "add_prefix_space": false,
        },
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": END,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>",
            "fuse_unk": false,
            "byte_fallback": false,
            "vocab": vocabulary,
            "merges": pairs,
        },
    });
    Ok(tokenizer.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let vocabulary = br#"{"<|startoftext|>": 0, "<|endoftext|>": 1}"#;
        let error = |vocabulary: &[u8], merges: &str| {
            tokenizer_json(vocabulary, merges.as_bytes()).unwrap_err().to_string()
        };
        assert!(error(b"{}", "").contains("lacks the token <|startoftext|>"));
        assert!(error(vocabulary, "#version: 0.2\na b\nabc\n").contains("merges.txt: line 3"));
        assert!(tokenizer_json(vocabulary, b"#version: 0.2\n\n").is_ok());
    }
}
