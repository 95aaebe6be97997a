//! `--lora FILE[:SCALE]`.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

/// A LoRA and its strength.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraArgument {
    /// A file, or a folder with one.
    pub path: PathBuf,
    /// Multiplies what the LoRA adds; finite.
    pub scale: f64,
}

impl FromStr for LoraArgument {
    type Err = String;

    /// Names may have colons themselves: the longest one that is there counts, and what follows must be a number. Where none
    /// is there, the message about that is to name what was meant: all but a number at the end.
    fn from_str(text: &str) -> Result<Self, String> {
        let whole = [(text, None)];
        let splits = text.rmatch_indices(':').map(|(at, _)| (&text[..at], Some(&text[at + 1..])));
        let found = whole.into_iter().chain(splits).find(|(path, _)| Path::new(path).exists());
        let (path, scale) = match found {
            Some((path, None)) => (path, 1.0),
            Some((path, Some(scale))) => (path, number(path, scale)?),
            None => match text.rsplit_once(':') {
                Some((path, scale)) if looks_like_a_number(scale) => (path, number(path, scale)?),
                _ => (text, 1.0),
            },
        };
        if path.is_empty() {
            return Err("the name of a file is missing; write FILE or FILE:SCALE".to_owned());
        }
        Ok(Self { path: path.into(), scale })
    }
}

fn number(path: &str, scale: &str) -> Result<f64, String> {
    let number = scale.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| {
        format!(
            "`{scale}` is no scale; write a finite number with a point after the last colon, as in {path}:0.8"
        )
    })
}

fn looks_like_a_number(text: &str) -> bool {
    text.trim().replace(',', ".").parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, f64), String> {
        text.parse().map(|LoraArgument { path, scale }| (path.display().to_string(), scale))
    }

    #[test]
    fn a_number_after_the_last_colon_is_the_scale() {
        for (text, path, scale) in [
            ("nowhere.safetensors", "nowhere.safetensors", 1.0),
            ("nowhere.safetensors:0.8", "nowhere.safetensors", 0.8),
            ("nowhere.safetensors:-.5", "nowhere.safetensors", -0.5),
            ("C:\\loras\\a.safetensors:1e-1", "C:\\loras\\a.safetensors", 0.1),
            ("C:\\loras\\a.safetensors", "C:\\loras\\a.safetensors", 1.0),
            ("a:0.5.safetensors", "a:0.5.safetensors", 1.0),
        ] {
            assert_eq!(parse(text), Ok((path.to_owned(), scale)), "{text}");
        }
    }

    #[test]
    fn names_that_are_there_may_have_colons() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        for name in ["v1:2", "a:0.5.safetensors", "ma lora \u{e9}.safetensors"] {
            std::fs::write(path(name), "").expect("written");
            assert_eq!(parse(&path(name)), Ok((path(name), 1.0)));
            assert_eq!(parse(&format!("{}:0.3", path(name))), Ok((path(name), 0.3)));
            for wrong in ["0,8", "nan", "inf", "-Infinity", "", " 0.8", "strong", "0.5:0.8"] {
                let error = parse(&format!("{}:{wrong}", path(name))).expect_err("is refused");
                assert!(error.contains(&format!("`{wrong}` is no scale")), "{error}");
                assert!(error.contains(&format!("{}:0.8", path(name))), "{error}");
            }
        }
    }

    #[test]
    fn scales_that_are_none_are_refused_whatever_is_there() {
        for text in ["nowhere:nan", "nowhere:inf", "nowhere:0,8", "nowhere:1e999"] {
            assert!(parse(text).expect_err("is refused").contains("nowhere:0.8"), "{text}");
        }
        for text in ["", ":0.8"] {
            assert!(parse(text).expect_err("is refused").contains("FILE:SCALE"), "{text}");
        }
    }
}
