//! Folders of paintings, as Hugging Face's `imagefolder` reads them.
//!
//! ```text
//! DIR/contact-sheet.png
//! DIR/train/metadata.jsonl      {"file_name": "000000.png", "text": "…", "positive": [leaf ids], "negative": […]}
//! DIR/train/000000.png          eight of ten paintings
//! DIR/validation/…              one of ten
//! DIR/test/…                    one of ten
//! ```

use crate::{contact_sheet, painting::Studio};
use image::{ImageError, RgbImage};
use rayon::prelude::*;
use serde::Serialize;
use std::{
    fs,
    io::{self, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};
use thiserror::Error;

/// The parts of a data set, in the shares of the method's paper: 80, 10 and 10 per cent.
pub const SPLITS: [&str; 3] = ["train", "validation", "test"];

/// The picture with some of the paintings.
const SHEET_NAME: &str = "contact-sheet.png";
/// Paintings on it.
const SHEET: u64 = 48;
/// Pictures in a row of the contact sheet.
const SHEET_COLUMNS: u32 = 8;

/// A folder of paintings could not be written.
#[derive(Debug, Error)]
pub enum StudioError {
    /// The folder holds something already.
    #[error("{} is not empty; name a new folder, or delete it first", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// There is nothing to paint, or no room to paint it in.
    #[error("{0}")]
    Options(String),
    /// A file could not be written.
    #[error("cannot write {}: {source}; nothing was left behind", path.display())]
    Write {
        /// The file, in the folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A picture could not be encoded.
    #[error("cannot write {}: {source}; nothing was left behind", path.display())]
    Picture {
        /// The file, in the folder.
        path: PathBuf,
        /// What the encoder said.
        source: ImageError,
    },
    /// The caller stopped it.
    #[error("stopped after {done} of {total} paintings; nothing was left behind")]
    Cancelled {
        /// Paintings that were done.
        done: u64,
        /// Paintings that were planned.
        total: u64,
    },
}

/// What to paint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatasetOptions {
    /// How many paintings, all parts together.
    pub count: u64,
    /// Decides every painting.
    pub seed: u64,
    /// Side of the pictures in pixels.
    pub size: u32,
}

/// What was painted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatasetSummary {
    /// Paintings in each part, in the order of [`SPLITS`].
    pub splits: [u64; 3],
    /// Active leaves on their positive side.
    pub positives: u64,
    /// Active leaves on their negative side.
    pub negatives: u64,
}

#[derive(Serialize)]
struct Record<'a> {
    file_name: String,
    text: &'a str,
    positive: &'a [String],
    negative: &'a [String],
}

/// Paints a data set into `folder`, which must be empty or not there.
///
/// The bytes depend on the options alone, not on the number of threads. `progress` is told paintings done and planned, from
/// any thread, and cancels with `Break`.
///
/// # Errors
/// [`StudioError`]; nothing is left behind.
pub fn write_dataset(
    folder: &Path,
    options: DatasetOptions,
    progress: &(dyn Fn(u64, u64) -> ControlFlow<()> + Sync),
) -> Result<DatasetSummary, StudioError> {
    let DatasetOptions { count, size, .. } = options;
    if count == 0 || !(16..=4096).contains(&size) {
        let reason =
            format!("{count} paintings of {size} pixels: at least 1 painting, 16 to 4096 pixels a side");
        return Err(StudioError::Options(reason));
    }
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(StudioError::NotEmpty { path: folder.to_owned() });
    }
    fill(folder, options, progress).inspect_err(|_| {
        // All of it is ours: the folder was empty.
        for split in SPLITS {
            let _ = fs::remove_dir_all(folder.join(split));
        }
        let _ = fs::remove_file(folder.join(SHEET_NAME));
    })
}

