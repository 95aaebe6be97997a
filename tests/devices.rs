//! `--device` with several devices: every run of training, resuming, and bad lists.

mod support;

use std::fs;
use support::{atelier, error_of, workshop::Workshop};

/// The weights of an adapter, in the output folder of its run.
const LORA: &str = "pytorch_lora_weights.safetensors";

/// Whether a file is the same in the output folders of two runs.
fn agree(workshop: &Workshop, file: &str, [one, other]: [&str; 2]) {
    let [one, other] = [one, other].map(|out| fs::read(workshop.path(out).join(file)).expect("weights"));
    assert!(one == other, "{file} differs");
}

/// One device computes its batch in two parts by default: these are the parts of two devices with half the batch each, and
/// so the weights are the same to the last bit.
#[test]
fn two_devices_are_one_with_twice_the_batch() {
    let workshop = Workshop::with_paintings("10", &[]);
    let train = |run: &str, out: &str, devices: &str, batch: &str, more: &[&str]| {
        workshop.train(run, out, &[&["--device", devices, "--train-batch-size", batch], more].concat());
    };
    let steps = ["--autoencoder-steps", "2", "--max-train-steps", "2"];
    train("pretrain", "base-one", "cpu", "4", &steps);
    train("pretrain", "base-two", "cpu,cpu", "2", &steps);
    for part in ["vae", "unet"] {
        let file = format!("model/{part}/diffusion_pytorch_model.safetensors");
        agree(&workshop, &file, ["base-one", "base-two"]);
    }

    let base = workshop.text("base-one/model");
    let adapter = ["--model", &base, "--lora-rank", "2", "--max-train-steps", "3"];
    train("sft", "auxiliary-one", "cpu", "4", &adapter);
    train("sft", "auxiliary-two", "cpu,cpu", "2", &adapter);
    agree(&workshop, LORA, ["auxiliary-one", "auxiliary-two"]);

    let auxiliary = workshop.text("auxiliary-one");
    let aligned = [&adapter[..], &["--auxiliary", &auxiliary]].concat();
    train("cpo", "aligned-one", "cpu", "4", &aligned);
    train("cpo", "aligned-two", "cpu,cpu", "2", &aligned);
    agree(&workshop, LORA, ["aligned-one", "aligned-two"]);
    let config = fs::read_to_string(workshop.path("aligned-two/config.toml")).expect("written");
    assert!(config.contains("device = \"cpu,cpu\""), "{config}");

    // From a checkpoint of one device, on two.
    let halfway = [&aligned[..], &["--checkpointing-steps", "2"]].concat();
    train("cpo", "resumed", "cpu", "4", &halfway);
    fs::remove_file(workshop.path("resumed").join(LORA)).expect("the result");
    train("cpo", "resumed", "cpu,cpu", "2", &[&halfway[..], &["--resume"]].concat());
    agree(&workshop, LORA, ["aligned-one", "resumed"]);
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
