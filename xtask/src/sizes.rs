//! How much of the page a visitor downloads.

use crate::files::{address, below, read};
use anyhow::{Context, Result, bail};
use std::path::Path;

/// The worker's module for browsers with another extension is downloaded instead of the plain one.
const INSTEAD: &str = "relaxed-simd/";

/// What all WebAssembly that a browser loads may take together, in bytes with brotli: a second on a connection of 24 Mbit/s.
const BUDGET: u64 = 3_000_000;

/// The size of a file of the page, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    /// Where it is in the folder of the page.
    name: String,
    /// As it is.
    raw: u64,
    /// As good servers send it. Models have none: numbers hardly shrink, and compressing them takes a minute.
    brotli: Option<u64>,
}

/// The sizes of all files in `folder`.
pub fn of(folder: &Path) -> Result<Vec<Size>> {
    let measure = |file: std::path::PathBuf| {
        let name = address(&file, folder);
        let content = read(&file)?;
        let brotli = if name.starts_with("models/") { None } else { Some(compressed(&content)?) };
        Ok(Size { name, raw: content.len() as u64, brotli })
    };
    below(folder)?.into_iter().map(measure).collect()
}

/// The size of `content` with brotli's best compression.
fn compressed(content: &[u8]) -> Result<u64> {
    let mut compressed = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 24, ..Default::default() };
    brotli::BrotliCompress(&mut &*content, &mut compressed, &parameters)
        .context("compressing with brotli")?;
    Ok(compressed.len() as u64)
}

/// The sizes as a table in kB, with the sums of the page and of the models.
pub fn table(sizes: &[Size]) -> String {
    let kilobytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1000.0);
    let row = |name: &str, raw: u64, brotli: Option<u64>| {
        let brotli = brotli.map(kilobytes).unwrap_or_default();
        format!("{name:<64}{:>12}{brotli:>12}\n", kilobytes(raw))
    };
    let (page, models): (Vec<_>, Vec<_>) = sizes.iter().partition(|size| size.brotli.is_some());
    let sum = |sizes: &[&Size]| sizes.iter().map(|size| size.raw).sum();
    let mut table = format!("{:<64}{:>12}{:>12}\n", "kB of dist/", "raw", "brotli");
    for Size { name, raw, brotli } in sizes {
        table += &row(name, *raw, *brotli);
    }
    table += &row("the page", sum(&page), page.iter().map(|size| size.brotli).sum());
    table += &row("the models", sum(&models), None);
    table
}

/// Fails if the WebAssembly among `sizes` is larger than it may be.
pub fn check(sizes: &[Size]) -> Result<()> {
    let (instead, plain): (Vec<_>, Vec<_>) = sizes
        .iter()
        .filter(|size| size.name.ends_with(".wasm"))
        .map(|size| (size.brotli.unwrap_or(size.raw), &size.name))
        .partition(|(_, name)| name.starts_with(INSTEAD));
    let replaced = |name: &String| instead.iter().any(|(_, other)| other.strip_prefix(INSTEAD) == Some(name));
    let others = plain.iter().filter(|(_, name)| !replaced(name));
    check_modules(instead.iter().chain(others).copied().collect())?;
    check_modules(plain.clone())
}

fn check_modules(mut modules: Vec<(u64, &String)>) -> Result<()> {
    let together: u64 = modules.iter().map(|(bytes, _)| bytes).sum();
    if together <= BUDGET {
        return Ok(());
    }
    modules.sort_by(|a, b| b.cmp(a));
    let each: Vec<_> = modules.iter().map(|(bytes, name)| format!("{name} {bytes}")).collect();
    bail!(
        "the WebAssembly takes {together} bytes with brotli, {} more than its budget of {BUDGET}: {}. \
         `twiggy top` on the modules says what fills it",
        together - BUDGET,
        each.join(", ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(name: &str, raw: u64, brotli: Option<u64>) -> Size {
        Size { name: name.to_owned(), raw, brotli }
    }

    #[test]
    fn the_budget_is_for_all_modules_together() {
        let sizes = |worker| {
            [
                size("page_bg.wasm", 900_000, Some(300_000)),
                size("worker_bg.wasm", 9_000_000, Some(worker)),
                size("page.js", 9_000_000, Some(9_000_000)),
                size("models/unet", 9_000_000, None),
            ]
        };
        assert!(check(&sizes(2_700_000)).is_ok());
        let message = check(&sizes(2_700_001)).unwrap_err().to_string();
        assert!(
            message.contains("3000001 bytes with brotli, 1 more than its budget of 3000000"),
            "{message}"
        );
        assert!(message.contains("worker_bg.wasm 2700001, page_bg.wasm 300000."), "{message}");
    }

    #[test]
    fn a_browser_loads_one_of_two_modules() {
        let sizes = |relaxed| {
            [
                size("page_bg.wasm", 900_000, Some(300_000)),
                size("relaxed-simd/worker_bg.wasm", 9_000_000, Some(relaxed)),
                size("worker_bg.wasm", 9_000_000, Some(2_700_000)),
            ]
        };
        assert!(check(&sizes(2_700_000)).is_ok());
        let message = check(&sizes(2_700_001)).unwrap_err().to_string();
        assert!(message.contains("relaxed-simd/worker_bg.wasm 2700001, page_bg.wasm 300000."), "{message}");
    }

    #[test]
    fn files_are_measured_and_models_are_not_compressed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("models")).unwrap();
        std::fs::write(folder.path().join("a.js"), "abc".repeat(1000)).unwrap();
        std::fs::write(folder.path().join("models/b"), "abc").unwrap();
        let sizes = of(folder.path()).unwrap();
        assert_eq!(sizes[1], size("models/b", 3, None));
        assert!(
            sizes[0].raw == 3000 && sizes[0].brotli.is_some_and(|bytes| 0 < bytes && bytes < 100),
            "{sizes:?}"
        );
        let table = table(&sizes);
        assert!(table.lines().any(|line| line.starts_with("a.js ") && line.contains(" 3.0 ")), "{table}");
    }
}
