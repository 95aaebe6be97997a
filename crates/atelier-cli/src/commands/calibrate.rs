//! `atelier calibrate`: how much an auxiliary model's explanations can be trusted.

use super::{COUNTS, DRAWS, TreeArguments, number};
use crate::{
    failure::Failure,
    model::{self, Base},
    output::{OutputError, print_line},
    progress,
};
use atelier_core::explanation::{Calibration, ExplanationOptions, READ_FROM};
use atelier_criteria::CriteriaTree;
use atelier_train::{
    device::DeviceChoice,
    explanations::{
        AnnotatedPicture, CALIBRATION, PictureExplainer, calibration_file, load_picture, write_calibration,
    },
    imagefolder::{Example, ImageFolder, Split},
};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `atelier calibrate`.
#[derive(Debug, Args)]
#[command(after_long_help = EXPLANATION)]
pub struct Arguments {
    /// Diffusers folder of the auxiliary model, from `atelier train sft`
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    #[command(flatten)]
    base: Base,
    /// Imagefolder of annotated pictures that the model was not trained on: its `validation/`, or the folder itself
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Pictures to take, the first of the data [default: all]
    #[arg(long, value_parser = number::<usize>(COUNTS))]
    count: Option<usize>,
    /// The file to write; an earlier calibration there is replaced [default: calibration.json in the model's folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Draws of noise at most, per leaf; as many as explanations will take
    #[arg(long, default_value_t = ExplanationOptions::default().draws, value_parser = number::<usize>(DRAWS))]
    draws: usize,
    #[command(flatten)]
    tree: TreeArguments,
    /// Where to compute: auto, cpu, wgpu, vulkan or cuda; a GPU has an index, as `wgpu:1`
    #[arg(long, default_value_t)]
    device: DeviceChoice,
}

const EXPLANATION: &str = "\
For each leaf, the area under the ROC curve says how well the model tells its two sides apart: it is the
share of pairs, one picture with the positive and one with the negative side, that it puts in the right
order. Chance is 0.5. Leaves below 0.6 are left out of the calibration, so that nobody claims to read
them. 200 pictures are a good start: an area comes from the pictures on which its leaf is active.";

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let tree = arguments.tree.load()?;
    let folder = model::required(&arguments.model, "an auxiliary model")?;
    let data = ImageFolder::open(&arguments.data, Split::Validation, &tree)?;
    let count = arguments.count.unwrap_or(usize::MAX).min(data.examples().len());
    let out = arguments.out.clone().unwrap_or_else(|| folder.join(CALIBRATION));
    let file = calibration_file(&out)?;
    let pipeline = arguments.base.load(&folder, &arguments.device.device()?)?;
    let options = ExplanationOptions { draws: arguments.draws, ..ExplanationOptions::default() };
    let mut explainer = PictureExplainer::new(&pipeline, &tree, options);
    let examples = data.examples()[..count].iter().map(|Example { path, text, labels }| {
        let image = load_picture(path, &pipeline)?;
        Ok(AnnotatedPicture { image, caption: text.clone(), labels: labels.clone() })
    });
    let bar = progress::counter("calibrating", count as u64);
    explainer.calibrate(examples, &mut |done| bar.set(done as u64))?;
    bar.finish();
    write_calibration(&file, explainer.calibration())?;
    show(explainer.calibration(), &tree)?;
    Ok(print_line!("{}", out.display())?)
}

/// The leaves, those that are read best first.
fn show(calibration: &Calibration, tree: &CriteriaTree) -> Result<(), OutputError> {
    let mut areas: Vec<_> = calibration.areas_under_curve.iter().collect();
    areas.sort_by(|(_, first), (_, second)| second.total_cmp(first));
    print_line!("{:<40} {:>4}", "leaf", "area under the curve")?;
    for (id, area) in &areas {
        let name = tree.leaf(id).map_or(id.as_str(), |leaf| leaf.name.as_str());
        let note = if **area < READ_FROM { "  not read" } else { "" };
        print_line!("{name:<40} {area:>4.2}{note}")?;
    }
    let mean = areas.iter().map(|(_, area)| **area).sum::<f64>() / areas.len().max(1) as f64;
    print_line!("{} of {} leaves are read; mean area {mean:.3}", calibration.leaves.len(), areas.len())?;
    if let Some(error) = calibration.expected_error {
        print_line!(
            "on held-out pictures their probabilities are off by {:.1} points on average",
            100.0 * error
        )?;
    }
    Ok(())
}
