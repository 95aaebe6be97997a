//! Everything that can be checked without running the program.

use crate::{
    command::{command, run},
    wasm,
};
use anyhow::Result;
use clap::ValueEnum;

/// What `cargo xtask lint` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Makes these checks alone, such as `--only format,clippy`; all of them without this option.
    #[arg(long, value_enum, value_name = "CHECKS", value_delimiter = ',')]
    only: Vec<Check>,
}

/// One check, cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Check {
    /// rustfmt would change nothing.
    Format,
    /// clippy has nothing to say about any target.
    Clippy,
    /// Documentation builds without a warning.
    Documentation,
    /// The crates of the page compile for WebAssembly without a warning: nothing native crept in.
    Wasm,
}

/// Makes the chosen checks.
pub fn chosen(arguments: &Arguments) -> Result<()> {
    let all = Check::value_variants();
    let chosen = if arguments.only.is_empty() { all } else { &arguments.only };
    chosen.iter().try_for_each(|check| check.make())
}

/// Every check with its name, cheapest first.
pub fn checks() -> impl Iterator<Item = (String, impl FnOnce() -> Result<()>)> {
    let name = |check: Check| {
        check.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    };
    Check::value_variants().iter().map(move |&check| (name(check), move || check.make()))
}

impl Check {
    fn make(self) -> Result<()> {
        match self {
            Self::Format => run(&mut command("cargo", ["fmt", "--all", "--check"])),
            // All native steps take `--workspace --release`, as the tests do: the same features, so that no
            // dependency is compiled for one step alone. Clippy's metadata serves the documentation too.
            Self::Clippy => {
                let arguments =
                    ["clippy", "--workspace", "--all-targets", "--release", "--", "-D", "warnings"];
                run(&mut command("cargo", arguments))
            }
            Self::Documentation => {
                let mut document = command("cargo", ["doc", "--workspace", "--no-deps", "--release"]);
                run(document.env("RUSTDOCFLAGS", "-D warnings"))
            }
            // A check, not a build: minutes instead of twenty, and enough to find what a browser lacks.
            Self::Wasm => {
                wasm::check(&["atelier-criteria", "atelier-core", "atelier-web-page", "atelier-web-worker"])
            }
        }
    }
}
