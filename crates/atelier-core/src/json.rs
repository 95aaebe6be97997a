//! JSON as it is found in model folders, which is not always what the standard asks for.

use serde::de::DeserializeOwned;
use std::borrow::Cow;

/// The byte order mark that some editors put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Numbers that Python's `json` module writes and reads, though JSON has none of them. The longer name comes first.
const NOT_FINITE: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// `bytes` without the byte order mark before them, if there is one: JSON parsers refuse it.
pub fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// `text` with `NaN`, `Infinity` and `-Infinity`, where Python wrote them as numbers, as texts of that name.
///
/// What stands within texts is left alone.
pub fn with_quoted_non_finite(text: &str) -> Cow<'_, str> {
    if !NOT_FINITE.iter().any(|name| text.contains(name)) {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    let (mut rest, mut within_text) = (text, false);
    while let Some(first) = rest.chars().next() {
        let name = NOT_FINITE.into_iter().find(|name| !within_text && rest.starts_with(name));
        let length = match (name, first) {
            (Some(name), _) => name.len(),
            // The next character is no end of the text.
            (None, '\\') => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            (None, _) => first.len_utf8(),
        };
        within_text ^= name.is_none() && first == '"';
        let (part, after) = rest.split_at(length);
        match name {
            Some(name) => quoted.extend(["\"", name, "\""]),
            None => quoted.push_str(part),
        }
        rest = after;
    }
    Cow::Owned(quoted)
}

/// Reads JSON, also after a byte order mark.
///
/// # Errors
/// What `serde_json` finds, with line and column.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(without_byte_order_mark(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_byte_order_mark_is_skipped_once() {
        assert_eq!(without_byte_order_mark("\u{feff}{}".as_bytes()), b"{}");
        assert_eq!(without_byte_order_mark(b"{}"), b"{}");
        assert_eq!(without_byte_order_mark(b"\xef\xbb"), b"\xef\xbb");
    }

    #[test]
    fn numbers_that_are_none_become_texts() {
        for (python, json) in [
            (r#"{"a":-Infinity, "b": [NaN,Infinity]}"#, r#"{"a":"-Infinity", "b": ["NaN","Infinity"]}"#),
            (r#"{"NaN": "\"-Infinity\\", "b": NaN}"#, r#"{"NaN": "\"-Infinity\\", "b": "NaN"}"#),
            (r#"{"a": 1}"#, r#"{"a": 1}"#),
        ] {
            assert_eq!(with_quoted_non_finite(python), json);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_kept_as_it_is(text: String) {
            let json = serde_json::json!({ "key": format!("NaN {text} -Infinity") }).to_string();
            prop_assert_eq!(with_quoted_non_finite(&json), json.as_str());
        }

        #[test]
        fn nothing_panics(text in r#"(NaN|-Infinity|\\|"|é|[^a]){0,12}"#) {
            with_quoted_non_finite(&text);
        }
    }
}
