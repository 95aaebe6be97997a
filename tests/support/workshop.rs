//! A folder with data, models and the runs of training between them.

use super::{atelier, error_of, succeed};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

/// A flag with its value.
type Flag = [&'static str; 2];

/// What every run takes if a test does not say otherwise.
const DEFAULTS: [Flag; 3] = [["--device", "cpu"], ["--size", "32"], ["--validation-steps", "0"]];

/// The seed of paintings and runs. No test may hold by luck: `ATELIER_TEST_SEED` runs all of them with another one.
fn seed() -> String {
    std::env::var("ATELIER_TEST_SEED").unwrap_or_else(|_| "1".to_owned())
}

/// A temporary folder whose `data` runs are trained on.
pub struct Workshop {
    folder: tempfile::TempDir,
    defaults: Vec<Flag>,
}

impl Workshop {
    /// Without data; runs take `defaults`.
    pub fn empty(defaults: &[Flag]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, defaults: [defaults, &DEFAULTS].concat() }
    }

    /// With tiny studio paintings as data.
    pub fn with_paintings(count: &str, defaults: &[Flag]) -> Self {
        let workshop = Self::empty(defaults);
        let (data, seed) = (workshop.text("data"), seed());
        succeed(&["studio", "paint", "--count", count, "--size", "32", "--seed", &seed, "--out", &data]);
        workshop
    }

    /// The path of something in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same as text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// `atelier train RUN` on the data into the folder `out`; flags in `more` replace the defaults.
    pub fn command(&self, run: &str, out: &str, more: &[&str]) -> Command {
        let (data, out) = (self.text("data"), self.text(out));
        let mut arguments = vec!["train", run, "--data", &data, "--output-dir", &out];
        let seed = seed();
        if !more.contains(&"--seed") {
            arguments.extend(["--seed", &seed]);
        }
        arguments.extend(self.defaults.iter().filter(|[flag, _]| !more.contains(flag)).flatten());
        arguments.extend(more);
        atelier(&arguments)
    }

    /// Runs it; it must succeed.
    pub fn train(&self, run: &str, out: &str, more: &[&str]) {
        let output = self.command(run, out, more).output().expect("the binary runs");
        assert!(output.status.success(), "{run} {more:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs it; it must fail. Gives exit code and message.
    pub fn error(&self, run: &str, out: &str, more: &[&str]) -> (Option<i32>, String) {
        error_of(&mut self.command(run, out, more))
    }
}

/// The folder of the small painter.
pub fn painter() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/painter")
}

/// The bytes of the tensors in a safetensors file, by name.
pub fn tensors(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let file = std::fs::read(path).expect("weights");
    let (length, rest) = file.split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
    let (header, data) = rest.split_at(usize::try_from(length).expect("a length"));
    let header: BTreeMap<String, Value> = serde_json::from_slice(header).expect("JSON");
    let tensors = header.into_iter().filter(|(name, _)| name != "__metadata__");
    tensors
        .map(|(name, info)| {
            let offset = |i: usize| info["data_offsets"][i].as_u64().expect("an offset") as usize;
            (name, data[offset(0)..offset(1)].to_vec())
        })
        .collect()
}
