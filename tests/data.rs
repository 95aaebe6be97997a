//! How pictures become training data: sizes, buckets, random views, and the cache on the disk.

mod support;

use image::{Rgb, RgbImage};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};
use support::{atelier, workshop::Workshop};

const CLEAN: &str = "color-relations.purity.mixture.cleanliness.clean";
const LEVEL: &str = "composition.division.horizon.levelness.level";

/// Pictures of three shapes, four of each, and a tiny model.
fn workshop() -> Workshop {
    let workshop = Workshop::empty(&[["--train-batch-size", "3"]]);
    let train = workshop.path("data/train");
    fs::create_dir_all(&train).expect("made");
    let mut metadata = String::new();
    for (shape, size) in [[60, 20], [20, 60], [40, 40]].into_iter().enumerate() {
        for index in 0..4 {
            let name = format!("{shape}-{index}.png");
            paint(&train.join(&name), size, 60 * index as u8);
            let (positive, negative) = ([CLEAN], [LEVEL]);
            let side = if index == 0 { "on the left" } else { "" };
            let text = format!("a tree {side}").trim().to_owned();
            let record = serde_json::json!({
                "file_name": name, "text": text, "positive": positive, "negative": negative
            });
            metadata += &format!("{record}\n");
        }
    }
    fs::write(train.join("metadata.jsonl"), metadata).expect("written");
    workshop.train("pretrain", "base", &["--autoencoder-steps", "2", "--max-train-steps", "2"]);
    workshop
}

/// Runs `atelier train RUN`; gives all that it logs.
fn logged(workshop: &Workshop, run: &str, out: &str, more: &[&str]) -> String {
    let output = workshop.command(run, out, more).env("RUST_LOG", "atelier=info").output();
    let output = output.expect("the binary runs");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{log}");
    without_colours(&log)
}

/// Stage 1; gives its log.
fn sft(workshop: &Workshop, out: &str, more: &[&str]) -> String {
    let base = workshop.text("base/model");
    logged(workshop, "sft", out, &[&["--model", &base][..], more].concat())
}

fn weights(workshop: &Workshop, out: &str) -> Vec<u8> {
    let file = "model/unet/diffusion_pytorch_model.safetensors";
    fs::read(workshop.path(out).join(file)).expect("weights")
}

/// A picture that differs from its mirror image and from place to place.
fn paint(path: &Path, [width, height]: [u32; 2], blue: u8) {
    let picture = RgbImage::from_fn(width, height, |x, y| {
        Rgb([(255 * x / width) as u8, (255 * y / height) as u8, blue])
    });
    picture.save(path).expect("written");
}

fn without_colours(log: &str) -> String {
    let mut plain = String::new();
    let mut rest = log;
    while let Some((before, escape)) = rest.split_once('\u{1b}') {
        plain += before;
        rest = escape.split_once('m').map_or("", |(_, after)| after);
    }
    plain + rest
}

/// The files below `folder` with their contents and times.
fn files(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            let modified = entry.metadata().and_then(|file| file.modified()).expect("a time");
            found.insert(entry.path(), (fs::read(entry.path()).expect("readable"), modified));
        }
    }
    found
}

#[test]
fn pictures_of_three_shapes_train_in_buckets_and_resume_to_the_same_bits() {
    let workshop = workshop();
    let views = ["--aspect-ratio-buckets", "--random-flip", "--random-crop", "--crop-variants", "3"];
    let more = [&views[..], &["--max-train-steps", "14", "--checkpointing-steps", "5"]].concat();
    let log = sft(&workshop, "straight", &more);
    assert!(!log.contains("lose attributes"), "the buckets have the shapes of the pictures: {log}");
    let state = fs::read_to_string(workshop.path("straight/checkpoint-000005/state.json")).expect("a state");
    let state: serde_json::Value = serde_json::from_str(&state).expect("JSON");
    let waiting = state["order"]["waiting"].as_array().expect("a list");
    assert_eq!(waiting.len(), 3, "four pictures of each shape leave one over in batches of three: {state}");
    fs::create_dir(workshop.path("resumed")).expect("made");
    let checkpoint = "checkpoint-000005";
    fs::rename(workshop.path("straight").join(checkpoint), workshop.path("resumed").join(checkpoint))
        .expect("moved");
    sft(&workshop, "resumed", &[&more[..], &["--resume"]].concat());
    assert!(weights(&workshop, "straight") == weights(&workshop, "resumed"), "resuming is exact");
    // Squares of the same pictures are other data, and cut two thirds of most pictures away.
    let log = sft(&workshop, "squares", &more[1..]);
    assert!(log.contains("pictures=8") && log.contains("--aspect-ratio-buckets cuts less"), "{log}");
    assert!(weights(&workshop, "straight") != weights(&workshop, "squares"));
    let config = fs::read_to_string(workshop.path("straight/config.toml")).expect("options");
    assert!(
        config.contains("aspect-ratio-buckets = true") && config.contains("crop-variants = 3"),
        "{config}"
    );
}

