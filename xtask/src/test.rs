//! The one command that says whether everything works.

use crate::{
    command::{command, run},
    lint, setup,
};
use anyhow::Result;

/// Installs what is missing, then checks and tests everything.
pub fn all() -> Result<()> {
    setup::install(&setup::FOR_TESTS)?;
    lint::all()?;
    run(&mut command("cargo", ["test", "--workspace", "--release"]))?;
    println!("\nEverything passes.");
    Ok(())
}
