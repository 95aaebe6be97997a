//! A word-level tokenizer for models that are trained from nothing.
//!
//! The vocabulary of captions and criteria is a few hundred words, so whole words as tokens are enough and keep prompts
//! short. The result is an ordinary `tokenizer.json` of Hugging Face's `tokenizers`.

use crate::atomic::{self, AtomicError};
use atelier_criteria::CriteriaTree;
use std::{collections::HashMap, path::Path};
use thiserror::Error;
use tokenizers::{
    AddedToken, NormalizedString, Normalizer, OffsetReferential, OffsetType, PaddingParams, PaddingStrategy,
    PreTokenizedString, PreTokenizer, SplitDelimiterBehavior, Tokenizer, TruncationParams,
    models::wordlevel::WordLevel,
    normalizers::Lowercase,
    pre_tokenizers::{punctuation::Punctuation, sequence::Sequence, whitespace::WhitespaceSplit},
    processors::template::TemplateProcessing,
};

/// Begins every prompt.
pub const START: &str = "<|startoftext|>";
/// Ends every prompt; the text encoder's pooled output is read here.
pub const END: &str = "<|endoftext|>";
/// Fills prompts up to the fixed length.
pub const PAD: &str = "<|pad|>";
/// Stands for a word that is not in the vocabulary.
pub const UNKNOWN: &str = "<|unk|>";

/// Ids are the positions.
const SPECIAL: [&str; 4] = [START, END, PAD, UNKNOWN];
pub(crate) const PAD_ID: u32 = 2;

/// What the prompt template adds to captions and phrases.
const TEMPLATE: [&str; 2] = ["positive", "negative"];
/// Marks that captions and prompts may use.
const MARKS: &str = "| : , . - '";

/// A tokenizer could not be built or saved.
#[derive(Debug, Error)]
pub enum TokenizerError {
    /// The length leaves no room for a word between start and end.
    #[error(
        "prompts of {0} tokens have no room for a word between {START} and {END}: the length must be at least 3"
    )]
    Length(usize),
    /// The `tokenizers` crate refused something.
    #[error("the tokenizer cannot be built: {0}")]
    Build(#[from] tokenizers::Error),
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] AtomicError),
}

/// Builds a tokenizer that knows every word of `texts` and gives `max_length` ids for every prompt.
///
/// Texts are lower-cased and split at white space and around every punctuation mark. The special tokens have the ids 0 to
/// 3 ([`START`], [`END`], [`PAD`], [`UNKNOWN`]), words follow by falling frequency, equal ones by alphabet: the same texts
/// give the same file, in any order.
///
/// # Errors
/// [`TokenizerError::Length`] if `max_length` is under 3.
pub fn build_tokenizer<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    max_length: usize,
) -> Result<Tokenizer, TokenizerError> {
    if max_length < 3 {
        return Err(TokenizerError::Length(max_length));
    }
    let splitter = Sequence::new(vec![
        WhitespaceSplit.into(),
        Punctuation::new(SplitDelimiterBehavior::Isolated).into(),
    ]);
    let words = words_by_frequency(texts, &splitter)?;
    let vocabulary = SPECIAL.into_iter().map(str::to_owned).chain(words).zip(0..).collect();
    let model = WordLevel::builder().vocab(vocabulary).unk_token(UNKNOWN.to_owned()).build()?;
    let template = TemplateProcessing::builder()
        .try_single(format!("{START} $A {END}"))
        .map_err(tokenizers::Error::from)?
        .special_tokens(vec![(START, 0), (END, 1)])
        .build()
        .map_err(|error| tokenizers::Error::from(error.to_string()))?;
    let padding = PaddingParams {
        strategy: PaddingStrategy::Fixed(max_length),
        pad_id: PAD_ID,
        pad_token: PAD.to_owned(),
        ..PaddingParams::default()
    };
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(Lowercase))
        .with_pre_tokenizer(Some(splitter))
        .with_post_processor(Some(template))
        .with_padding(Some(padding))
        .with_truncation(Some(TruncationParams { max_length, ..TruncationParams::default() }))?;
    tokenizer.add_special_tokens(&SPECIAL.map(|token| AddedToken::from(token, true)));
    Ok(tokenizer)
}

/// The different words of `texts`, the most frequent first, equal ones by alphabet.
fn words_by_frequency<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    splitter: &Sequence,
) -> Result<Vec<String>, TokenizerError> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for text in texts {
        let mut text = NormalizedString::from(text);
        Lowercase.normalize(&mut text)?;
        let mut pieces = PreTokenizedString::from(text);
        splitter.pre_tokenize(&mut pieces)?;
        for (word, ..) in pieces.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            *counts.entry(word.to_owned()).or_default() += 1;
        }
    }
    let mut words: Vec<(String, usize)> = counts.into_iter().collect();
    words.sort_unstable_by(|(word, count), (other, count_of_other)| {
        count_of_other.cmp(count).then_with(|| word.cmp(other))
    });
    Ok(words.into_iter().map(|(word, _)| word).collect())
}

