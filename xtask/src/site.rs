//! The page, as a folder of static files.

use crate::{
    command::{command, find, root, run},
    wasm,
};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What servers compress with, best last, and the arguments that make it write to the standard output.
const COMPRESSORS: [(&str, &[&str]); 2] = [("gzip", &["-9", "-c"]), ("brotli", &["-q", "11", "-c"])];

/// Builds the page into `dist/` and prints how large its files are.
pub fn build() -> Result<()> {
    let mut trunk = command("trunk", ["--config", "trunk.toml", "build", "--release"]);
    // Trunk takes the variable for a flag of its own and stops at any value but `true` or `false`.
    trunk.env_remove("NO_COLOR").envs(wasm::wasm_environment()?);
    run(&mut trunk).context("`cargo xtask setup` installs what the page is built with")?;
    report(&root().join("dist"))
}

fn report(folder: &Path) -> Result<()> {
    let compressors: Vec<_> =
        COMPRESSORS.into_iter().filter(|(program, _)| find(program).is_some()).collect();
    println!("\n{:<44}{:>12}{}", "kB of dist/", "raw", headings(&compressors));
    let mut totals = vec![0; compressors.len() + 1];
    for file in files(folder)? {
        let mut sizes = vec![fs::metadata(&file)?.len()];
        for (program, arguments) in &compressors {
            sizes.push(compressed(&file, program, arguments)?);
        }
        totals.iter_mut().zip(&sizes).for_each(|(total, size)| *total += size);
        let name = file.strip_prefix(folder).unwrap_or(&file).display().to_string();
        println!("{}", row(&name, &sizes));
    }
    println!("{}", row("together", &totals));
    Ok(())
}

fn headings(compressors: &[(&str, &[&str])]) -> String {
    compressors.iter().map(|(program, _)| format!("{program:>12}")).collect()
}

fn row(name: &str, sizes: &[u64]) -> String {
    let sizes: String = sizes.iter().map(|&size| format!("{:>12.1}", size as f64 / 1000.0)).collect();
    format!("{name:<44}{sizes}")
}

/// Every file below `folder`, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

/// The size of `file` in bytes after `program` compressed it.
fn compressed(file: &Path, program: &str, arguments: &[&str]) -> Result<u64> {
    let output = Command::new(program)
        .args(arguments)
        .arg(file)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("running {program}"))?;
    anyhow::ensure!(output.status.success(), "{program} could not compress {}", file.display());
    Ok(output.stdout.len() as u64)
}