#[test]
fn every_objective_takes_buckets_and_random_views() {
    let workshop = workshop();
    // Of one caption, some better than others.
    let metadata = workshop.path("data/train/metadata.jsonl");
    let lines = fs::read_to_string(&metadata).expect("metadata");
    let changed = lines.lines().enumerate().map(|(index, line)| {
        let mut record: serde_json::Value = serde_json::from_str(line).expect("JSON");
        record["text"] = "a tree".into();
        if index.is_multiple_of(2) {
            record["negative"] = serde_json::json!([]);
        }
        record.to_string() + "\n"
    });
    fs::write(&metadata, changed.collect::<String>()).expect("written");
    let base = workshop.text("base/model");
    for (objective, run) in
        [("cpo", "align"), ("diffusion-dpo", "align"), ("diffusion-kto", "align"), ("pretrain", "pretrain")]
    {
        let mut more = vec!["--model", &base, "--max-train-steps", "3", "--aspect-ratio-buckets"];
        more.extend(["--random-flip", "--random-crop"]);
        match (objective, run) {
            ("cpo", _) => more.extend(["--objective", "cpo", "--auxiliary", &base]),
            (_, "align") => more.extend(["--objective", objective]),
            _ => more.extend(["--autoencoder-steps", "1"]),
        }
        workshop.train(run, objective, &more);
    }
}

#[test]
fn a_cache_serves_the_next_run_and_broken_files_in_it_are_made_anew() {
    let workshop = workshop();
    let cache = workshop.text("cache");
    let steps = ["--max-train-steps", "6", "--random-flip"];
    let more = [&steps[..], &["--cache-dir", &cache]].concat();
    sft(&workshop, "uncached", &steps);
    let log = sft(&workshop, "first", &more);
    assert!(log.contains("cached=0 encoded=12"), "{log}");
    let kept = files(&workshop.path("cache"));
    let of = |kind: &str| -> Vec<PathBuf> {
        kept.keys().filter(|path| path.display().to_string().contains(kind)).cloned().collect()
    };
    let (latents, texts) = (of("latents-"), of("text-"));
    // One picture of each shape has a caption that names a side.
    assert_eq!(latents.len(), 2 * 12 - 3);
    assert!(!texts.is_empty());
    let log = sft(&workshop, "second", &more);
    assert!(log.contains("cached=12 encoded=0") && !log.contains("made anew"), "{log}");
    assert!(files(&workshop.path("cache")) == kept, "nothing is written again");
    for run in ["first", "second"] {
        assert!(
            weights(&workshop, run) == weights(&workshop, "uncached"),
            "{run}: a cache changes no weight"
        );
    }

    // Half a file, another program's, another picture's, and half a text.
    let whole = &kept[&latents[0]].0;
    fs::write(&latents[0], &whole[..whole.len() / 2]).expect("written");
    fs::write(&latents[1], b"not a cache").expect("written");
    fs::write(&latents[2], &kept[&latents[3]].0).expect("written");
    let text = &kept[&texts[0]].0;
    fs::write(&texts[0], &text[..text.len() - 1]).expect("written");
    let log = sft(&workshop, "repaired", &more);
    for broken in [&latents[0], &latents[1], &latents[2], &texts[0]] {
        let name = broken.file_name().expect("a name").to_string_lossy();
        assert!(log.lines().any(|line| line.contains(&*name) && line.contains("made anew")), "{name}: {log}");
    }
    assert!(weights(&workshop, "repaired") == weights(&workshop, "first"));
    let repaired = files(&workshop.path("cache"));
    assert!(kept.iter().all(|(path, (bytes, _))| repaired[path].0 == *bytes), "as they were before");

    // A picture that was painted over.
    paint(&workshop.path("data/train/2-3.png"), [40, 40], 7);
    let log = sft(&workshop, "repainted", &more);
    assert!(log.contains("cached=11 encoded=1") && log.contains("picture-"), "{log}");
    assert!(weights(&workshop, "repainted") != weights(&workshop, "first"));
}

