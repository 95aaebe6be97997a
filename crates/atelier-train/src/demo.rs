//! The main job from end to end, on embedded data: teach, align, compare, explain.

use crate::{
    device::DeviceChoice,
    error::TrainError,
    evaluation::{evaluate, unjudged_sides},
    explanations::{AnnotatedPicture, CALIBRATION, PictureExplainer, calibration_file, write_calibration},
    metrics,
    options::{Granularity, StabilisationKind, TrainOptions},
    output::{OutputError, OutputFolder},
    painter::{PaintOptions, paint, reconstruct},
    report::{self, ExplainedPair, LossCurve, Report, Timing},
    run,
    trainer::{Events, TrainEvent},
};
use atelier_core::{
    explanation::ExplanationOptions, painting::PaintingOptions, pipeline::Pipeline, schedulers::SchedulerKind,
};
use atelier_criteria::{CriteriaTree, Labels};
use atelier_studio::{Annotator, DatasetOptions, PaintingSpec, write_dataset};
use image::RgbImage;
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// What the demo does.
#[derive(Debug, Clone, PartialEq)]
pub struct DemoOptions {
    /// Where everything goes.
    pub out: PathBuf,
    /// Where to compute.
    pub device: DeviceChoice,
    /// One minute instead of three.
    pub quick: bool,
    /// Decides data, training and pictures.
    pub seed: u64,
}

/// How much of everything.
struct Plan {
    paintings: u64,
    sft_steps: u64,
    cpo_steps: u64,
    pictures: usize,
    steps: usize,
    explained: usize,
    leaves: usize,
    draws: usize,
    calibrated: u64,
    reconstructed: u64,
}

impl Plan {
    fn new(quick: bool) -> Self {
        if quick {
            Self {
                paintings: 100,
                sft_steps: 16,
                cpo_steps: 24,
                pictures: 64,
                steps: 16,
                explained: 1,
                leaves: 6,
                draws: 8,
                calibrated: 3,
                reconstructed: 48,
            }
        } else {
            Self {
                paintings: 400,
                sft_steps: 100,
                cpo_steps: 80,
                pictures: 64,
                steps: 50,
                explained: 3,
                leaves: 12,
                draws: 16,
                calibrated: 12,
                reconstructed: 128,
            }
        }
    }
}

/// Seed offsets that keep data for training, calibration and captions apart.
const HELD_OUT: u64 = 1 << 32;
const CAPTIONS: u64 = 2 << 32;

/// Runs the demo with the embedded base model `base` (its files by relative path); gives the path of `report.html`.
///
/// Everything appears in `options.out` at once when it is complete; an earlier demo there is replaced if nobody has changed
/// anything in it.
///
/// # Errors
/// [`TrainError`]; nothing is left behind.
pub fn demo(
    options: &DemoOptions,
    base: &BTreeMap<String, Vec<u8>>,
    tree: &CriteriaTree,
    events: &mut Events<'_>,
) -> Result<(PathBuf, Report), TrainError> {
    run_demo(options, base, tree, events).map_err(|error| match error {
        // Checkpoints of its trainings go with the temporary folder.
        error if error.is_cancelled() => TrainError::cancelled(),
        TrainError::AfterCheckpoint { source, .. } => *source,
        error => error,
    })
}

