//! The one command that says whether everything works.

use crate::{
    command::{command, run},
    lint, setup, site,
};
use anyhow::Result;

/// Installs what is missing, then checks, builds and tests everything.
pub fn all() -> Result<()> {
    setup::all()?;
    lint::all()?;
    site::build()?;
    run(&mut command("cargo", ["test", "--workspace", "--release"]))?;
    // One browser at a time: each of them would take every core. `--workspace` here too: the same features.
    let browser = ["test", "--workspace", "--release", "--test", "browser"];
    let options = ["--", "--ignored", "--skip", "screenshots", "--test-threads=1"];
    run(&mut command("cargo", browser.iter().chain(&options)))?;
    println!("\nEverything passes.");
    Ok(())
}
