//! Names that files speak of: whoever wrote them may have meant harm.

/// Whether `name`, relative to a folder with `/` between its parts, stays in that folder on every system: no `..`, no drive, no
/// root, no backslash, which Windows takes for a `/`.
pub fn is_inside(name: &str) -> bool {
    !name.contains(['\\', ':', '\0']) && name.split('/').all(|part| !part.is_empty() && part != "..")
}

/// Whether links leave the file `name` of `folder` in it, or lead to a blob of the hub's cache, `models--OWNER--NAME/blobs/HASH`. A
/// file that is not there goes nowhere.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn links_stay_inside(folder: &std::path::Path, name: &str) -> bool {
    let (Ok(folder), Ok(file)) = (folder.canonicalize(), folder.join(name).canonicalize()) else {
        return true;
    };
    let mut above = file.ancestors().skip(1).map(|parent| parent.file_name().unwrap_or_default());
    let is_blob = above.next().is_some_and(|name| name == "blobs")
        && above.next().is_some_and(|name| name.to_string_lossy().starts_with("models--"));
    file.starts_with(&folder) || is_blob
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_are_recognised() {
        for name in
            ["a.safetensors", "shards/a-00001-of-00002.safetensors", "..a", "a..", "./a", "模型.safetensors"]
        {
            assert!(is_inside(name), "{name}");
        }
        for name in [
            "",
            "..",
            "../a",
            "a/../../b",
            "a/..",
            "/etc/passwd",
            "a//b",
            "C:\\a",
            "C:a",
            "..\\a",
            "a\\..\\b",
            "a\0b",
        ] {
            assert!(!is_inside(name), "{name}");
        }
    }
}
