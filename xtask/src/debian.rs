//! Packages of Debian and its descendants.

use crate::command::{command, find, line, output, run};
use anyhow::Result;

/// Installs `packages` and says whether they are there now. Without the rights for it, the command is printed for
/// somebody who has them.
pub fn install(packages: &[&str]) -> Result<bool> {
    if find("apt-get").is_none() {
        println!("   this is no Debian: install {} with your own package manager", packages.join(", "));
        return Ok(false);
    }
    let options = ["install", "--yes", "--no-install-recommends"];
    let mut install = command("apt-get", options.iter().chain(packages));
    install.env("DEBIAN_FRONTEND", "noninteractive");
    if !is_root() {
        println!("   this needs root; run it yourself, then repeat the setup:");
        println!("   sudo apt-get update && sudo {}", line(&install));
        return Ok(false);
    }
    run(&mut command("apt-get", ["update"]))?;
    run(&mut install)?;
    Ok(true)
}

/// Whether this process may write to the system's folders.
pub fn is_root() -> bool {
    output(&mut command("id", ["-u"])).as_deref() == Some("0")
}
