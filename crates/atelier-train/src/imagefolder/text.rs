//! Text files as people's editors leave them.

use super::ImageFolderError;
use std::{fs, ops::Range, path::Path};

/// The mark that some Windows programs begin UTF-8 files with.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

/// The text of the file at `path`, with a byte order mark if it has one.
///
/// # Errors
/// [`ImageFolderError::Encoding`] names other encodings than UTF-8 and what to do.
pub fn read(path: &Path) -> Result<String, ImageFolderError> {
    let bytes = fs::read(path).map_err(|source| ImageFolderError::Read { path: path.to_owned(), source })?;
    decode(bytes).map_err(|(line, reason)| ImageFolderError::Encoding { path: path.to_owned(), line, reason })
}

/// The text, or the first line that is not UTF-8 with the reason.
fn decode(bytes: Vec<u8>) -> Result<String, (usize, String)> {
    let convert = |name: &str, option: &str| {
        format!("this file is {name}; save it as UTF-8, for instance with `iconv -f {option} -t UTF-8`")
    };
    // Without a mark: half of the bytes of Latin letters are zero.
    let zeros = bytes.iter().take(64).filter(|&&byte| byte == 0).count();
    let is_utf_16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    if is_utf_16 || 3 * zeros >= bytes.len().min(64) && zeros > 0 {
        return Err((1, convert("UTF-16, as Notepad and PowerShell may write it", "UTF-16")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let before = String::from_utf8_lossy(&bytes[..valid]);
        let name = format!("not UTF-8 (byte {:#04x}), but probably Latin-1 or Windows-1252", bytes[valid]);
        (line_at(&before, before.len()), convert(&name, "WINDOWS-1252"))
    })
}

/// The lines of `text` with their numbers, from 1, and where they are, without their ends: `\n`, `\r\n` or `\r`.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, Range<usize>)> {
    let mut start = 0;
    let ranges = std::iter::from_fn(move || {
        if start >= text.len() {
            return None;
        }
        let end = text[start..].find(['\n', '\r']).map_or(text.len(), |length| start + length);
        let range = start..end;
        start = end + if text[end..].starts_with("\r\n") { 2 } else { 1 };
        Some(range)
    });
    (1..).zip(ranges)
}

/// The number of the line, from 1, that byte `position` of `text` is in.
pub fn line_at(text: &str, position: usize) -> usize {
    let before = &text[..position];
    1 + before.matches('\n').count() + before.matches('\r').count() - before.matches("\r\n").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_three_ways() {
        let text = "a\r\nb\nc\rd\n\n";
        let found: Vec<_> = lines(text).map(|(line, range)| (line, &text[range])).collect();
        assert_eq!(found, [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "")]);
        for (line, range) in lines(text) {
            assert_eq!(line_at(text, range.start), line);
        }
        assert_eq!(lines("").count(), 0);
        assert_eq!(lines("a").count(), 1);
    }

    #[test]
    fn other_encodings_are_named() {
        assert_eq!(decode("\u{feff}é".into()).expect("UTF-8"), "\u{feff}é");
        let (line, reason) = decode(b"one\r\ntwo\rcaf\xe9\n".to_vec()).expect_err("Latin-1");
        assert!(line == 3 && reason.contains("0xe9") && reason.contains("WINDOWS-1252"), "{line}: {reason}");
        for start in [&b""[..], b"\xff\xfe"] {
            let units = "{\"file_name\": 1}".encode_utf16().flat_map(u16::to_le_bytes);
            let bytes = start.iter().copied().chain(units).collect();
            assert!(decode(bytes).expect_err("UTF-16").1.contains("UTF-16"));
        }
    }
}
