//! What all schedulers have in common.

use super::*;
use crate::noise::NoiseSource;
use burn::tensor::Device;
use proptest::prelude::*;

const SPACINGS: [TimestepSpacing; 3] =
    [TimestepSpacing::Leading, TimestepSpacing::Trailing, TimestepSpacing::Linspace];

/// The samplers of models that were trained on diffusion.
const KINDS: [SchedulerKind; 4] =
    [SchedulerKind::Ddpm, SchedulerKind::Ddim, SchedulerKind::Euler, SchedulerKind::DpmSolverMultistep];

fn any_kind() -> impl Strategy<Value = SchedulerKind> {
    prop::sample::select(&KINDS)
}

fn build(kind: SchedulerKind, config: DiffusionConfig) -> Box<dyn Scheduler> {
    kind.build(&SchedulerConfig::Diffusion(config)).unwrap()
}

fn any_spacing() -> impl Strategy<Value = TimestepSpacing> {
    prop::sample::select(&SPACINGS)
}

fn normal(source: &mut NoiseSource) -> Tensor<4> {
    source.normal([2, 1, 2, 3], &Device::flex())
}

/// Denoises with a model that answers `output` to everything, and gives what the last step gives.
fn run(scheduler: &mut dyn Scheduler, output: &Tensor<4>, source: &mut NoiseSource) -> StepOutput {
    let mut sample = normal(source).mul_scalar(scheduler.init_noise_sigma());
    let mut last = None;
    for index in 0..scheduler.timesteps().len() {
        let noise = scheduler.needs_noise(index).then(|| normal(source));
        let done = scheduler.step(output.clone(), index, sample, noise).unwrap();
        sample = done.prev_sample.clone();
        last = Some(done);
    }
    last.unwrap()
}

proptest! {
    #[test]
    fn timesteps_fall_strictly_within_the_training_steps(
        kind in any_kind(), timestep_spacing in any_spacing(), n in 1_usize..=499, offset in 0_usize..=1,
    ) {
        let config = DiffusionConfig { timestep_spacing, steps_offset: offset, ..Default::default() };
        let mut scheduler = build(kind, config);
        scheduler.set_timesteps(n).unwrap();
        let timesteps = scheduler.timesteps();
        prop_assert_eq!(timesteps.len(), n);
        prop_assert!(timesteps.is_sorted_by(|a, b| a > b), "{:?}", timesteps);
        prop_assert!(timesteps.iter().all(|t| (0.0..1000.0).contains(t)), "{:?}", timesteps);
    }

    #[test]
    fn the_last_step_gives_the_predicted_original(
        kind in any_kind(), timestep_spacing in any_spacing(), n in 1_usize..12, seed: u64,
    ) {
        // DDIM goes down by a whole stride, which ends before 0 with the other spacings, in diffusers too.
        let strided = kind == SchedulerKind::Ddim;
        let timestep_spacing = if strided { TimestepSpacing::Leading } else { timestep_spacing };
        let config = DiffusionConfig { timestep_spacing, clip_sample: false, ..Default::default() };
        let mut scheduler = build(kind, config);
        scheduler.set_timesteps(n).unwrap();
        let mut source = NoiseSource::new(seed);
        let output = normal(&mut source);
        let done = run(scheduler.as_mut(), &output, &mut source);
        prop_assert_eq!(done.prev_sample.to_data(), done.pred_original_sample.to_data());
    }

    #[test]
    fn the_same_noise_gives_the_same_sample_again(kind in any_kind(), n in 1_usize..8, seed: u64) {
        let mut scheduler = build(kind, DiffusionConfig::default());
        scheduler.set_timesteps(n).unwrap();
        let [first, second] = [(); 2].map(|()| {
            scheduler.reset();
            let mut source = NoiseSource::new(seed);
            let output = normal(&mut source);
            run(scheduler.as_mut(), &output, &mut source).prev_sample.to_data()
        });
        prop_assert_eq!(first, second);
    }
}

#[test]
fn only_ddpm_adds_noise_unless_asked_and_never_in_the_last_step() {
    let needs = |scheduler: &dyn Scheduler| [0, 1, 2].map(|index| scheduler.needs_noise(index));
    for kind in KINDS {
        let mut scheduler = build(kind, DiffusionConfig::default());
        scheduler.set_timesteps(3).unwrap();
        let noisy = kind == SchedulerKind::Ddpm;
        assert_eq!(needs(scheduler.as_ref()), [noisy, noisy, false], "{kind}");
    }
    let mut noisy = DDIMScheduler::new(&DiffusionConfig::default()).unwrap().with_eta(0.5).unwrap();
    noisy.set_timesteps(3).unwrap();
    assert_eq!(needs(&noisy), [true, true, false]);
}

