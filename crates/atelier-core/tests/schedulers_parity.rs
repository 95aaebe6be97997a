//! The schedulers compute what those of diffusers compute, from configurations that diffusers wrote.
//!
//! `fixtures/schedulers` holds schedules, timesteps and trajectories; `make_fixtures.py` beside this file
//! makes them again. diffusers keeps betas, their cumulative products and sigmas in f32, here they are f64:
//! the products of a thousand rounded factors differ by some 1e-6 of their value, and a trajectory passes
//! that on. Hence a tolerance of 1e-4 of the largest value, or of 1 where all are smaller; a wrong
//! coefficient is off by 1e-2 and more.

#![recursion_limit = "256"]

use atelier_core::schedulers::{
    DDIMScheduler, DPMSolverMultistepScheduler, DiffusionConfig, EulerDiscreteScheduler, NoiseSchedule,
    PipelineRules, PredictionType, Scheduler, SchedulerConfig, SchedulerKind,
};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, de::DeserializeOwned};
use std::{fs, path::PathBuf};

const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct TensorFile {
    shape: [usize; 4],
    values: Vec<f32>,
}

impl TensorFile {
    fn tensor(&self) -> Tensor<4> {
        Tensor::from_data(TensorData::new(self.values.clone(), self.shape), &Device::flex())
    }
}

#[derive(Deserialize)]
struct NoiseScheduleFile {
    config: String,
    indices: Vec<usize>,
    alphas_cumprod: Vec<f64>,
    timesteps: Vec<usize>,
    original: TensorFile,
    noise: TensorFile,
    noisy: TensorFile,
    velocity: TensorFile,
}

#[derive(Deserialize)]
struct SchedulerFile {
    timesteps: Vec<TimestepsFile>,
    trajectories: Vec<TrajectoryFile>,
}

#[derive(Deserialize)]
struct TimestepsFile {
    spacing: String,
    timesteps: Vec<f64>,
}

#[derive(Deserialize)]
struct TrajectoryFile {
    name: String,
    config: String,
    eta: f64,
    init_noise_sigma: f64,
    timesteps: Vec<f64>,
    sigmas: Option<Vec<f64>>,
    latents: TensorFile,
    steps: Vec<StepFile>,
}

#[derive(Deserialize)]
struct StepFile {
    model_input: TensorFile,
    model_output: TensorFile,
    noise: Option<TensorFile>,
    prev_sample: TensorFile,
    pred_original_sample: TensorFile,
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    let path = PathBuf::from("tests/fixtures/schedulers").join(name);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn config(text: &str) -> DiffusionConfig {
    DiffusionConfig::from_json(text.as_bytes()).unwrap()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0_f64, |largest, value| largest.max(value.abs()));
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs();
        // Not `error > …`, which NaN would pass.
        assert!(error <= TOLERANCE * scale, "{what}, value {place}: {found} instead of {expected}");
    }
}

#[track_caller]
fn assert_tensor(found: Tensor<4>, expected: &TensorFile, what: &str) {
    assert_eq!(found.dims(), expected.shape, "{what}");
    let found: Vec<f32> = found.into_data().try_to_vec().unwrap();
    let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
    assert_close(&wide(&found), &wide(&expected.values), what);
}

#[test]
fn noise_schedules_match_diffusers() {
    for case in read::<Vec<NoiseScheduleFile>>("noise_schedules.json") {
        let schedule = NoiseSchedule::new(&config(&case.config)).unwrap();
        let found: Vec<f64> = case.indices.iter().map(|&index| schedule.alphas_cumprod()[index]).collect();
        assert_close(&found, &case.alphas_cumprod, &case.config);
        let (original, noise) = (case.original.tensor(), case.noise.tensor());
        let noisy = schedule.add_noise(original.clone(), noise.clone(), &case.timesteps);
        assert_tensor(noisy, &case.noisy, &case.config);
        assert_tensor(schedule.velocity(original, noise, &case.timesteps), &case.velocity, &case.config);
    }
}

#[track_caller]
fn assert_timesteps(kind: SchedulerKind, found: &[f64], expected: &[f64], what: &str) {
    // Only Euler's timesteps have fractions, which diffusers rounds to f32.
    let tolerance = if kind == SchedulerKind::Euler { 1e-4 } else { 0.0 };
    assert_eq!(found.len(), expected.len(), "{what}");
    let near = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() <= tolerance);
    assert!(near, "{what}: {found:?} instead of {expected:?}");
}

