//! Where results go: nobody's work is replaced, two programs do not meet, and a bad place is found before the work.

mod support;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};
use support::{
    atelier, error_of, succeed,
    workshop::{Workshop, painter},
};

/// Painting as fast as it can be.
const QUICK: [&str; 8] = ["sample", "--prompt", "a boat", "--steps", "1", "--size=32x32", "--device", "cpu"];

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// A folder as people have them.
    fn with_work(&self, name: &str) -> String {
        fs::create_dir_all(self.path(name).join("photos")).expect("made");
        fs::write(self.path(name).join("thesis.txt"), "my thesis").expect("written");
        fs::write(self.path(name).join("photos/a.jpg"), "mine").expect("written");
        self.text(name)
    }

    fn convert(&self, more: &[&str]) -> Command {
        let mut command = atelier(&["convert", "--model", painter()]);
        command.args(more).current_dir(self.0.path());
        command
    }

    /// Runs a command that must fail with the code, and say these things; gives what it said.
    fn refused(&self, command: &mut Command, code: i32, needles: &[&str]) {
        let (found, message) = error_of(command);
        assert_eq!(found, Some(code), "{message}");
        for needle in needles {
            assert!(message.contains(needle), "{needle} is not in: {message}");
        }
    }
}

/// All files below `folder`, hidden ones too.
fn files(folder: &Path) -> BTreeSet<String> {
    fn add(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                add(&entry.path(), &format!("{name}/"), found);
            } else {
                found.insert(name);
            }
        }
    }
    let mut found = BTreeSet::new();
    add(folder, "", &mut found);
    found
}

#[test]
fn folders_with_other_things_in_them_are_left_alone() {
    let folder = Folder::new();
    let out = folder.with_work("docs");
    let before = files(folder.0.path());
    folder.refused(&mut folder.convert(&["--out", &out]), 1, &["not empty", "photos/", "thesis.txt"]);
    folder.refused(&mut folder.convert(&["--part", "unet", "--out", &out]), 1, &["thesis.txt"]);
    folder.refused(&mut folder.convert(&["--out", &folder.text("docs/thesis.txt")]), 1, &["not a folder"]);
    let paint = ["studio", "paint", "--count", "10", "--size", "32", "--out", &out];
    folder.refused(&mut atelier(&paint), 1, &["not empty"]);
    folder.refused(&mut atelier(&["demo", "--quick", "--out", &out]), 2, &["not empty", "thesis.txt"]);
    let mut here = folder.convert(&["--out", "."]);
    folder.refused(here.current_dir(folder.path("docs")), 1, &["not empty", "thesis.txt"]);
    assert_eq!(files(folder.0.path()), before);
}

