//! `atelier sample` with the small painter: seeds, latents, adapters, and bad input.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};
use support::{atelier, error_of, succeed};

/// Few steps: the tests look at bytes, not at beauty.
const QUICK: [&str; 8] =
    ["--prompt", "a seascape with a beach at dawn", "--steps", "2", "--size", "64x48", "--device", "cpu"];

fn sample(out: &Path, more: &[&str]) {
    let out = out.display().to_string();
    succeed(&[&["sample"], &QUICK[..], &["--out", &out], more].concat());
}

fn refused(more: &[&str]) -> (Option<i32>, String) {
    error_of(&mut atelier(&[&["sample"], &QUICK[..], more].concat()))
}

fn pixels(path: PathBuf) -> Vec<u8> {
    image::open(path).expect("a picture").into_rgb8().into_raw()
}

#[test]
fn a_seed_gives_its_picture_wherever_it_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let [several, single] = ["several", "single"].map(|name| folder.path().join(name));
    sample(&several, &["--count", "3", "--seed", "5", "--batch", "2"]);
    sample(&single, &["--seed", "7"]);
    let picture = pixels(several.join("00002-7.png"));
    assert_eq!(picture, pixels(single.join("00000-7.png")));
    assert_ne!(picture, pixels(several.join("00001-6.png")));
    assert_eq!(image::image_dimensions(single.join("00000-7.png")).expect("a picture"), (64, 48));
    // A second run adds to the folder.
    sample(&single, &["--seed", "7"]);
    assert_eq!(picture, pixels(single.join("00001-7.png")));
    let bytes = fs::read(single.join("00001-7.png")).expect("a file");
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("a seascape with a beach at dawn\nSteps: 2, Sampler: DDPM, CFG scale: 2, Seed: 7"));
}

#[test]
fn latents_are_written_and_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let more = ["--count", "2", "--scheduler", "ddim"];
    sample(folder.path(), &[&more[..], &["--save-latents", &file("a.safetensors")]].concat());
    let from_file = ["--latents", &file("a.safetensors"), "--save-latents", &file("b.safetensors")];
    sample(folder.path(), &[&more[..], &from_file].concat());
    sample(folder.path(), &[&more[..], &from_file].concat());
    let (first, second) =
        (pixels(folder.path().join("00002-0.png")), pixels(folder.path().join("00004-0.png")));
    assert_eq!(first, second);
    assert_ne!(first, pixels(folder.path().join("00000-0.png")));
    let (code, message) = refused(&["--latents", &file("a.safetensors")]);
    assert_eq!(code, Some(1));
    assert!(
        message.contains("has shape [2, 4, 12, 16], but 1 pictures of 64x48 pixels need [1, 4, 12, 16]"),
        "{message}"
    );
}

/// The small painter as a folder.
fn painter() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/painter").to_owned()
}

#[test]
fn a_negative_model_takes_the_place_of_the_model_for_the_negative_prompt() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    // An adapter that makes the denoiser another one: each of its terms is drawn at random when training starts, and one
    // step makes the product of both unlike zero.
    let data = file("data");
    succeed(&["studio", "paint", "--count", "10", "--size", "32", "--out", &data]);
    let train =
        ["train", "align", "--objective", "sft", "--data", &data, "--model", &painter(), "--size", "32"];
    let steps =
        ["--max-train-steps", "1", "--lr-warmup-steps", "0", "--learning-rate", "0.1", "--lora-rank", "8"];
    let rest = [
        "--lr-scheduler",
        "constant",
        "--validation-steps",
        "0",
        "--device",
        "cpu",
        "--output-dir",
        &file("npo"),
    ];
    succeed(&[&train[..], &steps[..], &rest[..]].concat());
    let of = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        sample(&out, more);
        pixels(out.join("00000-0.png"))
    };
    let plain = of("plain", &[]);
    let itself = of("itself", &["--negative-model", &painter()]);
    // Two prompts in one batch or in two: the last digits differ, and a level of 255 with them.
    assert!(plain.iter().zip(&itself).all(|(a, b)| a.abs_diff(*b) <= 1));
    let other = of("other", &["--negative-model", &file("npo")]);
    assert!(plain.iter().zip(&other).any(|(a, b)| a.abs_diff(*b) > 8));
    let (code, message) = refused(&["--negative-model", &painter(), "--guidance", "1"]);
    assert!(code == Some(2) && message.contains("take a scale above 1"), "{code:?} {message}");
}

