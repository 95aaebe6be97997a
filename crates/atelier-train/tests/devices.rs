//! Several devices share a step: the weights are those of one device with the joint batch.

use atelier_core::{noise::NoiseSource, objectives::Objective};
use atelier_train::{
    TrainError,
    checkpoint::{Subject, latest},
    forward_passes::ForwardPasses,
    options::TrainOptions,
    trainer::{Events, Stage, Task, TrainEvent, train},
};
use burn::{
    module::{Module, Param},
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor, TensorData},
};
use image::RgbImage;
use std::ops::ControlFlow;

/// A layer learns to answer as another one, which is frozen.
struct Imitation {
    questions: Vec<[f32; 3]>,
    teacher: Linear,
}

/// A layer with given weights.
fn layer(weights: [[f32; 2]; 3]) -> Linear {
    let device = Device::flex();
    let mut layer = LinearConfig::new(3, 2).init(&device);
    layer.weight = Param::from_tensor(Tensor::from_floats(weights, &device));
    layer.bias = Some(Param::from_tensor(Tensor::zeros([2], &device)));
    layer
}

impl Imitation {
    fn new() -> Self {
        let mut noise = NoiseSource::new(5);
        let questions = (0..10).map(|_| std::array::from_fn(|_| 2.0 * noise.uniform() - 1.0)).collect();
        Self { questions, teacher: layer([[0.5, -1.0], [1.5, 0.2], [-0.7, 0.9]]) }
    }
}

impl Task for Imitation {
    type Model = Linear;
    type Frozen = Linear;
    type Batch = Tensor<2>;

    fn stage(&self) -> &'static str {
        "imitation"
    }

    fn examples(&self) -> usize {
        self.questions.len()
    }

    fn frozen(&self) -> Linear {
        self.teacher.clone()
    }

    fn batch(
        &mut self,
        examples: &[usize],
        _noise: &mut NoiseSource,
        _step: u64,
        device: &Device,
    ) -> Result<Tensor<2>, TrainError> {
        let values: Vec<f32> = examples.iter().flat_map(|&index| self.questions[index]).collect();
        Ok(Tensor::from_data(TensorData::new(values, [examples.len(), 3]), device))
    }

    fn objective(
        &self,
        model: &Linear,
        teacher: &Linear,
        questions: Tensor<2>,
        _passes: &mut ForwardPasses,
    ) -> Objective {
        let answers = teacher.forward(questions.clone()).autodiff();
        Objective::new((model.forward(questions.autodiff()) - answers).square().mean(), Vec::new())
    }

    fn picture(&mut self, _model: &Linear) -> Result<Option<RgbImage>, TrainError> {
        Ok(None)
    }
}

/// The weights after the steps of `options`; `folder` may have checkpoints of an earlier run.
fn run(
    folder: &tempfile::TempDir,
    options: &TrainOptions,
    events: &mut Events<'_>,
) -> Result<Vec<f32>, TrainError> {
    let model = layer([[0.1, 0.2], [-0.3, 0.1], [0.0, 0.4]]).train();
    let resume = options.resume_from_checkpoint.as_ref();
    let stage = Stage {
        output: folder.path().to_owned(),
        run: "imitation".to_owned(),
        resume: resume.and_then(|_| latest(folder.path(), None).expect("a sound checkpoint")),
        subject: Subject::new(options),
    };
    let model = train(&mut Imitation::new(), model, options, &stage, events)?;
    Ok(model.weight.val().to_data().iter::<f32>().collect())
}

fn fresh(options: &TrainOptions) -> Vec<f32> {
    let folder = tempfile::tempdir().expect("a folder");
    run(&folder, options, &mut |_| ControlFlow::Continue(())).expect("trained")
}

fn options(devices: &str, batch: usize, splits: usize) -> TrainOptions {
    TrainOptions {
        device: devices.parse().expect("devices"),
        train_batch_size: batch,
        batch_splits: splits,
        max_train_steps: 20,
        learning_rate: 1e-2,
        ema_decay: 0.5,
        checkpointing_steps: 10,
        validation_steps: 0,
        ..TrainOptions::default()
    }
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Weights of order one; sums in another order differ in their last digits.
const TOLERANCE: f32 = 1e-5;

#[test]
fn devices_are_one_device_with_the_joint_batch() {
    let one = fresh(&options("cpu", 4, 1));
    let two = fresh(&options("cpu,cpu", 2, 1));
    assert!(difference(&one, &two) < TOLERANCE, "{one:?} {two:?}");
    let two_in_parts = fresh(&options("cpu,cpu", 2, 4));
    assert!(difference(&one, &two_in_parts) < TOLERANCE, "{one:?} {two_in_parts:?}");
    let four = fresh(&options("cpu,cpu,cpu,cpu", 1, 2));
    assert!(difference(&one, &four) < TOLERANCE, "{one:?} {four:?}");
    // The test can tell: the batch of one device alone gives other weights.
    let half = fresh(&options("cpu", 2, 1));
    assert!(difference(&one, &half) > 100.0 * TOLERANCE, "{one:?} {half:?}");
}

#[test]
fn accumulated_batches_are_shared_too() {
    let accumulated = |devices, batch| TrainOptions {
        gradient_accumulation_steps: 2,
        max_train_steps: 10,
        ..options(devices, batch, 1)
    };
    let (one, two) = (fresh(&accumulated("cpu", 4)), fresh(&accumulated("cpu,cpu", 2)));
    assert!(difference(&one, &two) < TOLERANCE, "{one:?} {two:?}");
}

#[test]
fn a_run_is_resumed_on_another_number_of_devices() {
    let straight = fresh(&options("cpu", 4, 1));
    let folder = tempfile::tempdir().expect("a folder");
    let mut stop = |event| match event {
        TrainEvent::Step { step: 10, .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let stopped = run(&folder, &options("cpu,cpu", 2, 1), &mut stop);
    assert!(matches!(stopped, Err(TrainError::Interrupted { step: 10 })));
    let resume_from_checkpoint = Some("latest".to_owned());
    let rest = TrainOptions { resume_from_checkpoint, ..options("cpu", 4, 1) };
    let resumed = run(&folder, &rest, &mut |_| ControlFlow::Continue(())).expect("trained");
    assert!(difference(&straight, &resumed) < TOLERANCE, "{straight:?} {resumed:?}");
}
