//! Numbers that no option can have: refused by their flag, before anything is read or written.

mod support;

use support::{atelier, error_of, shipped};

/// An option, and what cannot be its value.
type Impossible = (&'static str, &'static [&'static str]);

/// Each command with what it needs, and its options that take a number, with what cannot be one of them.
fn cases() -> Vec<(Vec<String>, Vec<Impossible>)> {
    const FRACTIONS: &[&str] = &["nan", "inf", "-inf", "1e300", "-1"];
    const SCALES: &[&str] = &["nan", "inf", "-inf", "1e300", "1e38"];
    const COUNTS: &[&str] = &["0", "-1", "1.5", "nan", "18446744073709551615", "99999999999999999999"];
    const STEPS: &[&str] = &["-1", "1.5", "nan", "18446744073709551615"];
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let (painter, auxiliary) = (shipped("painter"), shipped("auxiliary"));
    let train = [
        ("learning-rate", FRACTIONS),
        ("adam-weight-decay", FRACTIONS),
        ("adam-beta1", FRACTIONS),
        ("adam-beta2", FRACTIONS),
        ("max-grad-norm", FRACTIONS),
        ("ema-decay", FRACTIONS),
        ("lora-alpha", FRACTIONS),
        ("lora-dropout", FRACTIONS),
        ("snr-gamma", FRACTIONS),
        ("seed", STEPS),
        ("size", COUNTS),
        ("crop-variants", COUNTS),
        ("max-train-steps", COUNTS),
        ("train-batch-size", COUNTS),
        ("batch-splits", COUNTS),
        ("gradient-accumulation-steps", COUNTS),
        ("lr-warmup-steps", STEPS),
        ("lora-rank", STEPS),
        ("checkpointing-steps", STEPS),
        ("checkpoints-total-limit", COUNTS),
        ("validation-steps", STEPS),
        ("num-validation-images", COUNTS),
    ];
    let sft = words(&["train", "sft", "--data", "nowhere", "--model", &painter, "--output-dir", "nowhere"]);
    let align = [&words(&["train", "align"])[..], &sft[2..]].concat();
    let pretrain = words(&["train", "pretrain", "--data", "nowhere", "--output-dir", "nowhere"]);
    vec![
        (
            words(&["sample", "--prompt", "boat", "--out", "nowhere"]),
            vec![
                ("guidance", SCALES),
                ("true-cfg-scale", SCALES),
                ("steps", COUNTS),
                ("count", COUNTS),
                ("batch", COUNTS),
                ("seed", STEPS),
                ("clip-skip", &["-1", "nan", "99"]),
                ("size", &["0x64", "64x0", "-8x8", "64", "nanx64", "4294967288x64"]),
                ("lora", &["a:nan", "a:inf", "a:1e300", "a:-1e38"]),
            ],
        ),
        (words(&["explain", "a.png", "--model", &auxiliary]), vec![("draws", COUNTS), ("draws", &["1"])]),
        (
            words(&["calibrate", "--model", &auxiliary, "--data", "nowhere"]),
            vec![("draws", COUNTS), ("draws", &["1"]), ("count", COUNTS)],
        ),
        (words(&["criteria", "show"]), vec![("depth", COUNTS)]),
        (
            words(&["studio", "paint", "--out", "nowhere"]),
            vec![("count", COUNTS), ("size", COUNTS), ("seed", STEPS)],
        ),
        (words(&["studio", "evaluate"]), vec![("count", COUNTS), ("seed", STEPS)]),
        (
            words(&["studio", "fit", "--out", "nowhere"]),
            vec![("count", COUNTS), ("count", &["1"]), ("seed", STEPS)],
        ),
        (words(&["demo", "--out", "nowhere"]), vec![("seed", STEPS)]),
        (
            words(&["plan", "--model", &painter]),
            vec![
                ("memory", FRACTIONS),
                ("memory", &["0"]),
                ("ema-decay", FRACTIONS),
                ("lora-rank", STEPS),
                ("train-batch-size", COUNTS),
                ("size", COUNTS),
            ],
        ),
        (sft, train.to_vec()),
        (
            align,
            vec![
                ("beta", FRACTIONS),
                ("beta", &["0"]),
                ("lambda", FRACTIONS),
                ("lambda", &["1"]),
                ("mu", FRACTIONS),
                ("mu", &["0", "1.5"]),
                ("target-guidance", SCALES),
                ("curriculum-steps", STEPS),
            ],
        ),
        (
            pretrain,
            vec![
                ("autoencoder-learning-rate", FRACTIONS),
                ("autoencoder-steps", STEPS),
                ("autoencoder-crop", COUNTS),
            ],
        ),
    ]
}

#[test]
fn every_number_of_every_command_has_its_range() {
    for (command, options) in cases() {
        for (flag, values) in options {
            for value in values {
                let mut words: Vec<&str> = command.iter().map(String::as_str).collect();
                let option = format!("--{flag}={value}");
                words.push(&option);
                let (code, message) = error_of(&mut atelier(&words));
                assert_eq!(code, Some(2), "{words:?}: {message}");
                assert!(message.contains(&format!("--{flag}")), "{words:?}: {message}");
                assert!(!std::path::Path::new("nowhere").exists(), "{words:?}");
            }
        }
    }
}

#[test]
fn a_layer_too_many_is_refused_with_what_is_possible() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("pictures").display().to_string();
    let sample = ["sample", "--prompt", "boat", "--device", "cpu", "--steps", "1", "--out", &out];
    let (code, message) = error_of(&mut atelier(&[&sample[..], &["--clip-skip", "99"]].concat()));
    assert!(code == Some(2) && message.contains("it must be at most"), "{code:?} {message}");
    let (code, message) =
        error_of(&mut atelier(&[&sample[..5], &["--steps", "5000", "--out", &out]].concat()));
    assert!(code == Some(2) && message.contains("--steps 5000 is not possible"), "{code:?} {message}");
}
