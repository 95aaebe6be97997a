//! `atelier explain`: which attributes pictures have, how likely, and where.

use super::{DRAWS, TreeArguments, number};
use crate::{
    failure::{Failure, Usage},
    model::{self, Base},
    output::print_line,
    progress,
};
use atelier_core::explanation::ExplanationOptions;
use atelier_criteria::CriteriaTree;
use atelier_train::{
    TrainError,
    device::DeviceChoice,
    explanations::{CALIBRATION, PictureExplainer, in_words, load_picture, read_calibration},
    imagefolder,
    report::{ExplainedPicture, ExplanationFiles, write_explanations},
};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `atelier explain`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Pictures, which are cropped to the model's shape and resized
    #[arg(value_name = "PICTURE", required = true)]
    pictures: Vec<PathBuf>,
    /// Diffusers folder of the auxiliary model, such as models/auxiliary
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    #[command(flatten)]
    base: Base,
    /// What `atelier calibrate` measured [default: calibration.json in the model's folder]
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// What the pictures show, if it is known
    #[arg(long, value_name = "TEXT", default_value = "")]
    caption: String,
    /// Leaf to ask for; repeatable [default: every leaf that the model reads]
    #[arg(long = "leaf", value_name = "ID")]
    leaves: Vec<String>,
    /// Draws of noise at most, per leaf
    #[arg(long, default_value_t = ExplanationOptions::default().draws, value_parser = number::<usize>(DRAWS))]
    draws: usize,
    /// Print JSON, with the maps: an array with one object for each picture
    #[arg(long)]
    json: bool,
    /// Write explanations.html, with the maps over the pictures, and explanations.json into this folder; earlier ones there
    /// are replaced, other files stay
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    tree: TreeArguments,
    /// Where to compute: auto, cpu, wgpu, vulkan or cuda; a GPU has an index, as `wgpu:1`
    #[arg(long, default_value_t)]
    device: DeviceChoice,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let tree = arguments.tree.load()?;
    let folder = model::required(&arguments.model, "an auxiliary model")?;
    let path = arguments.calibration.clone().unwrap_or_else(|| folder.join(CALIBRATION));
    let calibration = read_calibration(&path)?;
    for leaf in &arguments.leaves {
        tree.require_leaf(leaf)
            .map_err(|error| Usage(format!("--leaf: {error}; `atelier criteria search WORD` finds ids")))?;
    }
    let leaves: Vec<String> = match &arguments.leaves[..] {
        [] => calibration.leaves.keys().cloned().collect(),
        leaves => leaves.to_vec(),
    };
    if leaves.is_empty() {
        let text = "the model's calibration says that it reads no leaf; name one with --leaf, or calibrate with more pictures";
        return Err(Usage(text.to_owned()).into());
    }
    for leaf in &leaves {
        let foreign = |error| TrainError::File {
            path: path.clone(),
            reason: format!("is for other criteria (--criteria): {error}"),
        };
        tree.require_leaf(leaf).map_err(foreign)?;
    }
    // Before the model is loaded, which takes longer.
    for picture in &arguments.pictures {
        imagefolder::load(picture).map_err(TrainError::from)?;
    }
    let files = arguments.out.as_deref().map(ExplanationFiles::prepare).transpose()?;
    let pipeline = arguments.base.load(&folder, &arguments.device.device()?)?;
    let options = ExplanationOptions { draws: arguments.draws, ..ExplanationOptions::default() };
    let explainer = PictureExplainer::new(&pipeline, &tree, options).with_calibration(calibration);
    let ids: Vec<&str> = leaves.iter().map(String::as_str).collect();
    let bar = progress::counter("explaining", (arguments.pictures.len() * ids.len()) as u64);
    let mut explained = Vec::with_capacity(arguments.pictures.len());
    for (index, path) in arguments.pictures.iter().enumerate() {
        let image = load_picture(path, &pipeline)?;
        let mut tell = |done: usize| bar.set((index * ids.len() + done) as u64);
        let explanation = explainer.explain(&image, &arguments.caption, &ids, &mut tell)?;
        explained.push(ExplainedPicture { picture: path.display().to_string(), image, explanation });
    }
    bar.finish();
    if arguments.json {
        print_line!("{}", serde_json::to_string_pretty(&explained)?)?;
    } else {
        show(&explained, &explainer, &tree)?;
    }
    if let Some(files) = &files {
        write_explanations(files, &explained, &tree)?;
    }
    Ok(())
}

fn show(
    explained: &[ExplainedPicture],
    explainer: &PictureExplainer<'_>,
    tree: &CriteriaTree,
) -> Result<(), Failure> {
    for ExplainedPicture { picture, explanation, .. } in explained {
        print_line!("{picture}")?;
        for found in &explanation.leaves {
            let note = match explainer.calibration().leaves.contains_key(&found.leaf) {
                true => "",
                false => ", but the model was not seen to read it",
            };
            print_line!("  {}{note}", in_words(found, tree.require_leaf(&found.leaf)?))?;
        }
    }
    Ok(())
}
