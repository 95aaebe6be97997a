//! How pictures become training data: sizes, buckets, random views, and the cache on the disk.

mod support;

use image::{Rgb, RgbImage};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Output,
    time::SystemTime,
};
use support::atelier;

const CLEAN: &str = "color-relations.purity.mixture.cleanliness.clean";
const LEVEL: &str = "composition.division.horizon.levelness.level";

/// Pictures of three shapes, four of each, and a tiny model.
struct Workshop {
    folder: tempfile::TempDir,
}

impl Workshop {
    fn new() -> Self {
        let workshop = Self { folder: tempfile::tempdir().expect("a folder") };
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
        let steps = ["--autoencoder-steps", "2", "--max-train-steps", "2"];
        succeed_with(&workshop.run("pretrain", "base", &steps));
        workshop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// `atelier train RUN` into the folder `out`, with all that it logs.
    fn run(&self, run: &str, out: &str, more: &[&str]) -> Output {
        let (data, out) = (self.text("data"), self.text(out));
        let mut arguments = vec!["train", run, "--data", &data, "--output-dir", &out, "--device", "cpu"];
        arguments.extend(["--size", "32", "--train-batch-size", "3", "--validation-steps", "0"]);
        arguments.extend(more);
        atelier(&arguments).env("RUST_LOG", "atelier=info").output().expect("the binary runs")
    }

    /// Stage 1; gives its log.
    fn sft(&self, out: &str, more: &[&str]) -> String {
        let base = self.text("base/model");
        succeed_with(&self.run("sft", out, &[&["--model", &base][..], more].concat()))
    }

    fn weights(&self, out: &str) -> Vec<u8> {
        fs::read(self.path(out).join("model/unet/diffusion_pytorch_model.safetensors")).expect("weights")
    }
}

/// A picture that differs from its mirror image and from place to place.
fn paint(path: &Path, [width, height]: [u32; 2], blue: u8) {
    let picture = RgbImage::from_fn(width, height, |x, y| {
        Rgb([(255 * x / width) as u8, (255 * y / height) as u8, blue])
    });
    picture.save(path).expect("written");
}

/// What a command that succeeded logged, without colours.
fn succeed_with(output: &Output) -> String {
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{log}");
    let mut plain = String::new();
    let mut rest = log.as_str();
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
    let workshop = Workshop::new();
    let views = ["--aspect-ratio-buckets", "--random-flip", "--random-crop", "--crop-variants", "3"];
    let more = [&views[..], &["--max-train-steps", "14", "--checkpointing-steps", "5"]].concat();
    let log = workshop.sft("straight", &more);
    assert!(!log.contains("lose attributes"), "the buckets have the shapes of the pictures: {log}");
    let state = fs::read_to_string(workshop.path("straight/checkpoint-000005/state.json")).expect("a state");
    let state: serde_json::Value = serde_json::from_str(&state).expect("JSON");
    let waiting = state["order"]["waiting"].as_array().expect("a list");
    assert_eq!(waiting.len(), 3, "four pictures of each shape leave one over in batches of three: {state}");
    fs::create_dir(workshop.path("resumed")).expect("made");
    let checkpoint = "checkpoint-000005";
    fs::rename(workshop.path("straight").join(checkpoint), workshop.path("resumed").join(checkpoint))
        .expect("moved");
    workshop.sft("resumed", &[&more[..], &["--resume"]].concat());
    assert!(workshop.weights("straight") == workshop.weights("resumed"), "resuming is exact");
    // Squares of the same pictures are other data, and cut two thirds of most pictures away.
    let log = workshop.sft("squares", &more[1..]);
    assert!(log.contains("pictures=8") && log.contains("--aspect-ratio-buckets cuts less"), "{log}");
    assert!(workshop.weights("straight") != workshop.weights("squares"));
    let config = fs::read_to_string(workshop.path("straight/config.toml")).expect("options");
    assert!(
        config.contains("aspect-ratio-buckets = true") && config.contains("crop-variants = 3"),
        "{config}"
    );
}

#[test]
fn every_objective_takes_buckets_and_random_views() {
    let workshop = Workshop::new();
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
        succeed_with(&workshop.run(run, objective, &more));
    }
}

#[test]
fn a_cache_serves_the_next_run_and_broken_files_in_it_are_made_anew() {
    let workshop = Workshop::new();
    let cache = workshop.text("cache");
    let steps = ["--max-train-steps", "6", "--random-flip"];
    let more = [&steps[..], &["--cache-dir", &cache]].concat();
    workshop.sft("uncached", &steps);
    let log = workshop.sft("first", &more);
    assert!(log.contains("cached=0 encoded=12"), "{log}");
    let kept = files(&workshop.path("cache"));
    let of = |kind: &str| -> Vec<PathBuf> {
        kept.keys().filter(|path| path.display().to_string().contains(kind)).cloned().collect()
    };
    let (latents, texts) = (of("latents-"), of("text-"));
    // One picture of each shape has a caption that names a side.
    assert_eq!(latents.len(), 2 * 12 - 3);
    assert!(!texts.is_empty());
    let log = workshop.sft("second", &more);
    assert!(log.contains("cached=12 encoded=0") && !log.contains("made anew"), "{log}");
    assert!(files(&workshop.path("cache")) == kept, "nothing is written again");
    for run in ["first", "second"] {
        assert!(workshop.weights(run) == workshop.weights("uncached"), "{run}: a cache changes no weight");
    }

    // Half a file, another program's, another picture's, and half a text.
    let whole = &kept[&latents[0]].0;
    fs::write(&latents[0], &whole[..whole.len() / 2]).expect("written");
    fs::write(&latents[1], b"not a cache").expect("written");
    fs::write(&latents[2], &kept[&latents[3]].0).expect("written");
    let text = &kept[&texts[0]].0;
    fs::write(&texts[0], &text[..text.len() - 1]).expect("written");
    let log = workshop.sft("repaired", &more);
    for broken in [&latents[0], &latents[1], &latents[2], &texts[0]] {
        let name = broken.file_name().expect("a name").to_string_lossy();
        assert!(log.lines().any(|line| line.contains(&*name) && line.contains("made anew")), "{name}: {log}");
    }
    assert!(workshop.weights("repaired") == workshop.weights("first"));
    let repaired = files(&workshop.path("cache"));
    assert!(kept.iter().all(|(path, (bytes, _))| repaired[path].0 == *bytes), "as they were before");

    // A picture that was painted over.
    paint(&workshop.path("data/train/2-3.png"), [40, 40], 7);
    let log = workshop.sft("repainted", &more);
    assert!(log.contains("cached=11 encoded=1") && log.contains("picture-"), "{log}");
    assert!(workshop.weights("repainted") != workshop.weights("first"));
}

#[test]
fn the_prompts_of_alignment_are_few_enough_to_be_kept() {
    let workshop = Workshop::new();
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
        succeed_with(&workshop.run("cpo", "aligned", &more));
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
    let workshop = Workshop::new();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../atelier-core/tests/fixtures/pipelines/sdxl");
    let (model, cache) = (model.display().to_string(), workshop.text("cache"));
    let more = ["--model", &model, "--max-train-steps", "3", "--aspect-ratio-buckets", "--random-crop"];
    let with = |out: &str, cache: &[&str]| {
        succeed_with(&workshop.run("sft", out, &[&more[..], cache].concat()));
        workshop.weights(out)
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
