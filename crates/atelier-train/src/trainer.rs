//! The one training loop: every objective is a [`Task`] in it.

use crate::{
    batches::Batches,
    checkpoint::{self, Checkpoint, Expected, Progress, Subject},
    error::TrainError,
    forward_passes::ForwardPasses,
    learning_rate::LearningRateSchedule,
    metrics::MetricsLogger,
    optimizer::{AdamW, Ema, named_parameters, parameter_sizes, with_parameters},
    options::TrainOptions,
    picture,
    workers::Workers,
};
use atelier_core::{noise::NoiseSource, objectives::Objective};
use burn::{
    module::Module,
    optim::GradientsAccumulator,
    tensor::{Device, Tensor},
};
use image::RgbImage;
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Instant,
};

/// What is trained, and on what.
pub trait Task: Sync {
    /// The trained module.
    type Model: Module + Sync;

    /// The modules besides it that the objective computes with; [`NothingFrozen`] where there is none.
    type Frozen: Module + Sync;

    /// What a batch is made of; several are computed at once.
    type Batch: Send;

    /// Its name in checkpoints and progress bars.
    fn stage(&self) -> &'static str;

    /// How many examples there are; batches are drawn from them without replacement, epoch by epoch.
    fn examples(&self) -> usize;

    /// Width and height of an example; a batch has examples of one size. Tasks whose examples are all alike need not say.
    fn size(&self, _example: usize) -> [u32; 2] {
        [0; 2]
    }

    /// Those modules, without gradients, on the device of the run; [`train`] copies them to every other device.
    fn frozen(&self) -> Self::Frozen;

    /// What the objective needs of some examples, on `device` (without gradients); everything random comes from `noise`.
    ///
    /// # Errors
    /// Whatever keeps a batch from being made.
    fn batch(
        &mut self,
        examples: &[usize],
        noise: &mut NoiseSource,
        step: u64,
        device: &Device,
    ) -> Result<Self::Batch, TrainError>;

    /// The loss of `model` (with gradients) on a batch, all on one device, which need not be that of the run; a trained
    /// denoiser predicts through `passes`.
    fn objective(
        &self,
        model: &Self::Model,
        frozen: &Self::Frozen,
        batch: Self::Batch,
        passes: &mut ForwardPasses,
    ) -> Objective;

    /// A picture of what `model` (without gradients) can do, if the task has one.
    ///
    /// # Errors
    /// Whatever keeps it from being painted.
    fn picture(&mut self, model: &Self::Model) -> Result<Option<RgbImage>, TrainError>;
}

/// For objectives of the trained module alone.
#[derive(Module, Debug)]
pub struct NothingFrozen;

/// News of a run, for progress bars.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainEvent {
    /// A phase that is not steps: what it is, and how much of it is done.
    Preparing {
        /// For people.
        what: String,
        /// Items done.
        done: usize,
        /// Items in all.
        total: usize,
    },
    /// Optimiser steps.
    Step {
        /// The stage's name.
        stage: &'static str,
        /// Steps done.
        step: u64,
        /// Steps in all.
        total: u64,
        /// The latest loss that was read back.
        loss: f64,
        /// The learning rate.
        learning_rate: f64,
    },
    /// Something was written.
    Saved(std::path::PathBuf),
}

/// Receives news; `Break` ends the run after the current step, with a checkpoint.
pub type Events<'a> = dyn FnMut(TrainEvent) -> ControlFlow<()> + 'a;

/// Where a stage of a run writes, and what it goes on from.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The folder of its logs, samples and checkpoints, which no other run writes into.
    pub output: PathBuf,
    /// The name of the run, which its checkpoints carry.
    pub run: String,
    /// The checkpoint to go on from.
    pub resume: Option<PathBuf>,
    /// What is trained.
    pub subject: Subject,
}

/// Steps between reads of the logged values: each read waits for the device.
const READ_EVERY: u64 = 10;

