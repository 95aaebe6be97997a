//! What people have in the place of a safetensors file.

use super::WeightsError;

/// How much of a text a message shows.
const SHOWN: usize = 60;

/// What a file that is no safetensors file is, by its first bytes.
pub(super) fn other_format(beginning: &[u8]) -> WeightsError {
    let other = |format, advice| WeightsError::OtherFormat { format, advice };
    match beginning {
        // A zip archive, as `torch.save` writes it, or a bare pickle.
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => WeightsError::Pickle,
        [b'G', b'G', b'U', b'F', ..] => {
            other("a GGUF file of quantised weights", "get the model as a diffusers folder in safetensors")
        }
        [0x89, b'H', b'D', b'F', ..] => other("an HDF5 file of TensorFlow", "get the model in safetensors"),
        [0x1f, 0x8b, ..] => other("a gzip archive", "unpack it"),
        [] => WeightsError::Corrupt("there is no header: the file is empty".to_owned()),
        _ => of_text(beginning),
    }
}

/// Of a text, such as what a server says instead of sending the file.
fn of_text(beginning: &[u8]) -> WeightsError {
    let whole = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        // The last character may have been cut in two.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&beginning[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => "",
    };
    let text = whole.trim_start_matches('\u{feff}').trim();
    if text.is_empty()
        || text.contains(|character: char| character.is_control() && !character.is_whitespace())
    {
        return WeightsError::Corrupt("there is no header".to_owned());
    }
    if text.starts_with("version https://git-lfs") {
        return WeightsError::Pointer;
    }
    if text.starts_with('<') {
        return WeightsError::Corrupt("it is a web page".to_owned());
    }
    let line = text.lines().next().unwrap_or_default();
    let shown: String = line.chars().take(SHOWN).collect();
    WeightsError::Corrupt(format!("it is a text, perhaps a server's answer, and begins with {shown:?}"))
}

#[cfg(test)]
mod tests {
    use super::super::WeightsFile;

    fn error(bytes: &[u8]) -> String {
        WeightsFile::from_bytes("model.safetensors", bytes.to_vec()).unwrap_err().to_string()
    }

    #[test]
    fn what_people_have_instead_is_named() {
        assert!(error(b"PK\x03\x04aaaaaaaa").contains("pickle"));
        assert!(error(b"\x80\x02}q\x00X\x01").contains("pickle"));
        assert!(error(b"version https://git-lfs.github.com/spec/v1\n").contains("git lfs pull"));
        assert!(error(b"<!DOCTYPE html>").contains("web page"));
        assert!(error(b"\n\n  <html><title>Access denied</title>").contains("web page"));
        assert!(error(b"\xef\xbb\xbf<?xml version=\"1.0\"?>").contains("web page"));
        assert!(error(b"").contains("no header"));
        assert!(error(b"\x00\x00\x00").contains("no header"));
        assert!(error(b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0").contains("GGUF"));
        assert!(error(br#"{"error":"Unauthorized"}"#).contains("server's answer"));
        let message = error(b"Entry not found");
        assert!(message.contains("begins with \"Entry not found\""), "{message}");
    }
}