#[test]
fn the_prompts_of_alignment_are_few_enough_to_be_kept() {
    let workshop = workshop();
    let metadata = workshop.path("data/train/metadata.jsonl");
    let [first, second, third] = ["hue", "chroma", "clean"].map(|word| {
        let tree = atelier_criteria::CriteriaTree::embedded();
        let leaf = tree.leaves().iter().find(|leaf| leaf.id.starts_with("color-") && leaf.id.contains(word));
        leaf.expect("a leaf").id.clone()
    });
    let lines = fs::read_to_string(&metadata).expect("metadata").replace(CLEAN, &first);
    let more = format!("\"{first}\",\"{second}\",\"{third}\"");
    fs::write(&metadata, lines.replace(&format!("\"{first}\""), &more)).expect("written");
    let (base, cache) = (workshop.text("base/model"), workshop.text("cache"));
    let prompts = |seed: &str| {
        let mut more = vec!["--model", base.as_str(), "--auxiliary", &base, "--max-train-steps", "4"];
        more.extend(["--cache-dir", &cache, "--seed", seed, "--aspect-ratio-buckets"]);
        workshop.train("cpo", &format!("aligned-{seed}"), &more);
        files(&workshop.path("cache"))
            .into_keys()
            .filter(|path| path.display().to_string().contains("text-"))
            .count()
    };
    // Two captions: as they are, with three positive attributes, and with a negative one.
    assert_eq!([prompts("1"), prompts("2")], [6, 6]);
}

/// Two text encoders with a vector beside their states, and the sizes of pictures as a condition.
#[test]
fn sdxl_trains_in_buckets_from_a_cache() {
    let workshop = workshop();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../atelier-core/tests/fixtures/pipelines/sdxl");
    let (model, cache) = (model.display().to_string(), workshop.text("cache"));
    let more = ["--model", &model, "--max-train-steps", "3", "--aspect-ratio-buckets", "--random-crop"];
    let with = |out: &str, cache: &[&str]| {
        workshop.train("sft", out, &[&more[..], cache].concat());
        weights(&workshop, out)
    };
    let uncached = with("uncached", &[]);
    for out in ["first", "second"] {
        assert!(with(out, &["--cache-dir", &cache]) == uncached, "{out}");
    }
}

#[test]
fn sizes_that_cannot_be_are_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    // An autoencoder that halves five times, and no weights.
    let vae = r#"{"_class_name": "AutoencoderTiny", "encoder_block_out_channels": [8, 8, 8, 8, 8, 8],
        "decoder_block_out_channels": [8, 8, 8, 8, 8, 8], "num_encoder_blocks": [1, 1, 1, 1, 1, 1],
        "num_decoder_blocks": [1, 1, 1, 1, 1, 1]}"#;
    for (part, config) in [("vae", vae), ("unet", r#"{"_class_name": "UNet2DConditionModel"}"#)] {
        let part = folder.path().join("model").join(part);
        fs::create_dir_all(&part).expect("made");
        fs::write(part.join("config.json"), config).expect("written");
    }
    for (option, value, expected) in [
        ("--size", "36", "size must be a multiple of 8"),
        ("--size", "8", "from 16 to 32768"),
        ("--size", "72", "--size 72: this model takes multiples of 32 pixels"),
        ("--crop-variants", "1", "crop-variants must be at least 2"),
    ] {
        let arguments = [
            "train",
            "sft",
            "--data",
            &path("none"),
            "--model",
            &path("model"),
            "--output-dir",
            &path("out"),
        ];
        let (code, message) =
            support::error_of(&mut atelier(&[&arguments[..], &["--device", "cpu", option, value]].concat()));
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    }
    assert!(!folder.path().join("out").exists());
}
