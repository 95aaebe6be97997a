//! Installing what the other tasks need.

use crate::{
    command::{command, find, output, run},
    debian, wasm,
};
use anyhow::Result;
use clap::ValueEnum;

/// Trunk 0.22 needs a newer Rust than the workspace does.
const TRUNK: &str = "0.21.14";

/// What `cargo xtask setup` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Installs these parts alone, such as `--only wasm-target,trunk`; everything without this option.
    #[arg(long, value_enum, value_name = "PARTS", value_delimiter = ',')]
    only: Vec<Part>,
}

/// Something that can be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// rustfmt and clippy, for `lint`.
    Components,
    /// The WebAssembly target of Rust, for `lint` and `site`.
    WasmTarget,
    /// wasm-bindgen's command-line tool in the version of Cargo.lock, for `site` (3 minutes).
    WasmBindgen,
    /// Trunk, which puts the page together, for `site` (5 minutes).
    Trunk,
    /// Chromium and its driver, for the tests of the page.
    Chromium,
}

/// Installs the chosen parts.
pub fn chosen(arguments: &Arguments) -> Result<()> {
    if arguments.only.is_empty() { all() } else { install(&arguments.only) }
}

/// Installs every part; the tests need them all.
pub fn all() -> Result<()> {
    install(Part::value_variants())
}

/// Installs what is missing of `parts`, and says at the end what still is.
fn install(parts: &[Part]) -> Result<()> {
    let mut missing = Vec::new();
    for &part in parts {
        let (what, is_there) = part.inspect()?;
        if is_there {
            println!("== {what}: is there");
        } else {
            println!("== {what}: installing");
            if !part.install()? {
                missing.push(what);
            }
        }
    }
    if !missing.is_empty() {
        println!("\nStill missing: {}. What to do is said above.", missing.join("; "));
    }
    Ok(())
}

impl Part {
    /// What it is for people, and whether it is there.
    fn inspect(self) -> Result<(String, bool)> {
        Ok(match self {
            Self::Components => {
                ("rustfmt and clippy".to_owned(), runs("cargo", "fmt") && runs("cargo", "clippy"))
            }
            Self::WasmTarget => (format!("Rust's target {}", wasm::TARGET), wasm::compiler().is_some()),
            Self::WasmBindgen => {
                let version = wasm::bindgen_version()?;
                (format!("wasm-bindgen {version}"), is_version("wasm-bindgen", &version))
            }
            Self::Trunk => (format!("trunk {TRUNK}"), is_version("trunk", TRUNK)),
            Self::Chromium => {
                let name = "Chromium and its driver".to_owned();
                (name, find("chromium").is_some() && find("chromedriver").is_some())
            }
        })
    }

    /// Installs it and says whether it is there now; `false` if somebody else has to act.
    fn install(self) -> Result<bool> {
        match self {
            Self::Components => succeeds(&["rustup", "component", "add", "rustfmt", "clippy"]),
            Self::WasmTarget => wasm::install(),
            // Not `--locked`: the tool's own lock file pins versions that have since been withdrawn.
            Self::WasmBindgen => install_tool("wasm-bindgen-cli", &wasm::bindgen_version()?, &[], "1"),
            // It copies files and starts programs: optimising it would take minutes and save none.
            Self::Trunk => install_tool("trunk", TRUNK, &["--locked"], "0"),
            Self::Chromium => debian::install(&["chromium", "chromium-driver"]),
        }
    }
}

/// Runs a command of Rust's own tools, which need no rights.
fn succeeds(words: &[&str]) -> Result<bool> {
    run(&mut command(words[0], &words[1..]))?;
    Ok(true)
}

/// Has cargo build `tool` from its source, with `level` of optimisation, and without what it would speak to other machines
/// with: here it only works on files.
fn install_tool(tool: &str, version: &str, more: &[&str], level: &str) -> Result<bool> {
    let arguments = ["install", tool, "--version", version, "--no-default-features"];
    let mut install = command("cargo", arguments.iter().chain(more));
    install.envs([
        ("CARGO_PROFILE_RELEASE_LTO", "off"),
        ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", level),
    ]);
    // What installs a tool would otherwise leave its gigabyte of object files beside ours.
    install.env_remove("CARGO_TARGET_DIR");
    run(&mut install)?;
    Ok(true)
}

fn runs(program: &str, subcommand: &str) -> bool {
    output(&mut command(program, [subcommand, "--version"])).is_some()
}

fn is_version(program: &str, version: &str) -> bool {
    let answer = output(&mut command(program, ["--version"])).unwrap_or_default();
    answer.split_whitespace().nth(1) == Some(version)
}