fn run_demo(
    options: &DemoOptions,
    base: &BTreeMap<String, Vec<u8>>,
    tree: &CriteriaTree,
    events: &mut Events<'_>,
) -> Result<(PathBuf, Report), TrainError> {
    let started = Instant::now();
    let plan = Plan::new(options.quick);
    // Asked before anything is written: who interrupts from here on has it cleaned up.
    let beginning =
        TrainEvent::Preparing { what: "painting".to_owned(), done: 0, total: plan.paintings as usize };
    if events(beginning).is_break() {
        return Err(TrainError::cancelled());
    }
    let output = OutputFolder::prepare(&options.out).map_err(|error| match error {
        // The name has a default, and can be chosen.
        OutputError::Occupied { .. } => TrainError::Option(format!("{error}; --out names one")),
        error => error.into(),
    })?;
    let folder = output.path();
    let device = options.device.device()?;
    for (name, bytes) in base {
        output.write(&format!("base/{name}"), |writer| writer.write_all(bytes))?;
    }
    let mut timings = Vec::new();
    let mut lap = Instant::now();
    let mut time = |what: &str| {
        timings.push(Timing { what: what.to_owned(), seconds: lap.elapsed().as_secs_f64() });
        lap = Instant::now();
    };
    paint_data(folder, &plan, options.seed, events)?;
    time("painting studio data");
    let auxiliary_folder = run::sft(&auxiliary_options(options, folder, &plan), tree, events)?;
    time("stage 1: the auxiliary model");
    let aligned =
        run::align(&alignment_options(options, folder, &plan, auxiliary_folder.clone()), tree, events)?;
    time("stage 2: alignment");
    let base = Pipeline::load(&folder.join("base") as &Path, &device)?;
    let aligned = Pipeline::load(&aligned as &Path, &device)?;
    let auxiliary = Pipeline::load(&auxiliary_folder as &Path, &device)?;
    let requests: Vec<(String, u64)> = (0..plan.pictures as u64)
        .map(|index| {
            (PaintingSpec::from_seed(options.seed + CAPTIONS, index).caption(), options.seed + index)
        })
        .collect();
    // Guidance multiplies what a model knows of a caption, and hides what alignment changed: neither model gets any.
    // The fast samplers leave specks of noise that the small painter cannot tell from texture; fresh noise at every
    // step lets it take them away again.
    let suited = PaintOptions::default();
    let paint_options = PaintOptions {
        painting: PaintingOptions {
            steps: plan.steps,
            guidance_scale: 1.0,
            scheduler: SchedulerKind::Ddpm,
            ..suited.painting
        },
        ..suited
    };
    let mut sample = |pipeline: &Pipeline, what: &str| {
        let mut tell = |done: f64| {
            let (done, total) = ((done * requests.len() as f64) as usize, requests.len());
            events(TrainEvent::Preparing { what: what.to_owned(), done, total })
        };
        paint(pipeline, &requests, &paint_options, &mut tell)
    };
    let before = sample(&base, "sampling the base")?;
    let after = sample(&aligned, "sampling the aligned")?;
    time("sampling both models");
    let originals = held_out(&plan, options.seed);
    let unjudged = unjudged_sides(&originals, &reconstruct(&base, &originals)?);
    let found = [evaluate(&before, &unjudged, tree), evaluate(&after, &unjudged, tree)];
    time("measuring");
    let mut explainer = PictureExplainer::new(
        &auxiliary,
        tree,
        ExplanationOptions { draws: plan.draws, ..ExplanationOptions::default() },
    );
    calibrate(&mut explainer, &plan, options.seed, events)?;
    write_calibration(&calibration_file(&auxiliary_folder.join(CALIBRATION))?, explainer.calibration())?;
    let chosen = most_changed(&found[0].labels, &found[1].labels, plan.explained);
    let mut explained = Vec::new();
    for (done, index) in chosen.into_iter().enumerate() {
        let event = TrainEvent::Preparing { what: "explaining".to_owned(), done, total: plan.explained };
        if events(event).is_break() {
            return Err(TrainError::cancelled());
        }
        let leaves = leaves_to_explain(&found[0].labels[index], &found[1].labels[index], plan.leaves);
        let explain = |picture: &RgbImage| {
            explainer.explain(picture, &requests[index].0, &leaves, &mut |_| ControlFlow::Continue(()))
        };
        explained.push(ExplainedPair {
            index,
            base: explain(&before[index])?,
            aligned: explain(&after[index])?,
        });
    }
    time("explaining");
    let [base_found, aligned_found] = found;
    let report = Report {
        quick: options.quick,
        seed: options.seed,
        captions: requests.iter().map(|(caption, _)| caption.clone()).collect(),
        base: base_found,
        aligned: aligned_found,
        unjudged,
        curves: vec![
            LossCurve::read(
                &folder.join("auxiliary"),
                "Stage 1: denoising error of the auxiliary model",
                "mse",
            )?,
            LossCurve::read(
                &folder.join("aligned"),
                "Stage 2: distance to the positive target",
                "mse_winning",
            )?,
            LossCurve::read(&folder.join("aligned"), "Stage 2: distance to the reference", "mse_reference")?,
            LossCurve::read(&folder.join("aligned"), "Stage 2: loss", "loss")?,
        ],
        calibration_error: explainer.calibration().expected_error,
        explained,
        timings,
        seconds: started.elapsed().as_secs_f64(),
    };
    report::write(folder, &report, tree, &before, &after)?;
    output.publish()?;
    Ok((options.out.join("report.html"), report))
}