#[test]
fn what_was_written_is_replaced_until_somebody_changes_it() {
    let folder = Folder::new();
    let out = folder.text("model");
    let weights = folder.path("model/unet/diffusion_pytorch_model.safetensors");
    let convert = |more: &[&str]| {
        let output = folder.convert(&[&["--out", &out], more].concat()).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    convert(&[]);
    let half = fs::metadata(&weights).expect("weights").len();
    convert(&["--save-precision", "f32"]);
    assert!(fs::metadata(&weights).expect("weights").len() > half * 3 / 2);
    let whole = files(&folder.path("model"));
    assert!(whole.contains(".atelier.json") && whole.contains("vae/config.json"), "{whole:?}");
    // Fewer parts: nothing of the earlier folder stays.
    convert(&["--part", "unet"]);
    assert!(!folder.path("model/vae").exists());
    assert_eq!(fs::read_dir(folder.0.path()).expect("a folder").count(), 1);
    let config = folder.path("model/unet/config.json");
    fs::write(&config, fs::read_to_string(&config).expect("JSON") + " ").expect("written");
    folder.refused(&mut folder.convert(&["--out", &out]), 1, &["unet/config.json"]);
    assert!(weights.exists() && !folder.path("model/vae").exists());
}

#[test]
fn a_model_is_never_its_own_successor() {
    let folder = Folder::new();
    let copy = |more: &[&str]| assert!(folder.convert(more).status().expect("runs").success());
    copy(&["--out", "m1"]);
    let before = files(&folder.path("m1"));
    let convert = |more: &[&str]| {
        let mut command = atelier(&["convert"]);
        command.args(more).current_dir(folder.0.path());
        command
    };
    for out in ["m1", "m1/", "./m1", "m1/../m1", "absent/../m1", &folder.text("m1"), "."] {
        folder.refused(&mut convert(&["--model", "m1", "--out", out]), 2, &["--out", "--model"]);
    }
    let base = ["--model", painter(), "--base", "m1", "--out", "./m1"];
    folder.refused(&mut convert(&base), 2, &["--out", "--base"]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder.path("m1"), folder.path("alias")).expect("linked");
        folder.refused(&mut convert(&["--model", "m1", "--out", "alias"]), 2, &["--out", "--model"]);
        folder.refused(&mut convert(&["--model", "alias", "--out", "m1"]), 2, &["--out", "--model"]);
        assert!(folder.path("alias").symlink_metadata().expect("there").is_symlink());
        // What a link leads to may be written, if it is empty or Atelier's.
        fs::create_dir(folder.path("empty")).expect("made");
        std::os::unix::fs::symlink(folder.path("empty"), folder.path("other")).expect("linked");
        assert!(convert(&["--model", "m1", "--out", "other"]).status().expect("runs").success());
        assert!(folder.path("other").symlink_metadata().expect("there").is_symlink());
        assert!(folder.path("empty/model_index.json").is_file());
    }
    assert_eq!(files(&folder.path("m1")), before);
    fs::create_dir(folder.path("here")).expect("made");
    let mut here = folder.convert(&["--out", "."]);
    assert!(here.current_dir(folder.path("here")).status().expect("runs").success());
    assert!(folder.path("here/model_index.json").is_file());
}

#[test]
fn pictures_of_several_runs_at_once_are_all_there() {
    let folder = Folder::new();
    let out = folder.text("same");
    let run = || {
        let mut command = atelier(&QUICK);
        command.args(["--count", "3", "--out", &out]).stdout(Stdio::piped()).spawn().expect("starts")
    };
    let runs: Vec<_> = (0..4).map(|_| run()).collect();
    let mut told = BTreeSet::new();
    for run in runs {
        let output = run.wait_with_output().expect("it ends");
        assert!(output.status.success());
        told.extend(String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned));
    }
    assert_eq!(told.len(), 12, "{told:?}");
    assert!(told.iter().all(|path| Path::new(path).is_file()));
    assert_eq!(files(&folder.path("same")).len(), 12);
}

#[test]
fn places_of_pictures_are_tried_before_anything_is_loaded() {
    let folder = Folder::new();
    fs::write(folder.path("file"), "mine").expect("written");
    // The model is not even looked for.
    let refused = |more: &[&str], code: i32, needle: &str| {
        let mut command = atelier(&QUICK);
        folder.refused(command.args(["--model", "nowhere"]).args(more), code, &[needle]);
        assert_eq!(files(folder.0.path()), BTreeSet::from(["file".to_owned()]));
        assert!(!folder.path("new").exists());
    };
    let (file, under, new) = (folder.text("file"), folder.text("file/pictures"), folder.text("new/p"));
    refused(&["--out", &file], 1, "not a folder");
    refused(&["--out", &under], 1, "not a folder");
    refused(&["--out", ""], 2, "--out");
    refused(&["--out", &new, "--save-latents", &folder.text("file/x.safetensors")], 1, "not a folder");
    refused(&["--out", &new, "--save-latents", &file], 1, "no file of latents");
    refused(&["--out", &new, "--save-latents", &folder.text("")], 1, "is a folder");
    refused(&["--out", &new, "--save-latents", ""], 2, "--save-latents");
    // And what was made to try is gone if nothing comes of it.
    refused(&["--out", &new], 1, "nowhere");
    if cfg!(target_os = "linux") {
        refused(&["--out", "/proc/pictures"], 1, "/proc/pictures");
    }
}