/// Texts with every word that a prompt of `tree` may have: both phrases of every leaf and the words of the template.
/// Captions come on top.
pub fn vocabulary_texts(tree: &CriteriaTree) -> Vec<String> {
    let phrases =
        tree.leaves().iter().flat_map(|leaf| [leaf.positive.phrase.clone(), leaf.negative.phrase.clone()]);
    phrases.chain(TEMPLATE.map(str::to_owned)).chain([MARKS.to_owned()]).collect()
}

/// Writes `tokenizer/tokenizer.json` into the model folder `model`.
///
/// # Errors
/// [`TokenizerError::Write`] names the file.
pub fn save_tokenizer(tokenizer: &Tokenizer, model: &Path) -> Result<(), TokenizerError> {
    let json = tokenizer.to_string(true)?;
    let path = model.join("tokenizer").join("tokenizer.json");
    Ok(atomic::write_file(&path, |writer| writer.write_all(json.as_bytes()))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
        tokenizer.encode(text, true).expect("encoded").get_ids().to_vec()
    }

    #[test]
    fn words_are_sorted_by_frequency_then_alphabet() {
        let tokenizer = build_tokenizer(["a sea, a Shore", "the sea; a boat"], 8).expect("built");
        let words: Vec<String> = (0..12).filter_map(|id| tokenizer.id_to_token(id)).collect();
        assert_eq!(words, [START, END, PAD, UNKNOWN, "a", "sea", ",", ";", "boat", "shore", "the"]);
        assert_eq!(tokenizer.get_vocab_size(true), 11);
    }

    #[test]
    fn prompts_are_framed_padded_and_cut() {
        let tokenizer = build_tokenizer(["a sea shore"], 6).expect("built");
        let [a, sea, shore] = ["a", "sea", "shore"].map(|word| tokenizer.token_to_id(word).expect("known"));
        assert_eq!(ids(&tokenizer, ""), [0, 1, 2, 2, 2, 2]);
        assert_eq!(ids(&tokenizer, "A SEA"), [0, a, sea, 1, 2, 2]);
        assert_eq!(ids(&tokenizer, "a sea shore a sea shore"), [0, a, sea, shore, a, 1]);
        assert_eq!(ids(&tokenizer, "a mountain"), [0, a, 3, 1, 2, 2]);
    }

    #[test]
    fn too_short_a_length_is_refused() {
        assert!(matches!(build_tokenizer(["a"], 2), Err(TokenizerError::Length(2))));
    }

    #[test]
    fn every_phrase_of_the_tree_is_known() {
        let texts = vocabulary_texts(CriteriaTree::embedded());
        let tokenizer = build_tokenizer(texts.iter().map(String::as_str), 64).expect("built");
        let template = "| positive: , . | negative: -";
        for text in texts.iter().map(String::as_str).chain([template]) {
            assert!(!ids(&tokenizer, text).contains(&3), "{text:?} has an unknown word");
        }
    }

    #[test]
    fn a_saved_tokenizer_reads_back_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let tokenizer = build_tokenizer(["a well-lit sea, at dusk"], 12).expect("built");
        save_tokenizer(&tokenizer, folder.path()).expect("saved");
        let read = Tokenizer::from_file(folder.path().join("tokenizer/tokenizer.json")).expect("read");
        let text = "a well-lit dusk, at sea";
        assert_eq!(ids(&read, text), ids(&tokenizer, text));
        assert_eq!(read.decode(&ids(&read, text), true).expect("decoded"), "a well - lit dusk , at sea");
    }

    proptest! {
        #[test]
        fn order_of_texts_does_not_matter(
            mut texts in prop::collection::vec("[a-d ,.|]{0,12}", 0..8).prop_shuffle(),
        ) {
            let build = |texts: &[String]| {
                build_tokenizer(texts.iter().map(String::as_str), 8).expect("built").to_string(false).expect("json")
            };
            let first = build(&texts);
            texts.reverse();
            prop_assert_eq!(first, build(&texts));
        }

        #[test]
        fn every_text_has_the_fixed_length(text in any::<String>(), length in 3..20_usize) {
            let tokenizer = build_tokenizer([text.as_str()], length).expect("built");
            let ids = ids(&tokenizer, &text);
            prop_assert_eq!(ids.len(), length);
            prop_assert_eq!(ids[0], 0);
            prop_assert!(ids.contains(&1));
        }
    }
}
