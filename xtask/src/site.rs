//! The page, as a folder of static files.

use crate::{
    command::{command, output, root, run},
    files::below,
    manifest, service_worker, sizes, wasm,
};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Builds the page into `dist/`, prints how large its files are, and fails if they are larger than they may be.
pub fn build() -> Result<()> {
    forget_old_snippets()?;
    let mut trunk = command("trunk", ["--config", "trunk.toml", "build", "--release"]);
    // Trunk takes the variable for a flag of its own and stops at any value but `true` or `false`.
    trunk.env_remove("NO_COLOR").envs(wasm::wasm_environment()?);
    run(&mut trunk).context("`cargo xtask setup` installs what the page is built with")?;
    let folder = root().join("dist");
    build_relaxed_worker(&folder)?;
    remove_what_nobody_loads(&folder)?;
    service_worker::complete(&folder)?;
    let sizes = sizes::of(&folder)?;
    println!("\n{}", sizes::table(&sizes));
    sizes::check(&sizes)
}

/// The worker's module once more, for browsers that fuse products and sums: trunk can build a program in one way only.
/// `web/worker.js` chooses.
fn build_relaxed_worker(folder: &Path) -> Result<()> {
    const NAME: &str = "atelier-web-worker";
    let arguments = ["build", "--profile", "site", "--target", wasm::TARGET, "--features", "relaxed-simd"];
    let mut build = command("cargo", arguments);
    // From its own folder, as trunk does: cargo then enables the same features of everything else.
    build.current_dir(root().join("web/worker"));
    run(build.envs(wasm::wasm_environment()?))?;
    let module = target_folder()?.join(wasm::TARGET).join("site").join(format!("{NAME}.wasm"));
    let mut bindgen = command("wasm-bindgen", ["--target", "web", "--no-typescript", "--out-name", NAME]);
    run(bindgen.arg("--out-dir").arg(folder.join("relaxed-simd")).arg(module))
}

/// wasm-bindgen leaves the snippets of earlier builds in its folder, and trunk copies whatever is there.
fn forget_old_snippets() -> Result<()> {
    let folder = target_folder()?.join("wasm-bindgen/release/snippets");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    Ok(())
}

fn target_folder() -> Result<PathBuf> {
    let metadata = output(&mut command("cargo", ["metadata", "--format-version", "1", "--no-deps"]));
    let metadata: serde_json::Value = serde_json::from_str(&metadata.unwrap_or_default())
        .context("`cargo metadata` fails; run it to see why")?;
    metadata["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .context("`cargo metadata` names no target folder")
}

/// Trunk copies the folder of the models with what is written for people in it.
fn remove_what_nobody_loads(folder: &Path) -> Result<()> {
    for file in below(&folder.join("models"))?.iter().filter(|file| manifest::is_for_people(file)) {
        fs::remove_file(file).with_context(|| format!("removing {}", file.display()))?;
    }
    Ok(())
}