fn paint_data(folder: &Path, plan: &Plan, seed: u64, events: &mut Events<'_>) -> Result<(), TrainError> {
    let options = DatasetOptions { count: plan.paintings, seed, size: 128 };
    let (painted, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    // Paintings come from many threads, the events must come from this one.
    thread::scope(|scope| {
        let painter = scope.spawn(|| {
            write_dataset(&folder.join("data"), options, &|done, _| {
                painted.fetch_max(done, Ordering::Relaxed);
                if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        });
        while !painter.is_finished() {
            let (done, total) = (painted.load(Ordering::Relaxed) as usize, options.count as usize);
            if events(TrainEvent::Preparing { what: "painting".to_owned(), done, total }).is_break() {
                stop.store(true, Ordering::Relaxed);
            }
            thread::sleep(Duration::from_millis(50));
        }
        match painter.join() {
            Ok(done) => done.map(|_| ()).map_err(TrainError::from),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// The options of stage 1, found by trying on the shipped base model.
fn auxiliary_options(options: &DemoOptions, folder: &Path, plan: &Plan) -> TrainOptions {
    TrainOptions {
        data: folder.join("data"),
        model: folder.join("base"),
        output_dir: folder.join("auxiliary"),
        device: options.device.into(),
        seed: options.seed,
        max_train_steps: plan.sft_steps,
        train_batch_size: 8,
        learning_rate: 2e-4,
        lr_warmup_steps: 8,
        snr_gamma: 0.0,
        checkpointing_steps: 0,
        validation_steps: 0,
        ..TrainOptions::default()
    }
}

/// The options of stage 2, found by trying on the shipped base model.
fn alignment_options(options: &DemoOptions, folder: &Path, plan: &Plan, auxiliary: PathBuf) -> TrainOptions {
    TrainOptions {
        auxiliary,
        output_dir: folder.join("aligned"),
        max_train_steps: plan.cpo_steps,
        learning_rate: 1e-3,
        beta: Some(200.0),
        // The norm ratio, the default, found more negative attributes on this model, not fewer.
        stabilisation: StabilisationKind::Constant,
        granularity: Granularity::Pairs,
        // What reads the prompt learns what prompts can say; the whole denoiser mostly learned noise in so few steps.
        target_modules: ["attn2", "add_embedding"].map(str::to_owned).to_vec(),
        // Any one attribute is on few paintings: their mean pull is faint without guidance.
        target_guidance: 5.0,
        ..auxiliary_options(options, folder, plan)
    }
}

/// Studio paintings that no model was trained on.
fn held_out(plan: &Plan, seed: u64) -> Vec<RgbImage> {
    let paint = |index| PaintingSpec::from_seed(seed + HELD_OUT, index).paint(128);
    (0..plan.reconstructed).into_par_iter().map(paint).collect()
}

fn calibrate(
    explainer: &mut PictureExplainer<'_>,
    plan: &Plan,
    seed: u64,
    events: &mut Events<'_>,
) -> Result<(), TrainError> {
    let examples = (0..plan.calibrated).map(|index| {
        let spec = PaintingSpec::from_seed(seed + HELD_OUT, index);
        Ok(AnnotatedPicture { image: spec.paint(128), caption: spec.caption(), labels: spec.labels() })
    });
    let total = plan.calibrated as usize;
    explainer.calibrate(examples, &mut |done| {
        events(TrainEvent::Preparing { what: "calibrating".to_owned(), done, total })
    })
}

/// The pictures that lost most negative attributes.
fn most_changed(before: &[Labels], after: &[Labels], count: usize) -> Vec<usize> {
    let gain = |index: usize| before[index].negative.len() as i64 - after[index].negative.len() as i64;
    let mut order: Vec<usize> = (0..before.len()).collect();
    order.sort_by_key(|&index| (-gain(index), index));
    order.truncate(count);
    order
}

/// Leaves that changed come first, then those that show in either picture, then any.
fn leaves_to_explain<'a>(before: &'a Labels, after: &'a Labels, count: usize) -> Vec<&'a str> {
    fn signed(labels: &Labels) -> BTreeSet<(&str, bool)> {
        let positive = labels.positive.iter().map(|id| (id.as_str(), true));
        positive.chain(labels.negative.iter().map(|id| (id.as_str(), false))).collect()
    }
    let (before, after) = (signed(before), signed(after));
    let changed = before.symmetric_difference(&after).map(|&(id, _)| id);
    let kept = before.intersection(&after).map(|&(id, _)| id);
    let any = Annotator::embedded().measured().map(|leaf| -> &'a str { leaf.id() });
    let mut chosen: Vec<&str> = Vec::new();
    for id in changed.chain(kept).chain(any) {
        if chosen.len() < count && !chosen.contains(&id) {
            chosen.push(id);
        }
    }
    chosen
}

impl LossCurve {
    fn read(output: &Path, title: &str, name: &str) -> Result<Self, TrainError> {
        let records = metrics::read(output)?;
        let points = records
            .iter()
            .filter_map(|record| Some((record.get("step")?.as_f64()?, record.get(name)?.as_f64()?)));
        Ok(Self { title: title.to_owned(), points: points.collect() })
    }
}
