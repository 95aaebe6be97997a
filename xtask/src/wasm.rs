//! The WebAssembly target of Rust: whether it is there, how to get it, and what a build with it needs.

use crate::{
    command::{command, find, output, root, run},
    debian,
};
use anyhow::{Context, Result, bail};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The name of the target.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// The profile of the page: checks take it too, and share build scripts and procedural macros with the build.
const PROFILE: &str = "site";

/// The toolchain that rustup knows Debian's compiler by.
const TOOLCHAIN: &str = "debian-web";

/// Where Debian's compiler looks for the standard library of the target.
const DEBIAN_LIBRARY: &str = "/usr/lib/rustlib/wasm32-unknown-unknown/lib";

/// The compiler that can build for the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiler {
    /// The one that builds everything else.
    Active,
    /// Debian's `rustc-web`, linked to rustup as `debian-web`.
    Debian,
}

/// The compiler that has the target, the active one first.
pub fn compiler() -> Option<Compiler> {
    let active = sysroot(None).map(|sysroot| sysroot.join("lib/rustlib").join(TARGET).join("lib"));
    if active.is_some_and(|library| has_standard_library(&library)) {
        Some(Compiler::Active)
    } else if has_standard_library(Path::new(DEBIAN_LIBRARY)) && sysroot(Some(TOOLCHAIN)).is_some() {
        Some(Compiler::Debian)
    } else {
        None
    }
}

/// The environment variables with which `cargo` and `trunk` build for the target: none where the active compiler has it.
///
/// # Errors
/// If no compiler has the target.
pub fn wasm_environment() -> Result<Vec<(&'static str, String)>> {
    match compiler() {
        Some(Compiler::Active) => Ok(Vec::new()),
        Some(Compiler::Debian) => Ok(vec![
            ("RUSTUP_TOOLCHAIN", TOOLCHAIN.to_owned()),
            ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker()?.display().to_string()),
        ]),
        None => bail!("no compiler here builds for {TARGET}: run `cargo xtask setup --only wasm-target`"),
    }
}

/// Checks that `packages` compile for the target, with clippy where the compiler for it has one.
///
/// # Errors
/// If they do not, or no compiler has the target.
pub fn check(packages: &[&str]) -> Result<()> {
    // Debian packages no clippy with its compiler.
    let has_clippy = compiler() == Some(Compiler::Active);
    let subcommand = if has_clippy { "clippy" } else { "check" };
    let mut check = command("cargo", [subcommand, "--profile", PROFILE, "--target", TARGET]);
    check.args(packages.iter().flat_map(|package| ["--package", package]));
    if has_clippy {
        check.args(["--", "-D", "warnings"]);
    }
    run(check.envs(wasm_environment()?))
}

/// Installs the target and says whether it is there now: through rustup, or, where its servers cannot be reached,
/// from the packages with which Debian builds its browsers.
pub fn install() -> Result<bool> {
    if find("rustup").is_some() {
        match run(&mut command("rustup", ["target", "add", TARGET])) {
            Ok(()) if compiler().is_some() => return Ok(true),
            Ok(()) => println!("   rustup added the target to another toolchain than the active one"),
            Err(error) => println!("   {error:#}"),
        }
    }
    println!("   rustup has no {TARGET} to give here; Debian's rustc-web takes its place");
    install_from_debian()
}

fn install_from_debian() -> Result<bool> {
    let needed = ["/usr/bin/rustc", "/usr/bin/cargo", "/usr/lib/rustlib/src/rust/library/std"];
    let is_there = needed.iter().all(|path| Path::new(path).exists());
    if !is_there && !debian::install(&["rustc-web", "cargo-web", "rust-web-src"])? {
        return Ok(false);
    }
    if !has_standard_library(Path::new(DEBIAN_LIBRARY)) {
        if !debian::is_root() {
            println!("   {DEBIAN_LIBRARY} can be written by root alone: repeat the setup as root");
            return Ok(false);
        }
        build_standard_library().context("building the standard library for WebAssembly")?;
    }
    run(&mut command("rustup", ["toolchain", "link", TOOLCHAIN, "/usr"]))?;
    Ok(compiler() == Some(Compiler::Debian))
}