/// Trains `model` (on a device with gradients) and gives it back without gradients, averaged if the run averages.
///
/// Writes `metrics.jsonl`, TensorBoard events, sample grids and checkpoints into the folder of `stage`.
///
/// # Errors
/// [`TrainError::Checkpoint`] for one that is broken or of another run, [`TrainError::Interrupted`] after a checkpoint when
/// `events` breaks, [`TrainError::Diverged`] when the loss is not finite, and whatever files and devices fail with;
/// [`TrainError::AfterCheckpoint`] names the checkpoint to go on from.
pub fn train<T: Task>(
    task: &mut T,
    model: T::Model,
    options: &TrainOptions,
    stage: &Stage,
    events: &mut Events<'_>,
) -> Result<T::Model, TrainError> {
    train_to_the_end(task, model, options, stage, events).map_err(|error| {
        let latest = checkpoint::latest(&stage.output, Some(&stage.run)).ok().flatten();
        error.after_checkpoint(latest.as_deref())
    })
}

fn train_to_the_end<T: Task>(
    task: &mut T,
    model: T::Model,
    options: &TrainOptions,
    stage: &Stage,
    events: &mut Events<'_>,
) -> Result<T::Model, TrainError> {
    if task.examples() == 0 {
        return Err(TrainError::Data(
            "there is nothing to train on: the data has no usable example".to_owned(),
        ));
    }
    let workers = Workers::new(
        task.frozen(),
        device_of(&model),
        options.device.others()?,
        options.gradient_checkpointing,
    );
    let mut run = Run::start(task, model, options, workers.count(), stage)?;
    tracing::info!(
        stage = task.stage(),
        examples = task.examples(),
        done = run.step,
        steps = options.max_train_steps,
        devices = %options.device,
        "training"
    );
    while run.step < options.max_train_steps {
        let step_started = Instant::now();
        run.step(task, options, &workers)?;
        let seconds = step_started.elapsed().as_secs_f64();
        let samples = options.train_batch_size * options.gradient_accumulation_steps * workers.count();
        run.pending_rates.push(samples as f64 / seconds);
        let last = run.step == options.max_train_steps;
        if last || run.step.is_multiple_of(READ_EVERY) {
            run.read_back()?;
        }
        let event = TrainEvent::Step {
            stage: task.stage(),
            step: run.step,
            total: options.max_train_steps,
            loss: run.loss,
            learning_rate: run.schedule.at(run.step),
        };
        let stop = events(event).is_break() && !last;
        let due = options.checkpointing_steps > 0 && run.step.is_multiple_of(options.checkpointing_steps);
        if stop || (due && !last) {
            run.read_back()?;
            let saved =
                run.checkpoint(task.stage(), stage).save(&stage.output, options.checkpoints_total_limit)?;
            let _ = events(TrainEvent::Saved(saved));
        }
        if stop {
            return Err(TrainError::Interrupted { step: run.step });
        }
        if options.validation_steps > 0 && (last || run.step.is_multiple_of(options.validation_steps)) {
            // A run that has diverged says so before it fails to paint.
            run.read_back()?;
            run.validate(task, &stage.output, events)?;
        }
    }
    Ok(run.finished())
}

/// The state of a run between steps.
struct Run<M: Module> {
    model: M,
    optimizer: AdamW,
    ema: Option<Ema>,
    schedule: LearningRateSchedule,
    metrics: MetricsLogger,
    step: u64,
    loss: f64,
    order: Batches,
    noise: NoiseSource,
    pending: Vec<Pending>,
    pending_rates: Vec<f64>,
}

/// Logged values that are still on the device.
struct Pending {
    step: u64,
    names: Vec<&'static str>,
    values: Tensor<1>,
    learning_rate: f64,
}

