//! `--device` with several devices: every run of training, resuming, and bad lists.

mod support;

use std::{fs, path::PathBuf};
use support::{atelier, error_of, succeed};

/// The weights of an adapter, in the output folder of its run.
const LORA: &str = "pytorch_lora_weights.safetensors";

/// Runs of training on a few tiny paintings.
struct Workshop {
    folder: tempfile::TempDir,
}

impl Workshop {
    fn new() -> Self {
        let workshop = Self { folder: tempfile::tempdir().expect("a folder") };
        let data = workshop.text("data");
        succeed(&["studio", "paint", "--count", "10", "--size", "32", "--seed", "1", "--out", &data]);
        workshop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// `atelier train RUN` into the folder `out`.
    fn arguments(&self, run: &str, out: &str, devices: &str, batch: &str, more: &[&str]) -> Vec<String> {
        let (data, out) = (self.text("data"), self.text(out));
        let mut arguments = vec!["train", run, "--data", &data, "--output-dir", &out, "--size", "32"];
        arguments.extend(["--device", devices, "--train-batch-size", batch, "--validation-steps", "0"]);
        arguments.into_iter().chain(more.iter().copied()).map(str::to_owned).collect()
    }

    fn succeed(&self, run: &str, out: &str, devices: &str, batch: &str, more: &[&str]) {
        let arguments = self.arguments(run, out, devices, batch, more);
        succeed(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Whether a file is the same in the output folders of two runs.
    fn agree(&self, file: &str, [one, other]: [&str; 2]) {
        let [one, other] = [one, other].map(|out| fs::read(self.path(out).join(file)).expect("weights"));
        assert!(one == other, "{file} differs");
    }
}

/// One device computes its batch in two parts by default: these are the parts of two devices with half the batch each, and
/// so the weights are the same to the last bit.
#[test]
fn two_devices_are_one_with_twice_the_batch() {
    let workshop = Workshop::new();
    let steps = ["--autoencoder-steps", "2", "--max-train-steps", "2"];
    workshop.succeed("pretrain", "base-one", "cpu", "4", &steps);
    workshop.succeed("pretrain", "base-two", "cpu,cpu", "2", &steps);
    for part in ["vae", "unet"] {
        let file = format!("model/{part}/diffusion_pytorch_model.safetensors");
        workshop.agree(&file, ["base-one", "base-two"]);
    }

    let base = workshop.text("base-one/model");
    let adapter = ["--model", &base, "--lora-rank", "2", "--max-train-steps", "3"];
    workshop.succeed("sft", "auxiliary-one", "cpu", "4", &adapter);
    workshop.succeed("sft", "auxiliary-two", "cpu,cpu", "2", &adapter);
    workshop.agree(LORA, ["auxiliary-one", "auxiliary-two"]);

    let auxiliary = workshop.text("auxiliary-one");
    let aligned = [&adapter[..], &["--auxiliary", &auxiliary]].concat();
    workshop.succeed("cpo", "aligned-one", "cpu", "4", &aligned);
    workshop.succeed("cpo", "aligned-two", "cpu,cpu", "2", &aligned);
    workshop.agree(LORA, ["aligned-one", "aligned-two"]);
    let config = fs::read_to_string(workshop.path("aligned-two/config.toml")).expect("written");
    assert!(config.contains("device = \"cpu,cpu\""), "{config}");

    // From a checkpoint of one device, on two.
    let halfway = [&aligned[..], &["--checkpointing-steps", "2"]].concat();
    workshop.succeed("cpo", "resumed", "cpu", "4", &halfway);
    fs::remove_file(workshop.path("resumed").join(LORA)).expect("the result");
    workshop.succeed("cpo", "resumed", "cpu,cpu", "2", &[&halfway[..], &["--resume"]].concat());
    workshop.agree(LORA, ["aligned-one", "resumed"]);
}

#[test]
fn a_list_with_a_mistake_names_it() {
    for (devices, named) in [("cpu,gpu", "\"gpu\" is no device"), ("auto,cpu", "auto chooses one device")] {
        let (code, message) = error_of(&mut atelier(&["train", "sft", "--device", devices]));
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains(named), "{message}");
    }
    let (code, message) = error_of(&mut atelier(&["sample", "--prompt", "sea", "--device", "cpu,cpu"]));
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("is no device"), "{message}");
}
