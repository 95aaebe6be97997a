//! The header of a safetensors file: what the reference library (`safetensors` 0.8, `SafeTensors::read_metadata`) reads is
//! read, what it refuses is refused.

use std::collections::BTreeMap;

use safetensors::tensor::TensorInfo;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use super::other_formats::other_format;
use super::{Metadata, WeightsError};

/// The largest header that the format allows.
const LONGEST: u64 = 100_000_000;

/// How much is read of a file to recognise it.
const BEGINNING: u64 = 512;

/// The key of the strings, beside which all others are names of tensors.
const METADATA: &str = "__metadata__";

/// What a file holds, and where.
#[derive(Debug)]
pub(super) struct Header {
    /// By name; their places fill the rest of the file.
    pub tensors: BTreeMap<String, TensorInfo>,
    /// The strings.
    pub metadata: Metadata,
    /// Where the tensors begin.
    pub start: u64,
}

/// Reads the header of a file of `length` bytes, of which `read` gives those from a place on, so many.
///
/// The structure decides: eight bytes of length, then an object of JSON. What other files begin with is looked for only where
/// there is none, as the length of a sound header can look like the beginning of anything.
///
/// # Errors
/// [`WeightsError::Truncated`]; [`WeightsError::Corrupt`]; for another format what [`other_format`] calls it.
pub(super) fn read(
    length: u64,
    read: impl Fn(u64, u64) -> Result<Vec<u8>, WeightsError>,
) -> Result<Header, WeightsError> {
    let beginning = read(0, length.min(BEGINNING))?;
    let Some((announced, rest)) = beginning.split_first_chunk() else {
        return Err(other_format(&beginning));
    };
    let announced = u64::from_le_bytes(*announced);
    let is_object = rest.is_empty() || rest.trim_ascii_start().starts_with(b"{");
    if !is_object {
        return Err(other_format(&beginning));
    }
    if announced > LONGEST {
        let problem = format!("it announces a header of {announced} bytes, and {LONGEST} are the most");
        return Err(WeightsError::Corrupt(problem));
    }
    let start = 8 + announced;
    if length < start {
        return Err(WeightsError::Truncated { found: length, expected: start });
    }
    let Entries { tensors, metadata } = parse(&read(8, announced)?)?;
    let expected = start.saturating_add(end_of_last(&tensors)?);
    if length < expected {
        return Err(WeightsError::Truncated { found: length, expected });
    }
    if length > expected {
        let problem = format!("{} bytes follow the last tensor", length - expected);
        return Err(WeightsError::Corrupt(problem));
    }
    Ok(Header { tensors, metadata, start })
}

fn parse(header: &[u8]) -> Result<Entries, WeightsError> {
    let problem = match serde_json::from_slice(header) {
        Ok(entries) => return Ok(entries),
        Err(_) if is_padded_with_zeros(header) => {
            "its header is padded with zero bytes, where the format has spaces".to_owned()
        }
        Err(error) => format!("its header is unreadable, {error}"),
    };
    Err(WeightsError::Corrupt(problem))
}

fn is_padded_with_zeros(header: &[u8]) -> bool {
    let padding = header.iter().rev().take_while(|byte| **byte == 0).count();
    padding > 0 && serde_json::from_slice::<Entries>(&header[..header.len() - padding]).is_ok()
}

/// Where the last tensor ends, once it is clear that each fills its place, and that the places follow one another.
fn end_of_last(tensors: &BTreeMap<String, TensorInfo>) -> Result<u64, WeightsError> {
    let corrupt = |problem: String| Err(WeightsError::Corrupt(problem));
    let mut in_order: Vec<(&String, &TensorInfo)> = tensors.iter().collect();
    in_order.sort_by_key(|(_, tensor)| tensor.data_offsets);
    let mut end = 0;
    for (name, tensor) in in_order {
        let elements = tensor.shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        let bits = elements.and_then(|elements| elements.checked_mul(tensor.dtype.bitsize()));
        let bytes = bits.filter(|bits| bits.is_multiple_of(8)).map(|bits| bits / 8);
        let (from, to) = tensor.data_offsets;
        if bytes.is_none() || to.checked_sub(from) != bytes {
            return corrupt(format!("tensor `{name}` does not fill its place"));
        }
        if from != end {
            return corrupt(format!(
                "tensor `{name}` begins at byte {from}, but the one before it ends at {end}"
            ));
        }
        end = to;
    }
    Ok(end as u64)
}

/// The object of a header.
struct Entries {
    tensors: BTreeMap<String, TensorInfo>,
    metadata: Metadata,
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let (mut tensors, mut metadata) = (BTreeMap::new(), None);
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA {
                let strings = strings(map.next_value()?).map_err(A::Error::custom)?;
                if metadata.replace(strings).is_some() {
                    return Err(A::Error::custom(format!("`{METADATA}` is there twice")));
                }
                continue;
            }
            let tensor = serde_json::from_value::<TensorInfo>(map.next_value()?)
                .map_err(|error| A::Error::custom(format!("tensor `{name}`: {error}")))?;
            // The reference library takes the last one: the same for entries that say the same.
            let is_other = |before: &TensorInfo| {
                (before.dtype, &before.shape, before.data_offsets)
                    != (tensor.dtype, &tensor.shape, tensor.data_offsets)
            };
            if tensors.get(&name).is_some_and(is_other) {
                return Err(A::Error::custom(format!("tensor `{name}` is there twice")));
            }
            tensors.insert(name, tensor);
        }
        Ok(Entries { tensors, metadata: metadata.unwrap_or_default() })
    }
}