impl<M: Module> Run<M> {
    fn start<T: Task<Model = M>>(
        task: &T,
        model: M,
        options: &TrainOptions,
        workers: usize,
        stage: &Stage,
    ) -> Result<Self, TrainError> {
        let device = device_of(&model);
        let schedule = LearningRateSchedule {
            base: options.learning_rate,
            warmup_steps: options.lr_warmup_steps,
            total_steps: options.max_train_steps,
            kind: options.lr_scheduler,
        };
        if schedule.trains_nothing() {
            tracing::warn!(
                "every step has a learning rate of 0, so nothing is learned: --lr-scheduler ends at 0 with the last of \
                 --max-train-steps {}; take more steps, or constant_with_warmup",
                options.max_train_steps
            );
        }
        let resumed = match &stage.resume {
            Some(checkpoint) => {
                let sizes = parameter_sizes(&model);
                let (steps, subject) = (options.max_train_steps, &stage.subject);
                let expected = Expected { stage: task.stage(), steps, subject, sizes: &sizes };
                Some(Checkpoint::load(checkpoint, expected, &device)?)
            }
            None => None,
        };
        let done = resumed.as_ref().map_or(0, |checkpoint| checkpoint.progress.step);
        let metrics = MetricsLogger::open(&stage.output, done)?;
        let averaged = options.ema_decay > 0.0;
        let sizes: Vec<[u32; 2]> = (0..task.examples()).map(|example| task.size(example)).collect();
        let batch = options.train_batch_size * workers;
        match resumed {
            None => {
                let order = NoiseSource::with_stream(options.seed, ORDER_STREAM);
                Ok(Self {
                    optimizer: AdamW::new(options.adamw()),
                    ema: averaged.then(|| Ema::new(&model, options.ema_decay)),
                    model,
                    schedule,
                    metrics,
                    step: 0,
                    loss: f64::NAN,
                    order: Batches::new(&order, sizes, batch),
                    noise: NoiseSource::with_stream(options.seed, NOISE_STREAM),
                    pending: Vec::new(),
                    pending_rates: Vec::new(),
                })
            }
            Some(Checkpoint { progress, model: weights, moments: (first, second), ema, .. }) => {
                let model = with_parameters(model, &weights);
                let ema = match ema {
                    Some(shadow) if averaged => Some(Ema::restore(options.ema_decay, shadow)),
                    None if averaged => {
                        tracing::warn!(
                            "the run had no --ema-decay so far: the average begins at the checkpoint"
                        );
                        Some(Ema::new(&model, options.ema_decay))
                    }
                    Some(_) => {
                        tracing::warn!("without --ema-decay, the average in the checkpoint is given up");
                        None
                    }
                    None => None,
                };
                Ok(Self {
                    optimizer: AdamW::restore(options.adamw(), progress.step, first, second),
                    ema,
                    model,
                    schedule,
                    metrics,
                    step: progress.step,
                    loss: f64::NAN,
                    order: Batches::at(progress.order, sizes, batch),
                    noise: NoiseSource::at(progress.noise),
                    pending: Vec::new(),
                    pending_rates: Vec::new(),
                })
            }
        }
    }

    /// One optimiser step over one or more batches of every device.
    fn step<T: Task<Model = M>>(
        &mut self,
        task: &mut T,
        options: &TrainOptions,
        workers: &Workers<T::Frozen>,
    ) -> Result<(), TrainError> {
        let learning_rate = self.schedule.at(self.step + 1);
        let count = options.gradient_accumulation_steps;
        let of_each = workers.parts_of_each(options.train_batch_size, options.batch_splits);
        let parts = (count * of_each * workers.count()) as f64;
        let mut accumulator = GradientsAccumulator::new();
        let mut names = Vec::new();
        let mut sum: Option<Tensor<1>> = None;
        for _ in 0..count {
            let examples = self.order.next_batch();
            let batches = examples
                .chunks(options.train_batch_size / of_each)
                .enumerate()
                .map(|(index, part)| {
                    task.batch(part, &mut self.noise, self.step, workers.device(index, of_each))
                })
                .collect::<Result<Vec<_>, _>>()?;
            for result in workers.gradients(task, &self.model, batches, of_each, parts) {
                accumulator.accumulate(&self.model, result.gradients);
                names = result.names;
                let values = result.values.div_scalar(parts);
                sum = Some(match sum {
                    Some(sum) => sum + values,
                    None => values,
                });
            }
        }
        let (model, norm) = self.optimizer.step(self.model.clone(), accumulator.grads(), learning_rate);
        self.model = model;
        self.step += 1;
        if let Some(ema) = &mut self.ema {
            ema.update(&self.model, self.step);
        }
        if let Some(values) = sum {
            names.push("gradient_norm");
            let values = Tensor::cat(vec![values, norm], 0);
            self.pending.push(Pending { step: self.step, names, values, learning_rate });
        }
        Ok(())
    }

