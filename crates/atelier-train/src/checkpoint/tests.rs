use super::*;
use crate::{base_precision::BasePrecision, batches};
use atelier_core::noise::NoisePosition;
use burn::tensor::Tensor;

fn position() -> NoisePosition {
    NoisePosition { seed: 1, stream: 2, words: 3 }
}

fn subject() -> Subject {
    Subject {
        lora_rank: 4,
        lora_alpha: 4.0,
        target_modules: vec!["to_k".to_owned(), "to_q".to_owned()],
        base_precision: BasePrecision::F32,
        base: Some("0123456789".to_owned()),
        base_name: "painter".to_owned(),
    }
}

fn tensors(values: &[(&str, &[f32])]) -> NamedTensors {
    let device = Device::flex();
    values.iter().map(|(name, values)| ((*name).to_owned(), Tensor::from_floats(*values, &device))).collect()
}

fn checkpoint(step: u64, run: &str) -> Checkpoint {
    let weights = tensors(&[("down", &[1.0, 2.0]), ("up", &[3.0])]);
    let order = batches::Position { epoch: position(), waiting: Vec::new(), used: 0 };
    Checkpoint {
        progress: Progress { step, stage: "sft".to_owned(), order, noise: position() },
        run: Some(run.to_owned()),
        subject: Some(subject()),
        moments: (weights.clone(), weights.clone()),
        model: weights,
        ema: None,
    }
}

fn sizes() -> BTreeMap<String, usize> {
    BTreeMap::from([("down".to_owned(), 2), ("up".to_owned(), 1)])
}

fn load(path: &Path, subject: &Subject, sizes: &BTreeMap<String, usize>) -> Result<Checkpoint, String> {
    let expected = Expected { stage: "sft", steps: 10, subject, sizes };
    Checkpoint::load(path, expected, &Device::flex()).map_err(|error| error.to_string())
}

fn refused(path: &Path, needles: &[&str]) {
    let error = load(path, &subject(), &sizes()).expect_err("it is broken");
    for needle in needles {
        assert!(error.contains(needle), "{needle} is not in: {error}");
    }
}

#[test]
fn what_was_saved_is_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = checkpoint(4, "a").save(folder.path(), 2).expect("saved");
    assert!(path.ends_with("checkpoint-000004"));
    let loaded = load(&path, &subject(), &sizes()).expect("loaded");
    assert_eq!(loaded.progress, checkpoint(4, "a").progress);
    assert_eq!(to_host(&loaded.model), to_host(&checkpoint(4, "a").model));
    assert_eq!(to_host(&loaded.moments.1), to_host(&checkpoint(4, "a").moments.1));
}

#[test]
fn another_run_is_refused_with_what_differs() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = checkpoint(4, "a").save(folder.path(), 2).expect("saved");
    let other = |change: fn(&mut Subject)| {
        let mut subject = subject();
        change(&mut subject);
        load(&path, &subject, &sizes()).expect_err("another run")
    };
    let error = other(|subject| subject.lora_rank = 8);
    assert!(error.contains("rank 4") && error.contains("rank 8"), "{error}");
    let error = other(|subject| subject.lora_rank = 0);
    assert!(error.contains("rank 4") && error.contains("the whole model"), "{error}");
    let error = other(|subject| subject.lora_alpha = 8.0);
    assert!(error.contains("--lora-alpha was 4, and is 8"), "{error}");
    let error = other(|subject| subject.target_modules = vec!["to_q".to_owned()]);
    assert!(error.contains("--target-module was to_k, to_q, and is to_q"), "{error}");
    let error = other(|subject| subject.base = Some("9999999999".to_owned()));
    assert!(error.contains("painter") && error.contains("01234567") && error.contains("99999999"), "{error}");
    // Weights in another type have another fingerprint.
    let mut half = subject();
    (half.base, half.base_precision) = (Some("9999999999".to_owned()), BasePrecision::F16);
    load(&path, &half, &sizes()).expect("the same model, maybe");
    let subject = subject();
    let expected = Expected { stage: "cpo", steps: 3, subject: &subject, sizes: &sizes() };
    let error = Checkpoint::load(&path, expected, &Device::flex()).expect_err("another stage").to_string();
    assert!(error.contains("was written by sft, this run is cpo"), "{error}");
    let expected = Expected { stage: "sft", ..expected };
    let error = Checkpoint::load(&path, expected, &Device::flex()).expect_err("too few steps").to_string();
    assert!(error.contains("step 4") && error.contains("step 3"), "{error}");
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = checkpoint(4, "a").save(folder.path(), 2).expect("saved");
    let with = |sizes: &[(&str, usize)]| {
        let sizes = sizes.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect();
        load(&path, &subject(), &sizes).expect_err("other tensors")
    };
    let error = with(&[("down", 4), ("up", 1)]);
    assert!(error.contains("down has 2 values, the model of this run 4"), "{error}");
    let error = with(&[("down", 2), ("up", 1), ("middle", 1)]);
    assert!(error.contains("lacks 1 tensors (middle)"), "{error}");
    let error = with(&[("down", 2)]);
    assert!(error.contains("1 tensors that are not known (up)"), "{error}");
}