/// The strings of a header; it may do without any.
fn strings(value: Value) -> Result<Metadata, String> {
    let entries = match value {
        Value::Null => return Ok(Metadata::new()),
        Value::Object(entries) => entries,
        other => return Err(format!("`{METADATA}` must hold strings, and is {other}")),
    };
    let string = |(key, value): (String, Value)| match value {
        Value::String(text) => Ok((key, text)),
        other => Err(format!("`{METADATA}` must hold strings, but `{key}` is {other}")),
    };
    entries.into_iter().map(string).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Precision, TensorValues, WeightsFile, write_tensors};

    const ONE: &str = r#"{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}"#;

    fn error(bytes: &[u8]) -> String {
        WeightsFile::from_bytes("model.safetensors", bytes.to_vec()).unwrap_err().to_string()
    }

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    /// Lengths that look like other formats: `<`, and the first bytes of pickles.
    #[test]
    fn no_length_of_a_header_looks_like_another_format() {
        for length in [60, 79, 80, 316, 640, 896, 1152, 1408, 0x4b50, 65536 + 640, 65536 + 1408] {
            let header = if length < ONE.len() { "{}".to_owned() } else { ONE.to_owned() };
            let data = if length < ONE.len() { 0 } else { 16 };
            let padded = header.clone() + &" ".repeat(length - header.len());
            let file = WeightsFile::from_bytes("", file(&padded, &vec![0; data]));
            assert_eq!(file.unwrap().tensors().count(), data / 16, "{length}");
        }
    }

    proptest! {
        #[test]
        fn what_the_format_allows_is_read(note in ".{0,200}", padding in "[ \n\t]{0,300}") {
            let tensors = [("a".to_owned(), TensorValues::new(vec![2], vec![1.0, 2.0]).unwrap())].into();
            let metadata = [("note".to_owned(), note.clone())].into();
            let bytes = write_tensors(&tensors, Precision::F32, &metadata).unwrap();
            let (length, rest) = bytes.split_first_chunk().unwrap();
            let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
            let padded = file(&format!("{}{padding}", std::str::from_utf8(header).unwrap()), data);
            let read = WeightsFile::from_bytes("", padded).unwrap();
            prop_assert_eq!(&read.metadata()["note"], &note);
            prop_assert_eq!(read.read("a").unwrap(), [1.0, 2.0]);
        }

        #[test]
        fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..80), header in "[{}\\[\\]\":,a0-9 ]{0,40}") {
            let _ = WeightsFile::from_bytes("", bytes.clone());
            let _ = WeightsFile::from_bytes("", file(&header, &bytes));
        }
    }

    #[test]
    fn headers_without_metadata_are_read() {
        for metadata in [r#""__metadata__": null, "#, r#""__metadata__": {}, "#, ""] {
            let header = ONE.replacen('{', &format!("{{{metadata}"), 1);
            assert!(WeightsFile::from_bytes("", file(&header, &[0; 16])).is_ok(), "{header}");
        }
        // A model without tensors is a file, too.
        assert!(WeightsFile::from_bytes("", file("{}", &[])).is_ok());
    }

    #[test]
    fn half_a_download_says_how_much_is_there() {
        let whole = file(ONE, &[0; 16]);
        let message = error(&whole[..whole.len() - 6]);
        let (found, expected) = (whole.len() - 6, whole.len());
        assert!(message.contains(&format!("{found} of {expected} bytes")), "{message}");
        assert!(message.starts_with("model.safetensors: "), "{message}");
    }

    #[test]
    fn impossible_headers_are_refused() {
        for header in [
            r#"{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 15]}}"#,
            r#"{"a": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}}"#,
            r#"{"a": {"dtype": "F32", "shape": [18446744073709551615, 8], "data_offsets": [0, 16]}}"#,
            r#"{"a": 3}"#,
            "[]",
        ] {
            assert!(error(&file(header, &[0; 16])).contains("corrupt"), "{header}");
        }
    }

    /// What the reference library refuses, each for its reason.
    #[test]
    fn what_is_wrong_with_a_header_is_said() {
        let with = |metadata: &str| ONE.replacen('{', &format!("{{\"__metadata__\": {metadata}, "), 1);
        let twice = format!(
            "{}, \"a\": {{\"dtype\": \"F16\", \"shape\": [8], \"data_offsets\": [0, 16]}}}}",
            &ONE[..ONE.len() - 1]
        );
        let gap = ONE.replace("[0, 16]", "[16, 32]");
        for (header, data, expected) in [
            (format!("{ONE}\0\0"), 16, "padded with zero bytes"),
            (with("{\"step\": 5}"), 16, "`__metadata__` must hold strings, but `step` is 5"),
            (with("\"x\""), 16, "`__metadata__` must hold strings"),
            (with("{}").replacen('{', "{\"__metadata__\": {}, ", 1), 16, "`__metadata__` is there twice"),
            (twice, 16, "tensor `a` is there twice"),
            (gap, 32, "tensor `a` begins at byte 16"),
            (ONE.to_owned(), 20, "4 bytes follow the last tensor"),
            (ONE.replace("F32", "F33"), 16, "tensor `a`"),
        ] {
            let message = error(&file(&header, &vec![0; data]));
            assert!(message.contains(expected), "{header}: {message}");
        }
        let huge = [&(1_u64 << 40).to_le_bytes(), ONE.as_bytes()].concat();
        assert!(error(&huge).contains("a header of 1099511627776 bytes"));
    }
}