    /// Reads and logs everything since the last read, in one transfer.
    fn read_back(&mut self) -> Result<(), TrainError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let joined = Tensor::cat(self.pending.iter().map(|pending| pending.values.clone()).collect(), 0);
        let data = joined.try_into_data().map_err(|error| TrainError::DeviceLost(error.to_string()))?;
        let mut values = data.iter::<f32>().map(f64::from);
        for (pending, rate) in self.pending.drain(..).zip(self.pending_rates.drain(..)) {
            let mut record: Vec<(&str, f64)> =
                pending.names.iter().copied().zip(values.by_ref().take(pending.names.len())).collect();
            self.loss = record.first().map_or(f64::NAN, |(_, loss)| *loss);
            if record.iter().any(|(_, value)| !value.is_finite()) {
                return Err(TrainError::Diverged { step: pending.step });
            }
            record.push(("learning_rate", pending.learning_rate));
            record.push(("samples_per_second", rate));
            self.metrics.log(pending.step, &record)?;
        }
        Ok(())
    }

    fn checkpoint(&self, name: &str, stage: &Stage) -> Checkpoint {
        let (first, second) = self.optimizer.moments();
        Checkpoint {
            progress: Progress {
                step: self.step,
                stage: name.to_owned(),
                order: self.order.position().clone(),
                noise: self.noise.position(),
            },
            run: Some(stage.run.clone()),
            subject: Some(stage.subject.clone()),
            model: named_parameters(&self.model),
            moments: (first.clone(), second.clone()),
            ema: self.ema.as_ref().map(|ema| ema.shadow().clone()),
        }
    }

    fn validate<T: Task<Model = M>>(
        &mut self,
        task: &mut T,
        output: &Path,
        events: &mut Events<'_>,
    ) -> Result<(), TrainError> {
        let model = self.averaged();
        let picture = match task.picture(&model) {
            // What cannot be painted now is no reason to lose what was trained.
            Err(TrainError::NotFinite(error)) => {
                tracing::warn!(step = self.step, "no sample grid: {error}");
                None
            }
            picture => picture?,
        };
        if let Some(picture) = picture {
            let path = output.join("samples").join(format!("step-{:06}.png", self.step));
            picture::write_png(&path, &picture, &[("Software", "atelier")])?;
            self.metrics.log_image(self.step, "samples", &picture)?;
            let _ = events(TrainEvent::Saved(path));
        }
        Ok(())
    }

    /// The model as it would be kept now, without gradients.
    fn averaged(&self) -> M {
        let model = self.model.valid();
        match &self.ema {
            Some(ema) => ema.apply(model),
            None => model,
        }
    }

    fn finished(self) -> M {
        self.averaged()
    }
}

/// Streams of the run's seed.
const ORDER_STREAM: u64 = 1;
const NOISE_STREAM: u64 = 2;

/// The device of a module's parameters, without gradients.
pub fn device_of<M: Module>(model: &M) -> Device {
    model.devices().first().cloned().unwrap_or_else(Device::flex).inner()
}
