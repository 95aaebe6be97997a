//! `atelier annotate`: measured labels for any folder of pictures.

use super::TreeArguments;
use crate::{
    failure::{Failure, Usage},
    output::print_line,
    progress,
};
use atelier_criteria::Labels;
use atelier_studio::{Annotator, measure};
use atelier_train::{
    TrainError,
    imagefolder::{self, ImageFolderError, Labelling},
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
#[command(after_long_help = EXPLANATION)]
pub struct Arguments {
    /// Folder of pictures, with or without train/, validation/ and test/; captions and labels that it has are kept
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Caption of pictures that have none yet
    #[arg(long, default_value = "a painting")]
    caption: String,
    /// Replace labels that are there, too, once a copy of their file is kept beside it
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    tree: TreeArguments,
}

const EXPLANATION: &str = "\
Measured labels go to pictures whose `positive` and `negative` are both absent, null or empty. A picture
with any label keeps what it has: somebody may have written it. With --replace all are measured anew; the
file as it was is kept beside it as metadata.jsonl.backup-1, or the next number that is free.

Labels are written where the captions are: into the metadata.jsonl or metadata.csv of the folder, whose
order, captions and other columns stay as they are, or into those of train/, validation/ and test/. A file
in the folder itself that names pictures in train/ and test/ remains the only one. Pictures that a file
does not name are not added to it; their number is printed. A metadata.parquet is refused, with the line
that makes a metadata.jsonl of it.

Where there is no metadata file, a metadata.jsonl is made. It takes the captions from .txt files beside the
pictures, which then are no longer read; where there is none, the caption is that of --caption.

All pictures are measured before anything is written: after an error or an interrupt every file is as it
was.";

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
    let places = Labelling::of_folder(&arguments.data, &arguments.caption, &tree)?;
    let measured = measure_all(&places, arguments.replace)?;
    for (place, labels) in places.iter().zip(&measured) {
        write(place, labels, arguments.replace)?;
    }
    Ok(())
}

/// The measured labels of every picture that gets some.
fn measure_all(places: &[Labelling], replace: bool) -> Result<Vec<Vec<Option<Labels>>>, Failure> {
    let mut measured: Vec<Vec<Option<Labels>>> =
        places.iter().map(|place| vec![None; place.examples().len()]).collect();
    let mut chosen: Vec<(&Path, &mut Option<Labels>)> = places
        .iter()
        .zip(&mut measured)
        .flat_map(|(place, labels)| place.examples().iter().zip(labels))
        .filter(|(example, _)| replace || example.labels.is_empty())
        .map(|(example, labels)| (example.path.as_path(), labels))
        .collect();
    let paths: Vec<&Path> = chosen.iter().map(|(path, _)| *path).collect();
    let bar = progress::counter("measuring", paths.len() as u64);
    let annotator = Annotator::embedded();
    let mut done = 0;
    for part in chosen.chunks_mut(PART) {
        let result = part.par_iter_mut().try_for_each(|(path, labels)| {
            let picture = imagefolder::load_square(path, measure::SIDE)?;
            **labels = Some(annotator.annotate(&picture));
            Ok::<(), ImageFolderError>(())
        });
        result.map_err(|first| imagefolder::all_broken(first, &paths))?;
        done += part.len() as u64;
        if bar.set(done) == ControlFlow::Break(()) {
            return Err(TrainError::cancelled().keeping(|| "no metadata were written".to_owned()).into());
        }
    }
    bar.finish();
    Ok(measured)
}

/// Writes what was measured in one place, and says what was done there.
fn write(place: &Labelling, measured: &[Option<Labels>], replace: bool) -> Result<(), Failure> {
    let path = place.path().display();
    if replace && let Some(copy) = place.keep_copy()? {
        print_line!("{path}: as it was, it is {}", copy.display())?;
    }
    let count = measured.iter().flatten().count();
    if count > 0 || !place.is_there() {
        place.write(measured)?;
    }
    let attributes = |side: fn(&Labels) -> usize| measured.iter().flatten().map(side).sum::<usize>();
    print_line!(
        "{path}: pictures measured: {count}, with {} positive and {} negative attributes",
        attributes(|labels| labels.positive.len()),
        attributes(|labels| labels.negative.len())
    )?;
    let kept = measured.len() - count;
    if kept > 0 {
        print_line!("{path}: pictures that keep the labels they have: {kept}; --replace measures them, too")?;
    }
    if place.unlisted() > 0 {
        print_line!(
            "{path}: pictures beside it that it does not name: {}; add lines with their file_name and text to have them \
             measured",
            place.unlisted()
        )?;
    }
    Ok(())
}
