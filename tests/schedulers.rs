//! Scheduler configurations of model folders: absent keys have their class's defaults, another sampler has its own, and
//! what is not done as the file says is said or refused.

mod support;

use serde_json::{Value, json};
use std::{fs, path::Path};
use support::{atelier, tiny_model::copy};
use tempfile::TempDir;

const CONFIG: &str = "scheduler/scheduler_config.json";

/// What `atelier sample` did.
struct Outcome {
    code: Option<i32>,
    message: String,
    latents: Option<Vec<u8>>,
    picture: Option<Vec<u8>>,
}

/// A copy of a tiny model of `kind`.
struct Model {
    folder: TempDir,
}

impl Model {
    fn new(kind: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let from =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../atelier-core/tests/fixtures/pipelines").join(kind);
        copy(&from, folder.path()).expect("copied");
        Self { folder }
    }

    /// With another configuration of its scheduler.
    fn with(kind: &str, config: &Value) -> Self {
        let model = Self::new(kind);
        model.write(config.to_string().as_bytes());
        model
    }

    fn write(&self, config: &[u8]) {
        fs::write(self.folder.path().join(CONFIG), config).expect("written");
    }

    fn sample(&self, more: &[&str]) -> Outcome {
        let model = self.folder.path().display().to_string();
        let outputs = tempfile::tempdir().expect("a folder");
        let path = |name: &str| outputs.path().join(name).display().to_string();
        let (latents, out) = (path("latents.safetensors"), path("pictures"));
        let sample =
            ["sample", "--model", &model, "--prompt", "a harbour", "--steps", "3", "--size", "16x16"];
        let rest = ["--device", "cpu", "--save-latents", &latents, "--out", &out];
        let output = atelier(&[&sample[..], &rest[..], more].concat()).output().expect("the binary runs");
        let picture = fs::read_dir(&out).ok().and_then(|mut entries| entries.next());
        Outcome {
            code: output.status.code(),
            message: String::from_utf8_lossy(&output.stderr).into_owned(),
            latents: fs::read(latents).ok(),
            picture: picture.map(|entry| fs::read(entry.expect("a picture").path()).expect("read")),
        }
    }

    #[track_caller]
    fn latents(&self, more: &[&str]) -> Vec<u8> {
        let outcome = self.sample(more);
        outcome.latents.unwrap_or_else(|| panic!("nothing was painted: {}", outcome.message))
    }

    /// The message of a command that fails before anything is painted.
    #[track_caller]
    fn refused(&self, more: &[&str]) -> String {
        let outcome = self.sample(more);
        assert_eq!(outcome.code, Some(1), "{}", outcome.message);
        assert!(outcome.latents.is_none() && outcome.picture.is_none(), "{}", outcome.message);
        outcome.message
    }
}

/// Stable Diffusion's file for `class`, with `more` keys.
fn config(class: &str, more: &Value) -> Value {
    let mut config = json!({
        "_class_name": class, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000,
    });
    for (key, value) in more.as_object().expect("keys") {
        config[key] = value.clone();
    }
    config
}

#[test]
fn another_sampler_has_its_own_defaults() {
    for class in ["DDIMScheduler", "PNDMScheduler", "UniPCMultistepScheduler"] {
        let of = |more| Model::with("sd", &config(class, &more));
        let silent = of(json!({}));
        for (sampler, spacing) in
            [("euler", "linspace"), ("dpm-solver", "linspace"), ("ddim", "leading"), ("ddpm", "leading")]
        {
            let said = of(json!({ "timestep_spacing": spacing, "clip_sample": false, "steps_offset": 1 }));
            let sampler = ["--scheduler", sampler];
            assert_eq!(silent.latents(&sampler), said.latents(&sampler), "{class} by {sampler:?}");
        }
        // What the file says is kept, though it is the class's default.
        let said = of(json!({ "timestep_spacing": "trailing" }));
        let sampler = ["--scheduler", "euler"];
        assert_ne!(silent.latents(&sampler), said.latents(&sampler), "{class}");
    }
}

#[test]
fn outdated_values_of_stable_diffusion_are_corrected_and_it_is_said() {
    let corrected = json!({ "clip_sample": false, "steps_offset": 1 });
    let corrected = Model::with("sd", &config("DDIMScheduler", &corrected)).sample(&[]);
    assert!(!corrected.message.contains("warning"), "{}", corrected.message);
    for outdated in [json!({}), json!({ "clip_sample": true, "steps_offset": 0 })] {
        let outcome = Model::with("sd", &config("DDIMScheduler", &outdated)).sample(&[]);
        assert_eq!(outcome.latents, corrected.latents);
        for key in ["`steps_offset` is 0", "`clip_sample` is true"] {
            assert!(outcome.message.contains(key), "{}", outcome.message);
        }
    }
}