/// Fills the empty `folder`.
fn fill(
    folder: &Path,
    options: DatasetOptions,
    progress: &(dyn Fn(u64, u64) -> ControlFlow<()> + Sync),
) -> Result<DatasetSummary, StudioError> {
    let DatasetOptions { count, seed, size } = options;
    let failed = |name: &str| {
        let path = PathBuf::from(name);
        move |source| StudioError::Write { path, source }
    };
    for split in SPLITS {
        fs::create_dir_all(folder.join(split)).map_err(failed(split))?;
    }
    let studio = Studio { seed, size };
    let done = AtomicU64::new(0);
    let paint_one = |index: u64| {
        let painting = studio.painting(index);
        let split = split_of(index);
        let file_name = format!("{index:06}.png");
        let name = format!("{}/{file_name}", SPLITS[split]);
        painting.image.save(folder.join(&name)).map_err(|source| picture_error(&name, source))?;
        let record = Record {
            file_name,
            text: &painting.caption,
            positive: &painting.labels.positive,
            negative: &painting.labels.negative,
        };
        let line = serde_json::to_string(&record).map_err(|error| StudioError::Options(error.to_string()))?;
        let sides = [painting.labels.positive.len() as u64, painting.labels.negative.len() as u64];
        let finished = done.fetch_add(1, Ordering::Relaxed) + 1;
        if progress(finished, count).is_break() {
            return Err(StudioError::Cancelled { done: finished, total: count });
        }
        Ok((split, line, sides, (index < SHEET).then_some(painting.image)))
    };
    let painted = (0..count).into_par_iter().map(paint_one).collect::<Result<Vec<_>, StudioError>>()?;
    let mut summary = DatasetSummary { splits: [0; 3], positives: 0, negatives: 0 };
    let mut metadata = [String::new(), String::new(), String::new()];
    let mut sheet: Vec<RgbImage> = Vec::new();
    for (split, line, [positives, negatives], image) in painted {
        summary.splits[split] += 1;
        summary.positives += positives;
        summary.negatives += negatives;
        metadata[split].push_str(&line);
        metadata[split].push('\n');
        sheet.extend(image);
    }
    for (split, lines) in SPLITS.into_iter().zip(metadata) {
        let name = format!("{split}/metadata.jsonl");
        let write = || {
            let mut file = fs::File::create(folder.join(&name))?;
            file.write_all(lines.as_bytes())?;
            file.sync_all()
        };
        write().map_err(failed(&name))?;
    }
    let sheet = contact_sheet(&sheet, SHEET_COLUMNS);
    sheet.save(folder.join(SHEET_NAME)).map_err(|source| picture_error(SHEET_NAME, source))?;
    Ok(summary)
}

/// The part that painting `index` belongs to: of ten in a row, the ninth is for validation and the tenth for testing.
fn split_of(index: u64) -> usize {
    match index % 10 {
        8 => 1,
        9 => 2,
        _ => 0,
    }
}

fn picture_error(name: &str, source: ImageError) -> StudioError {
    let path = PathBuf::from(name);
    match source {
        ImageError::IoError(source) => StudioError::Write { path, source },
        source => StudioError::Picture { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const OPTIONS: DatasetOptions = DatasetOptions { count: 12, seed: 5, size: 32 };

    fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                found.extend(files(&entry));
            } else {
                found.insert(entry.clone(), fs::read(entry).expect("readable"));
            }
        }
        found
    }

    fn written(threads: usize) -> Vec<(String, Vec<u8>)> {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("data");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let summary = pool.install(|| write_dataset(&out, OPTIONS, &|_, _| ControlFlow::Continue(())));
        assert_eq!(summary.expect("written").splits, [10, 1, 1]);
        let name = |path: &Path| path.strip_prefix(&out).expect("inside").display().to_string();
        files(&out).into_iter().map(|(path, bytes)| (name(&path), bytes)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
        let one = written(1);
        assert_eq!(one.len(), 12 + 3 + 1);
        assert!(one == written(4));
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("mine.txt"), "mine").expect("written");
        let refused = write_dataset(folder.path(), OPTIONS, &|_, _| ControlFlow::Continue(()));
        assert!(matches!(refused, Err(StudioError::NotEmpty { .. })));
        assert_eq!(files(folder.path()).len(), 1);
    }

    #[test]
    fn a_cancelled_run_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let stop = |done, _| if done >= 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let stopped = write_dataset(&folder.path().join("data"), OPTIONS, &stop);
        assert!(matches!(stopped, Err(StudioError::Cancelled { .. })));
        assert!(files(folder.path()).is_empty());
    }
}
