//! What a training step of a LoRA costs in time and memory: CPO against SFT, with and without what saves memory.
//!
//! Each row is a run of the real command on the small painter, in a process of its own: the median time of its steps, and
//! the most memory that the process had in them (`VmHWM` of Linux).
//!
//! ```sh
//! cargo xtask bench lora_steps
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// Samples per step, 128 pixels a side.
const BATCH: u32 = 8;
/// Measured steps of each run; one more warms up.
const STEPS: u32 = 8;

/// The command and what is added to it.
type Row = (&'static str, &'static str, &'static [&'static str]);

const ROWS: [Row; 8] = [
    ("SFT", "sft", &[]),
    ("CPO", "align", &[]),
    ("SFT, checkpointing", "sft", &["--gradient-checkpointing"]),
    ("CPO, checkpointing", "align", &["--gradient-checkpointing"]),
    ("SFT, f16 base", "sft", &["--base-precision", "f16"]),
    ("CPO, f16 base", "align", &["--base-precision", "f16"]),
    ("SFT, both", "sft", &["--gradient-checkpointing", "--base-precision", "f16"]),
    ("CPO, both", "align", &["--gradient-checkpointing", "--base-precision", "f16"]),
];

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let data = path("data");
    let paint = ["studio", "paint", "--count", "40", "--size", "128", "--out", text(&data)];
    assert!(atelier(&paint).wait().expect("it ends").success());
    let auxiliary = path("auxiliary");
    measure("sft", &data, &auxiliary, &[]);
    println!("{:<22} {:>10} {:>8} {:>12} {:>8}", "step of a LoRA", "ms", "", "peak MiB", "");
    let mut first = None;
    for (index, (name, run, more)) in ROWS.into_iter().enumerate() {
        let mut more = more.to_vec();
        if run == "align" {
            more.extend(["--auxiliary", text(&auxiliary)]);
        }
        let (milliseconds, mebibytes) = measure(run, &data, &path(&index.to_string()), &more);
        let (time, memory) = *first.get_or_insert((milliseconds, mebibytes));
        let (time, memory) = (milliseconds / time, mebibytes / memory);
        println!("{name:<22} {milliseconds:>10.0} {time:>7.2}x {mebibytes:>12.0} {memory:>7.2}x");
    }
}

/// Milliseconds of a step, and mebibytes.
fn measure(run: &str, data: &Path, out: &Path, more: &[&str]) -> (f64, f64) {
    let painter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/painter");
    let (batch, steps) = (BATCH.to_string(), (STEPS + 1).to_string());
    let mut arguments = vec!["train", run, "--data", text(data), "--model", text(&painter)];
    arguments.extend(["--output-dir", text(out), "--train-batch-size", &batch, "--max-train-steps", &steps]);
    arguments.extend(["--lora-rank", "16", "--device", "cpu", "--validation-steps", "0"]);
    arguments.extend(more);
    let mut child = atelier(&arguments);
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let metrics = out.join("metrics.jsonl");
    let (mut peak, mut preparing) = (0.0, true);
    let code = loop {
        if let Some(code) = child.try_wait().expect("asked") {
            break code;
        }
        if preparing && metrics.is_file() {
            // Pictures are encoded: from here on the mark is that of the steps.
            preparing = fs::write(format!("/proc/{}/clear_refs", child.id()), "5").is_err();
        }
        // The high-water mark only rises: the last one that is read counts.
        peak = fs::read_to_string(&status).ok().and_then(|text| mebibytes(&text)).unwrap_or(peak);
        thread::sleep(Duration::from_millis(10));
    };
    assert!(code.success(), "{arguments:?}");
    let metrics = fs::read_to_string(metrics).expect("metrics");
    let mut times: Vec<f64> = metrics
        .lines()
        .skip(1)
        .filter_map(|line| {
            serde_json::from_str::<serde_json::Value>(line).ok()?["samples_per_second"].as_f64()
        })
        .map(|rate| 1000.0 * f64::from(BATCH) / rate)
        .collect();
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], peak)
}

fn mebibytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}

fn atelier(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_atelier"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
