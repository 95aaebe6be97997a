//! Ctrl-C in every command that lasts: it ends with 130, and says what there is of the result.
#![cfg(unix)]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
};
use support::{atelier, shipped, succeed};

/// A command whose work would take hours.
struct Running {
    child: Child,
    errors: BufReader<ChildStderr>,
    log: String,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut command = atelier(&[&["-v"], arguments].concat());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
        let errors = BufReader::new(child.stderr.take().expect("piped"));
        Self { child, errors, log: String::new() }
    }

    /// Waits for a line of the log.
    fn until_it_says(mut self, text: &str) -> Self {
        while !self.log.contains(text) {
            let read = self.errors.read_line(&mut self.log).expect("text");
            assert!(read > 0, "it ended by itself: {}", self.log);
        }
        self
    }

    /// Waits for something that the command makes.
    fn until(mut self, there: impl Fn() -> bool) -> Self {
        while !there() {
            assert!(self.child.try_wait().expect("asked").is_none(), "it ended by itself: {}", self.log);
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        self
    }

    /// Interrupts it, once; gives what it says.
    fn interrupted(mut self) -> String {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill runs").success());
        self.errors.read_to_string(&mut self.log).expect("text");
        assert_eq!(self.child.wait().expect("it ends").code(), Some(130), "{}", self.log);
        assert!(self.log.contains("stopped: interrupted"), "{}", self.log);
        self.log
    }
}

/// What is in a folder, hidden things too; nothing if there is no folder.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// Pictures enough for hours: one painting by many names.
fn many_pictures(folder: &Path) {
    let data = folder.join("painted");
    succeed(&["studio", "paint", "--count", "10", "--size", "32", "--out", &data.display().to_string()]);
    let many = folder.join("data");
    fs::create_dir(&many).expect("made");
    for number in 0..4000 {
        fs::hard_link(data.join("train/000000.png"), many.join(format!("{number}.png"))).expect("linked");
    }
}

#[test]
fn sample_counts_the_pictures_that_are_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().display().to_string();
    let sample = ["sample", "--prompt", "boat", "--count", "100000", "--batch", "1", "--steps", "2"];
    let small = ["--size", "64x64", "--device", "cpu", "--out", &out];
    let running = Running::start(&[&sample[..], &small].concat());
    let log = running.until(|| folder.path().join("00000-0.png").is_file()).interrupted();
    let pictures = names_in(folder.path()).len();
    assert!(log.contains(&format!("{pictures} of 100000 pictures are in {out}")), "{log}");
    assert!(!log.contains("checkpoint"), "{log}");
}

#[test]
fn the_studio_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out").display().to_string();
    let commands: [(&[&str], &str); 3] = [
        (&["studio", "paint", "--count", "1000000", "--size", "32", "--out", &out], "painting"),
        (&["studio", "fit", "--count", "1000000", "--out", &out], "measuring"),
        (&["studio", "evaluate", "--count", "1000000"], "measuring"),
    ];
    for (arguments, begun) in commands {
        let log = Running::start(arguments).until_it_says(begun).interrupted();
        assert!(log.contains("nothing was written") && !log.contains("checkpoint"), "{log}");
        assert!(names_in(folder.path()).is_empty(), "{arguments:?}: {:?}", names_in(folder.path()));
    }
}

#[test]
fn annotating_keeps_what_was_there() {
    let folder = tempfile::tempdir().expect("a folder");
    many_pictures(folder.path());
    let data = folder.path().join("data");
    let running = Running::start(&["annotate", "--data", &data.display().to_string()]);
    let log = running.until_it_says("measuring").interrupted();
    assert!(!log.contains("checkpoint"), "{log}");
    assert_eq!(names_in(&data).len(), 4000, "nothing new");
}

#[test]
fn explanations_are_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    succeed(&["studio", "paint", "--count", "20", "--size", "32", "--out", &path("data")]);
    let (model, data, picture) = (shipped("auxiliary"), path("data"), path("data/train/000000.png"));
    let (report, calibration) = (path("report"), path("calibration.json"));
    let common = ["--model", &model, "--device", "cpu", "--draws", "4096", "--out"];
    let explain = [&["explain"], &vec![picture.as_str(); 200][..], &common, &[&report]].concat();
    let calibrate = [&["calibrate", "--data", &data], &common[..], &[&calibration]].concat();
    for (arguments, begun) in [(explain, "explaining"), (calibrate, "calibrating")] {
        let log = Running::start(&arguments).until_it_says(begun).interrupted();
        assert!(log.contains("nothing was written") && !log.contains("checkpoint"), "{log}");
    }
    assert_eq!(names_in(folder.path()), ["data"]);
}

#[test]
fn the_demo_takes_its_trainings_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("demo").display().to_string();
    for begun in ["painting", "stage=\"sft\""] {
        let running = Running::start(&["demo", "--quick", "--device", "cpu", "--out", &out]);
        let log = running.until_it_says(begun).interrupted();
        assert!(log.contains("nothing was written") && !log.contains("checkpoint"), "{log}");
        assert!(names_in(folder.path()).is_empty(), "{:?}", names_in(folder.path()));
    }
}

#[test]
fn a_training_that_has_not_begun_has_no_checkpoint_to_go_on_from() {
    let folder = tempfile::tempdir().expect("a folder");
    many_pictures(folder.path());
    let data = folder.path().join("data");
    let line = |number: u32| {
        format!(
            "{{\"file_name\": \"{number}.png\", \"text\": \"a boat\", \"positive\": [], \"negative\": []}}\n"
        )
    };
    fs::write(data.join("metadata.jsonl"), (0..4000).map(line).collect::<String>()).expect("written");
    let (data, model, out) =
        (data.display().to_string(), shipped("painter"), folder.path().join("out").display().to_string());
    let train = [
        "train",
        "sft",
        "--data",
        &data,
        "--model",
        &model,
        "--size",
        "128",
        "--device",
        "cpu",
        "--output-dir",
        &out,
    ];
    let log = Running::start(&train).until_it_says("encoding pictures").interrupted();
    assert!(log.contains("nothing was trained yet") && !log.contains("checkpoint"), "{log}");
}