/// A LoRA on one layer of the tiny Stable Diffusion.
fn write_lora(file: &Path) {
    let layer = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q";
    let header = serde_json::json!({
        format!("{layer}.lora_A.weight"): {"dtype": "F32", "shape": [1, 16], "data_offsets": [0, 64]},
        format!("{layer}.lora_B.weight"): {"dtype": "F32", "shape": [16, 1], "data_offsets": [64, 128]},
    });
    let header = header.to_string();
    let values = (0..32).flat_map(|value| (value as f32 / 32.0).to_le_bytes());
    let bytes = (header.len() as u64).to_le_bytes().into_iter().chain(header.bytes()).chain(values);
    fs::write(file, bytes.collect::<Vec<u8>>()).expect("written");
}

#[test]
fn a_picture_has_all_that_paints_it_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../atelier-core/tests/fixtures/pipelines/sd");
    for name in ["style.safetensors", "soft, warm.safetensors"] {
        write_lora(&folder.path().join(name));
    }
    let [style, soft] = ["style.safetensors:0.7", "soft, warm.safetensors:-0.25"].map(path);
    let common = [
        "sample", "--model", model, "--prompt", "a boat", "--steps", "1", "--size", "16x16", "--device",
        "cpu",
    ];
    let text_of = |out: &str, number: &str, more: &[&str]| {
        succeed(&[&common[..], &["--out", &path(out)], more].concat());
        let bytes = fs::read(folder.path().join(out).join(number)).expect("a picture");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let text =
        text_of("plain", "00000-0.png", &["--count", "2", "--save-latents", &path("noise.safetensors")]);
    assert!(
        text.contains("a boat\nSteps: 1, ") && !text.contains("lora") && !text.contains("Clip skip"),
        "{text}"
    );
    let more =
        ["--lora", &style, "--lora", &soft, "--clip-skip", "1", "--negative-model", model, "--count", "2"];
    let latents = ["--latents", &path("noise.safetensors")];
    let text = text_of("all", "00001-1.png", &[&more[..], &latents].concat());
    for part in [
        "a boat <lora:style:0.7> <lora:soft_ warm:-0.25>\nSteps: 1, Sampler: ",
        ", Seed: 1, Size: 16x16, Model: sd, Clip skip: 2, Negative model: sd, Initial latents: noise.safetensors, ",
        ", Initial latents row: 1, Lora hashes: \"style: ",
        r#", Lora names: "[\"style\",\"soft, warm\"]""#,
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn what_cannot_be_painted_is_said() {
    for (more, code, expected) in [
        (["--size", "100x64"], 2, "both sides must be multiples of 8"),
        (["--seed", "9223372036854775808"], 2, "below 2^63"),
        (["--seed", "-1"], 2, "unexpected argument '-1'"),
        (["--count", "0"], 2, "--count must be at least 1"),
        (["--scheduler", "flow-match-euler"], 1, "trained by diffusion; choose ddpm"),
        (["--true-cfg-scale", "2"], 2, "this one has --guidance"),
        (["--scheduler", "heun"], 2, "choose ddpm, ddim, euler, dpm-solver or flow-match-euler"),
        (["--lora", "nowhere.safetensors:0.5"], 1, "nowhere.safetensors"),
        (["--model", "nowhere"], 1, "a diffusers model folder is expected"),
    ] {
        // A flag may stand once.
        let quick = QUICK.chunks(2).filter(|pair| pair[0] != more[0]).flatten().copied();
        let words: Vec<&str> = ["sample"].into_iter().chain(quick).chain(more).collect();
        let (found, message) = error_of(&mut atelier(&words));
        assert!(found == Some(code) && message.contains(expected), "{found:?} {message}");
    }
}