#[test]
fn eta_outside_its_range_is_refused() {
    for eta in [-0.1, 1.1, f64::NAN] {
        DDIMScheduler::new(&DiffusionConfig::default()).unwrap().with_eta(eta).unwrap_err();
    }
}

#[test]
fn numbers_of_steps_without_timesteps_are_refused() {
    for kind in KINDS {
        for timestep_spacing in SPACINGS {
            let config = DiffusionConfig { timestep_spacing, ..Default::default() };
            let mut scheduler = build(kind, config);
            for n in [0, 1001] {
                let error = scheduler.set_timesteps(n).unwrap_err().to_string();
                assert!(error.contains("choose 1 to"), "{error}");
            }
        }
    }
    let mut scheduler =
        DDIMScheduler::new(&DiffusionConfig { steps_offset: 1, ..Default::default() }).unwrap();
    let error = scheduler.set_timesteps(1000).unwrap_err().to_string();
    assert!(error.contains("`steps_offset` = 1"), "{error}");
}

#[test]
fn steps_that_cannot_be_done_are_refused() {
    let zeros = |width| Tensor::<4>::zeros([1, 1, 1, width], &Device::flex());
    for kind in KINDS {
        let mut scheduler = build(kind, DiffusionConfig::default());
        let error = scheduler.step(zeros(2), 0, zeros(2), None).unwrap_err();
        assert!(matches!(error, SchedulerError::Index { index: 0, steps: 0 }), "{error}");
        scheduler.set_timesteps(2).unwrap();
        let error = scheduler.step(zeros(3), 0, zeros(2), None).unwrap_err();
        assert!(matches!(error, SchedulerError::Shape { tensor: "the model's output", .. }), "{error}");
    }
    let mut scheduler = DDPMScheduler::new(&DiffusionConfig::default()).unwrap();
    scheduler.set_timesteps(2).unwrap();
    let error = scheduler.step(zeros(2), 0, zeros(2), None).unwrap_err();
    assert!(matches!(error, SchedulerError::MissingNoise { index: 0 }), "{error}");
    let error = scheduler.step(zeros(2), 0, zeros(2), Some(zeros(1))).unwrap_err();
    assert!(matches!(error, SchedulerError::Shape { tensor: "the noise", .. }), "{error}");
}

/// Values that keys of a scheduler may have by mistake, and some that they may have.
fn any_value() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::json;
    prop_oneof![
        (0_u32..1200).prop_map(|number| json!(number)),
        (-2.0_f64..2.0).prop_map(|number| json!(number)),
        any::<bool>().prop_map(|flag| json!(flag)),
        prop::sample::select(vec![
            json!(null),
            json!([]),
            json!([0.1, 0.2]),
            json!({}),
            json!(1e300),
            json!("NaN"),
            json!("-Infinity"),
            json!("text"),
            json!("scaled_linear"),
            json!("squaredcos_cap_v2"),
            json!("v_prediction"),
            json!("flow_prediction"),
            json!("trailing"),
            json!("linspace"),
        ]),
    ]
}

proptest! {
    /// Whatever a configuration says, it is sampled or refused.
    #[test]
    fn no_configuration_panics(
        class in prop::sample::select(vec![
            "DDPMScheduler", "DDIMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler",
            "UniPCMultistepScheduler", "PNDMScheduler", "FlowMatchEulerDiscreteScheduler", "LCMScheduler", "Other",
        ]),
        keys in prop::collection::vec((any::<prop::sample::Index>(), any_value()), 0..6),
        kind in prop::option::of(prop::sample::select(&SchedulerKind::ALL)),
        corrected: bool,
        n in 0_usize..6,
    ) {
        let known: Vec<&String> = ["DDIMScheduler", "DPMSolverMultistepScheduler", "FlowMatchEulerDiscreteScheduler"]
            .into_iter()
            .flat_map(|class| class::defaults(class).unwrap().keys())
            .collect();
        let mut json = serde_json::json!({ "_class_name": class });
        for (index, value) in keys {
            json[known[index.index(known.len())]] = value;
        }
        let rules = if corrected { PipelineRules::StableDiffusion } else { PipelineRules::Unchanged };
        let Ok(config) = SchedulerConfig::from_json(json.to_string().as_bytes()) else { return Ok(()) };
        let Ok(choice) = config.sampler(kind, rules) else { return Ok(()) };
        let Ok(mut scheduler) = choice.kind.build(&choice.config) else { return Ok(()) };
        if scheduler.set_timesteps(n).is_ok() {
            let output = normal(&mut NoiseSource::new(0));
            run(scheduler.as_mut(), &output, &mut NoiseSource::new(1));
        }
    }
}