#[test]
fn latents_replace_only_latents_of_ours() {
    let folder = Folder::new();
    let (out, latents) = (folder.text("pictures"), folder.text("latents.safetensors"));
    let sample = [&QUICK[..], &["--out", &out, "--save-latents", &latents]].concat();
    succeed(&sample);
    succeed(&sample);
    // The same tensor by another program.
    let ours = fs::read(&latents).expect("latents");
    let length = u64::from_le_bytes(ours[..8].try_into().expect("eight bytes")) as usize;
    let (header, data) = (&ours[8..8 + length], &ours[8 + length..]);
    let mut header: serde_json::Value = serde_json::from_slice(header).expect("JSON");
    header.as_object_mut().expect("an object").remove("__metadata__");
    let header = header.to_string().into_bytes();
    let theirs = [&(header.len() as u64).to_le_bytes()[..], &header, data].concat();
    fs::write(&latents, &theirs).expect("written");
    folder.refused(&mut atelier(&sample), 1, &["latents.safetensors", "no file of latents"]);
    assert!(fs::read(&latents).expect("there") == theirs);
}

#[test]
fn every_command_tries_its_place_before_the_work() {
    let folder = Folder::new();
    fs::write(folder.path("file"), "mine").expect("written");
    let (under, file) = (folder.text("file/out"), folder.text("file"));
    let auxiliary = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/auxiliary");
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/screenshots/painting.png");
    let data = folder.text("data");
    succeed(&["studio", "paint", "--count", "10", "--size", "32", "--out", &data]);
    let before = files(folder.0.path());
    let train = ["train", "sft", "--data", &data, "--model", "nowhere", "--device", "cpu"];
    let calibrate = ["calibrate", "--model", auxiliary, "--data", &data, "--device", "cpu"];
    let explain = ["explain", picture, "--model", auxiliary, "--device", "cpu", "--base", "nowhere"];
    let run = folder.text("run");
    let caching = [&train[..], &["--output-dir", &run]].concat();
    let commands: [(&[&str], &str, &str); 10] = [
        (&train, "--output-dir", &under),
        (&train, "--output-dir", &file),
        (&caching, "--cache-dir", &under),
        (&["convert", "--model", "nowhere"], "--out", &under),
        (&["demo", "--quick"], "--out", &under),
        (&["studio", "paint", "--count", "100000"], "--out", &under),
        (&["studio", "fit", "--count", "100000"], "--out", &under),
        (&["studio", "fit", "--count", "100000"], "--out", &file),
        (&calibrate, "--out", &file),
        (&explain, "--out", &under),
    ];
    for (command, flag, place) in commands {
        folder.refused(atelier(command).args([flag, place]), 1, &[&file]);
        folder.refused(atelier(command).args([flag, ""]), 2, &[flag]);
        assert_eq!(files(folder.0.path()), before, "{command:?}");
        assert!(!folder.path("run").exists());
    }
    // The names that explanations would have.
    fs::create_dir(folder.path("report")).expect("made");
    fs::write(folder.path("report/explanations.html"), "my own page").expect("written");
    let report = folder.text("report");
    let explain = [&explain[..], &["--out", &report]].concat();
    folder.refused(&mut atelier(&explain), 1, &["explanations.html"]);
}

/// A folder that nobody may write to, unless they are root.
#[cfg(unix)]
#[test]
fn a_folder_without_permission_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    fs::create_dir(folder.path("closed")).expect("made");
    fs::set_permissions(folder.path("closed"), fs::Permissions::from_mode(0o555)).expect("set");
    if fs::write(folder.path("closed/probe"), "").is_ok() {
        return;
    }
    for out in ["closed", "closed/pictures"] {
        let mut command = atelier(&QUICK);
        command.args(["--model", "nowhere", "--out", &folder.text(out)]);
        folder.refused(&mut command, 1, &[out, "ermission denied"]);
    }
}