/// Debian ships the source of the standard library, but not compiled for this target. An empty crate is enough to
/// have cargo compile it.
fn build_standard_library() -> Result<()> {
    let folder = env::temp_dir().join(format!("atelier-wasm-std-{}", std::process::id()));
    fs::create_dir_all(folder.join("src"))?;
    let manifest = "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n";
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::write(folder.join("src/lib.rs"), "")?;

    let arguments = ["build", "--release", "--target", TARGET, "-Zbuild-std=std,panic_abort"];
    let mut build = command("/usr/bin/cargo", arguments);
    build.current_dir(&folder);
    // The compiler is a stable one; this variable lets it take the flag that builds its own library.
    build
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", "/usr/bin/rustc")
        .env("CARGO_TARGET_DIR", folder.join("target"));
    let built = run(&mut build)
        .and_then(|()| copy_libraries(&folder.join("target").join(TARGET).join("release/deps")));
    fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    built
}

fn copy_libraries(from: &Path) -> Result<()> {
    println!("   copying the libraries into {DEBIAN_LIBRARY}");
    fs::create_dir_all(DEBIAN_LIBRARY)?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".rlib") && !name.starts_with("libempty-") {
            fs::copy(&file, Path::new(DEBIAN_LIBRARY).join(&*name))
                .with_context(|| format!("copying {} into {DEBIAN_LIBRARY}", file.display()))?;
        }
    }
    Ok(())
}

fn has_standard_library(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.filter_map(Result::ok).any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

fn sysroot(toolchain: Option<&str>) -> Option<PathBuf> {
    let mut rustc = command("rustc", ["--print", "sysroot"]);
    if let Some(toolchain) = toolchain {
        rustc.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    output(&mut rustc).map(PathBuf::from)
}

/// The linker that every toolchain of rustup brings along; Debian has it in another package, in another version.
fn linker() -> Result<PathBuf> {
    let host = output(&mut command("rustc", ["-vV"])).unwrap_or_default();
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let sysroot = sysroot(None).context("`rustc --print sysroot` fails: is Rust installed?")?;
    let linker = sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
    if linker.exists() {
        Ok(linker)
    } else {
        bail!("{} is missing: `rustup update` repairs it", linker.display())
    }
}

/// The version of wasm-bindgen in `Cargo.lock`: its command-line tool must be of exactly this one.
pub fn bindgen_version() -> Result<String> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).context("reading Cargo.lock")?;
    locked_version(&lock, "wasm-bindgen")
        .context("Cargo.lock has no package wasm-bindgen: run `cargo metadata`")
}

fn locked_version(lock: &str, package: &str) -> Option<String> {
    let (_, entry) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    Some(entry.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_package_itself() {
        let lock = "name = \"wasm-bindgen-futures\"\nversion = \"0.4.1\"\n\nname = \"wasm-bindgen\"\nversion = \"0.2.9\"\n";
        assert_eq!(locked_version(lock, "wasm-bindgen").as_deref(), Some("0.2.9"));
        assert_eq!(locked_version(lock, "wasm"), None);
    }

    #[test]
    fn trunk_is_told_the_locked_version() {
        let configuration = fs::read_to_string(root().join("trunk.toml")).unwrap();
        let expected = format!("wasm_bindgen = \"{}\"", bindgen_version().unwrap());
        assert!(configuration.contains(&expected), "trunk.toml should have `{expected}`");
    }

    #[test]
    fn a_standard_library_is_one_of_rust() {
        let folder = env::temp_dir().join(format!("atelier-xtask-test-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("libstd_detect-1.rlib"), "").unwrap();
        assert!(!has_standard_library(&folder));
        fs::write(folder.join("libstd-1.rlib"), "").unwrap();
        assert!(has_standard_library(&folder));
        fs::remove_dir_all(&folder).unwrap();
        assert!(!has_standard_library(&folder));
    }
}