/// Follows a trajectory with the crate's own samples; only the model's outputs and the noise come from the
/// fixture.
fn assert_trajectory(kind: SchedulerKind, case: &TrajectoryFile) {
    let config = config(&case.config);
    let mut scheduler: Box<dyn Scheduler> = if case.eta > 0.0 {
        Box::new(DDIMScheduler::new(&config).unwrap().with_eta(case.eta).unwrap())
    } else {
        kind.build(&SchedulerConfig::Diffusion(config)).unwrap()
    };
    scheduler.set_timesteps(case.timesteps.len()).unwrap();
    assert_timesteps(kind, scheduler.timesteps(), &case.timesteps, &case.name);
    let sigma = scheduler.init_noise_sigma();
    assert_close(&[sigma], &[case.init_noise_sigma], &case.name);
    let mut sample = case.latents.tensor().mul_scalar(sigma);
    for (index, step) in case.steps.iter().enumerate() {
        let what = format!("{kind}, {}, step {index}", case.name);
        let input = scheduler.scale_model_input(sample.clone(), index);
        assert_tensor(input, &step.model_input, &format!("{what}, input"));
        let noise = step.noise.as_ref().map(TensorFile::tensor);
        let done = scheduler.step(step.model_output.tensor(), index, sample, noise).unwrap();
        assert_tensor(done.pred_original_sample, &step.pred_original_sample, &format!("{what}, original"));
        assert_tensor(done.prev_sample.clone(), &step.prev_sample, &what);
        sample = done.prev_sample;
    }
}

fn assert_scheduler_matches(kind: SchedulerKind) -> Vec<TrajectoryFile> {
    let file: SchedulerFile = read(&format!("{kind}.json"));
    for case in &file.timesteps {
        let text = format!("{{\"timestep_spacing\": \"{}\"}}", case.spacing);
        let mut scheduler = kind.build(&SchedulerConfig::Diffusion(config(&text))).unwrap();
        scheduler.set_timesteps(case.timesteps.len()).unwrap();
        assert_timesteps(kind, scheduler.timesteps(), &case.timesteps, &case.spacing);
    }
    for case in &file.trajectories {
        assert_trajectory(kind, case);
    }
    let predictions: Vec<_> =
        file.trajectories.iter().map(|case| config(&case.config).prediction_type).collect();
    for prediction in [PredictionType::Epsilon, PredictionType::VPrediction, PredictionType::Sample] {
        assert!(predictions.contains(&prediction), "the fixture lacks {prediction:?}");
    }
    file.trajectories
}

#[test]
fn ddpm_matches_diffusers() {
    assert_scheduler_matches(SchedulerKind::Ddpm);
}

#[test]
fn ddim_matches_diffusers() {
    assert_scheduler_matches(SchedulerKind::Ddim);
}

#[test]
fn euler_matches_diffusers() {
    for case in assert_scheduler_matches(SchedulerKind::Euler) {
        let mut scheduler = EulerDiscreteScheduler::new(&config(&case.config)).unwrap();
        scheduler.set_timesteps(case.timesteps.len()).unwrap();
        assert_close(scheduler.sigmas(), &case.sigmas.unwrap(), &case.name);
    }
}

#[test]
fn dpm_solver_matches_diffusers() {
    for case in assert_scheduler_matches(SchedulerKind::DpmSolverMultistep) {
        let mut scheduler = DPMSolverMultistepScheduler::new(&config(&case.config)).unwrap();
        scheduler.set_timesteps(case.timesteps.len()).unwrap();
        assert_close(scheduler.sigmas(), &case.sigmas.unwrap(), &case.name);
    }
}

/// A configuration of one class, sampled by another.
#[derive(Deserialize)]
struct ConversionFile {
    name: String,
    kind: SchedulerKind,
    /// The text of the `scheduler_config.json`.
    file: String,
    /// Whether `StableDiffusionPipeline` has corrected it.
    stable_diffusion: bool,
    init_noise_sigma: f64,
    timesteps: Vec<f64>,
    latents: TensorFile,
    outputs: Vec<TensorFile>,
    noises: Vec<TensorFile>,
    sampled: TensorFile,
}

/// Classes have their own defaults, what they were is left behind where another class samples, and Stable Diffusion's
/// pipeline corrects what is outdated.
#[test]
fn configurations_of_other_classes_are_sampled_as_diffusers_does() {
    for case in read::<Vec<ConversionFile>>("conversions.json") {
        let what = format!("{} by {}", case.name, case.kind);
        let rules =
            if case.stable_diffusion { PipelineRules::StableDiffusion } else { PipelineRules::Unchanged };
        let config = SchedulerConfig::from_json(case.file.as_bytes()).unwrap();
        let choice = config.sampler(Some(case.kind), rules).unwrap();
        let mut scheduler = choice.kind.build(&choice.config).unwrap();
        scheduler.set_timesteps(case.timesteps.len()).unwrap();
        assert_timesteps(case.kind, scheduler.timesteps(), &case.timesteps, &what);
        let sigma = scheduler.init_noise_sigma();
        assert_close(&[sigma], &[case.init_noise_sigma], &what);
        let mut sample = case.latents.tensor().mul_scalar(sigma);
        for (index, output) in case.outputs.iter().enumerate() {
            let noise = case.noises.get(index).map(TensorFile::tensor);
            sample = scheduler.step(output.tensor(), index, sample, noise).unwrap().prev_sample;
        }
        assert_tensor(sample, &case.sampled, &what);
        // The written file is the same.
        let written = serde_json::to_vec(&config).unwrap();
        assert_eq!(SchedulerConfig::from_json(&written).unwrap(), config, "{what}");
    }
}
