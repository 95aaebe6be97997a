//! `atelier annotate`: measured labels for any folder of pictures.

use super::TreeArguments;
use crate::{
    failure::{Failure, Usage},
    progress,
};
use anstream::println;
use atelier_criteria::{CriteriaTree, Labels};
use atelier_studio::{Annotator, dataset::SPLITS, measure};
use atelier_train::{
    TrainError,
    imagefolder::{self, Example, ImageFolder, METADATA},
};
use clap::Args;
use rayon::prelude::*;
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// Pictures between two looks at the progress bar.
const PART: usize = 32;

/// Arguments of `atelier annotate`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder of pictures, with or without train/, validation/ and test/; captions in a metadata.jsonl are kept
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Caption of pictures that have none yet
    #[arg(long, default_value = "a painting")]
    caption: String,
    #[command(flatten)]
    tree: TreeArguments,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let tree = arguments.tree.load()?;
    for leaf in Annotator::embedded().measured() {
        if tree.leaf(leaf.id()).is_none() {
            let reason =
                format!("the annotator measures {}, which this tree lacks; leave --criteria out", leaf.id());
            return Err(Usage(reason).into());
        }
    }
    let parts = SPLITS.map(|split| arguments.data.join(split));
    let mut folders: Vec<&Path> = parts.iter().map(PathBuf::as_path).filter(|part| part.is_dir()).collect();
    if folders.is_empty() {
        folders.push(&arguments.data);
    }
    for folder in folders {
        annotate(folder, &arguments.caption, &tree)?;
    }
    Ok(())
}

fn annotate(folder: &Path, caption: &str, tree: &CriteriaTree) -> Result<(), Failure> {
    let mut examples = if folder.join(METADATA).is_file() {
        ImageFolder::open(folder, "", tree)?.examples().to_vec()
    } else {
        let unlabelled = |path| Example { path, text: caption.to_owned(), labels: Labels::default() };
        imagefolder::pictures(folder)?.into_iter().map(unlabelled).collect()
    };
    let bar = progress::counter("measuring", examples.len() as u64)?;
    let annotator = Annotator::embedded();
    let mut done = 0;
    for part in examples.chunks_mut(PART) {
        part.par_iter_mut().try_for_each(|example| {
            let picture = imagefolder::load_square(&example.path, measure::SIDE)?;
            example.labels = annotator.annotate(&picture);
            Ok::<(), TrainError>(())
        })?;
        done += part.len() as u64;
        if bar.set(done) == ControlFlow::Break(()) {
            return Err(TrainError::Interrupted { step: 0 }.into());
        }
    }
    bar.finish();
    imagefolder::write_metadata(folder, &examples)?;
    let count =
        |side: fn(&Labels) -> usize| examples.iter().map(|example| side(&example.labels)).sum::<usize>();
    println!(
        "{}: {} pictures, {} positive and {} negative attributes",
        folder.join(METADATA).display(),
        examples.len(),
        count(|labels| labels.positive.len()),
        count(|labels| labels.negative.len())
    );
    Ok(())
}