/// A command that cannot write more than some kilobytes into a file, as on a full disk.
#[cfg(unix)]
fn on_a_full_disk(command: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", r#"trap "" XFSZ; ulimit -f 16; exec "$@""#, "sh"]);
    limited.arg(command.get_program()).args(command.get_args());
    limited
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_named_and_leaves_nothing_half_written() {
    let folder = Folder::new();
    let out = folder.text("model");
    assert!(folder.convert(&["--out", &out]).status().expect("runs").success());
    let data = folder.text("data");
    succeed(&["studio", "paint", "--count", "10", "--size", "32", "--out", &data]);
    let (before, unet) = (files(folder.0.path()), folder.path("model/unet/config.json"));
    let earlier = fs::read(&unet).expect("there");
    for place in [&out, &folder.text("new")] {
        let mut command = on_a_full_disk(&folder.convert(&["--out", place, "--save-precision", "f32"]));
        folder.refused(&mut command, 1, &[place, ".safetensors"]);
        assert_eq!(files(folder.0.path()), before);
    }
    assert!(fs::read(&unet).expect("there") == earlier);
    let new = folder.text("new");
    let paint = ["studio", "paint", "--count", "10", "--size", "128", "--out", &new];
    folder.refused(&mut on_a_full_disk(&atelier(&paint)), 1, &[&new, ".png"]);
    let sample = [&QUICK[..5], &["--size=128x128", "--device", "cpu", "--out", &new]].concat();
    folder.refused(&mut on_a_full_disk(&atelier(&sample)), 1, &[&new, ".png"]);
    assert_eq!(files(folder.0.path()), before);
    let train = ["train", "sft", "--data", &data, "--model", painter(), "--device", "cpu", "--size", "32"];
    let steps = ["--max-train-steps", "3", "--checkpointing-steps", "2", "--validation-steps", "0"];
    let more = ["--lora-rank", "16", "--train-batch-size", "2", "--output-dir", &new];
    let train = [&train[..], &steps, &more].concat();
    folder.refused(&mut on_a_full_disk(&atelier(&train)), 1, &["checkpoint-000002", "model.safetensors"]);
    let left = files(&folder.path("new"));
    assert!(left.contains("metrics.jsonl") && left.iter().all(|name| !name.contains("partial")), "{left:?}");
    assert!(left.iter().all(|name| !name.starts_with("checkpoint-")), "{left:?}");
}

/// A tiny run on the small painter.
fn workshop() -> Workshop {
    let defaults = [["--train-batch-size", "2"], ["--lora-rank", "2"], ["--model", painter()]];
    Workshop::with_paintings("10", &defaults)
}

#[test]
fn one_run_has_its_folder_for_itself() {
    let workshop = workshop();
    let mut long = workshop.command("sft", "run", &["--max-train-steps", "100000"]);
    let mut first = long.stderr(Stdio::null()).spawn().expect("starts");
    while !workshop.path("run/metrics.jsonl").exists() {
        assert!(first.try_wait().expect("asked").is_none(), "it ended by itself");
        thread::sleep(Duration::from_millis(20));
    }
    for more in [&["--model", "nowhere"][..], &["--model", "nowhere", "--resume"]] {
        let (code, message) = workshop.error("sft", "run", more);
        assert_eq!(code, Some(1), "{message}");
        assert!(message.contains("is in use") && message.contains("run"), "{message}");
    }
    first.kill().expect("killed");
    first.wait().expect("it ends");
    // The lock has died with its holder; what it left is a run, which is not mixed with another one.
    let (code, message) = workshop.error("sft", "run", &["--max-train-steps", "1"]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("already holds a run") && message.contains("--output-dir"), "{message}");
}

#[test]
fn a_run_begins_where_no_other_is() {
    let workshop = workshop();
    let more = ["--max-train-steps", "1"];
    // Other things do not matter, and stay.
    fs::create_dir_all(workshop.path("run/photos")).expect("made");
    fs::create_dir(workshop.path("run/model")).expect("made");
    fs::write(workshop.path("run/thesis.txt"), "mine").expect("written");
    workshop.train("sft", "run", &more);
    assert!(workshop.path("run/thesis.txt").is_file() && workshop.path("run/photos").is_dir());
    assert!(!workshop.path("run/.atelier.lock").exists());
    let before = files(&workshop.path("run"));
    let (code, message) = workshop.error("sft", "run", &more);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("already holds a run"), "{message}");
    assert_eq!(files(&workshop.path("run")), before);
    for name in ["model/notes.txt", "checkpoint-000005/notes.txt", "config.toml", "samples/mine.png"] {
        let path = workshop.path("other").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, "mine").expect("written");
        let (code, message) = workshop.error("sft", "other", &["--model", "nowhere"]);
        assert_eq!(code, Some(1), "{message}");
        let taken = name.split('/').next().expect("a name");
        assert!(message.contains(&format!("already holds a run ({taken})")), "{message}");
        assert_eq!(fs::read_to_string(&path).expect("there"), "mine");
        fs::remove_dir_all(workshop.path("other")).expect("removed");
    }
}