#[test]
fn broken_files_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = checkpoint(4, "a").save(folder.path(), 2).expect("saved");
    for name in FILES {
        let file = path.join(name);
        let Ok(whole) = fs::read(&file) else { continue };
        fs::write(&file, &whole[..whole.len() - 3]).expect("written");
        refused(&path, &["checkpoint-000004", name]);
        if name != STATE {
            let mut garbled = whole.clone();
            *garbled.last_mut().expect("not empty") ^= 1;
            fs::write(&file, garbled).expect("written");
            refused(&path, &["checkpoint-000004", name, "broken"]);
        }
        fs::remove_file(&file).expect("removed");
        refused(&path, &["checkpoint-000004", name]);
        fs::write(&file, whole).expect("written");
    }
    load(&path, &subject(), &sizes()).expect("whole again");
}

#[test]
fn those_of_earlier_versions_are_read_if_their_tensors_fit() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = checkpoint(4, "a").save(folder.path(), 2).expect("saved");
    let earlier = serde_json::to_vec(&checkpoint(4, "a").progress).expect("JSON");
    fs::write(path.join(STATE), earlier).expect("written");
    let loaded = load(&path, &subject(), &sizes()).expect("it fits");
    assert_eq!((loaded.run, loaded.subject), (None, None));
    let moments = |names: &[&str]| {
        let moments = names.iter().map(|name| ((*name).to_owned(), vec![0.0])).collect();
        fs::write(path.join(OPTIMIZER), encode(&moments).expect("encoded")).expect("written");
    };
    moments(&["first.up"]);
    refused(&path, &[OPTIMIZER, "lacks 1 tensors (up)"]);
    moments(&[]);
    refused(&path, &[OPTIMIZER, "no moments"]);
    moments(&["third.up"]);
    refused(&path, &[OPTIMIZER, "third.up"]);
}

#[test]
fn the_oldest_of_a_run_go_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let there = |step: u64| folder.path().join(format!("checkpoint-{step:06}")).exists();
    checkpoint(1, "other").save(folder.path(), 2).expect("saved");
    fs::create_dir(folder.path().join("checkpoint-000002")).expect("made");
    fs::write(folder.path().join("checkpoint-000002/notes.txt"), "mine").expect("written");
    let noted = checkpoint(3, "a").save(folder.path(), 2).expect("saved");
    fs::write(noted.join("notes.txt"), "the best one").expect("written");
    for step in 4..8 {
        checkpoint(step, "a").save(folder.path(), 2).expect("saved");
    }
    assert!(there(1) && there(2) && there(3) && there(6) && there(7));
    assert!(!there(4) && !there(5));
    let error = checkpoint(2, "a").save(folder.path(), 2).expect_err("the name is taken").to_string();
    assert!(error.contains("checkpoint-000002") && there(2), "{error}");
    let newest = |run| latest(folder.path(), run).map_err(|error| error.to_string());
    let name = |path: Option<PathBuf>| path.and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    assert_eq!(name(newest(Some("a")).expect("found")).as_deref(), Some("checkpoint-000007"));
    assert_eq!(name(newest(Some("other")).expect("found")).as_deref(), Some("checkpoint-000001"));
    assert_eq!(newest(Some("third")).expect("searched"), None);
    assert!(newest(None).expect_err("of which run?").contains("several runs"));
}

#[test]
fn the_newest_is_that_of_the_highest_step() {
    let folder = tempfile::tempdir().expect("a folder");
    for step in [999_999, 1_000_000] {
        checkpoint(step, "a").save(folder.path(), 3).expect("saved");
    }
    let newest = latest(folder.path(), None).expect("searched").expect("found");
    assert!(newest.ends_with("checkpoint-1000000"), "{}", newest.display());
    fs::remove_file(newest.join(STATE)).expect("removed");
    let error = latest(folder.path(), Some("a")).expect_err("the newest is broken").to_string();
    assert!(error.contains("checkpoint-1000000") && error.contains(STATE), "{error}");
}