#[test]
fn what_stands_in_is_said_and_does_not_clip() {
    for (class, sampler, name) in [
        ("PNDMScheduler", "ddim", "Sampler: DDIM"),
        ("EulerAncestralDiscreteScheduler", "euler", "Sampler: Euler"),
        ("LMSDiscreteScheduler", "euler", "Sampler: Euler"),
        ("UniPCMultistepScheduler", "dpm-solver", "Sampler: DPM++ 2M"),
    ] {
        for kind in ["sd", "sdxl"] {
            let model = Model::with(kind, &config(class, &json!({ "steps_offset": 1 })));
            let outcome = model.sample(&[]);
            let said = outcome.message.contains(class) && outcome.message.contains(sampler);
            assert!(said, "{kind}: {}", outcome.message);
            assert!(
                String::from_utf8_lossy(&outcome.picture.expect("a picture")).contains(name),
                "{kind}: {class}"
            );
            let unclipped = config(class, &json!({ "steps_offset": 1, "clip_sample": false }));
            assert_eq!(
                outcome.latents.expect("painted"),
                Model::with(kind, &unclipped).latents(&[]),
                "{class}"
            );
        }
    }
}

#[test]
fn other_processes_are_refused() {
    for class in ["LCMScheduler", "TCDScheduler", "Schedulerino"] {
        let model = Model::with("sd", &config(class, &json!({})));
        let message = model.refused(&[]);
        assert!(message.contains(class) && message.contains("choose one yourself"), "{message}");
        model.latents(&["--scheduler", "ddim"]);
    }
    let edm = json!({ "_class_name": "EDMEulerScheduler", "sigma_data": 0.5, "prediction_type": "epsilon" });
    for choice in [&[][..], &["--scheduler", "euler"][..]] {
        let message = Model::with("sdxl", &edm).refused(choice);
        assert!(message.contains(CONFIG) && message.contains("EDMEulerScheduler"), "{message}");
    }
    let message = Model::with("flux", &config("EulerDiscreteScheduler", &json!({}))).refused(&[]);
    assert!(
        message.contains("EulerDiscreteScheduler") && message.contains("FLUX was trained by flow"),
        "{message}"
    );
    let lcm = Model::with("flux", &json!({ "_class_name": "FlowMatchLCMScheduler", "shift": 3.0 }));
    assert!(lcm.refused(&[]).contains("flow-match-euler"));
    lcm.latents(&["--scheduler", "flow-match-euler"]);
    let heun = Model::with("flux", &json!({ "_class_name": "FlowMatchHeunDiscreteScheduler", "shift": 3.0 }));
    assert!(
        heun.sample(&[]).message.contains("flow-match-euler (FlowMatchEulerDiscreteScheduler) stands in")
    );
}

#[test]
fn what_another_sampler_does_without_is_avoidable() {
    let karras = json!({ "use_karras_sigmas": true, "steps_offset": 1 });
    let model = Model::with("sd", &config("DPMSolverMultistepScheduler", &karras));
    let message = model.refused(&[]);
    assert!(message.contains("`use_karras_sigmas` = true") && message.contains("--scheduler"), "{message}");
    let outcome = model.sample(&["--scheduler", "euler"]);
    assert!(
        outcome.message.contains("euler does not follow `use_karras_sigmas` = true"),
        "{}",
        outcome.message
    );
    assert!(outcome.picture.is_some());
}

#[test]
fn files_are_read_as_python_reads_them_and_what_is_wrong_is_named() {
    let plain = config("DDIMScheduler", &json!({ "clip_sample": false, "steps_offset": 1 }));
    let painted = Model::with("sd", &plain).latents(&[]);
    let with = |key: &str, value: Value| {
        let mut changed = plain.clone();
        changed[key] = value;
        changed.to_string()
    };
    for text in [
        format!("\u{feff}{plain}"),
        with("num_train_timesteps", json!(1000.0)),
        with("lambda_min_clipped", json!("?")).replace("\"?\"", "-Infinity"),
        with("prediction_type", Value::Null).replace('{', "{\"predict_epsilon\": true, "),
    ] {
        let model = Model::new("sd");
        model.write(text.as_bytes());
        assert_eq!(model.latents(&[]), painted, "{text}");
    }
    for (text, parts) in [
        (with("beta_end", json!("0.012")), ["`beta_end`", "0.012"]),
        (with("beta_end", json!("?")).replace("\"?\"", "NaN"), ["`beta_end`", "NaN"]),
        (with("beta_schedule", json!("laplace")), ["`beta_schedule`", "laplace"]),
        (with("thresholding", json!(true)), ["`thresholding`", "true"]),
        (String::new(), ["is empty", "object"]),
        ("[]".to_owned(), ["a list", "object"]),
    ] {
        let model = Model::new("sd");
        model.write(text.as_bytes());
        let message = model.refused(&[]);
        assert!(message.contains(CONFIG), "{message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    let model = Model::new("sd");
    fs::remove_dir_all(model.folder.path().join("scheduler")).expect("removed");
    let message = model.refused(&[]);
    assert!(message.contains(CONFIG) && message.contains("is missing"), "{message}");
}
