//! The folder of a run: locked, and of one run alone.

use super::{AUTOENCODER, MODEL};
use crate::{
    adapter, atomic,
    checkpoint::{self, State, Subject},
    error::TrainError,
    options::TrainOptions,
    output::{Entry, FolderLock, LOCK, Ledger, OutputError, OutputFolder, OutputPlace},
    trainer::Stage,
};
use std::{
    collections::hash_map::RandomState,
    fs,
    hash::{BuildHasher, Hasher},
    path::{Path, PathBuf},
};

/// The options of a run, as a file.
const CONFIG: &str = "config.toml";

/// A stage of a run that writes checkpoints.
#[derive(Debug, Clone)]
pub(super) struct StageOfRun {
    /// Its name in checkpoints.
    pub name: &'static str,
    /// Its folder in that of the run; empty for the run's own.
    pub folder: &'static str,
    /// The steps that it takes.
    pub steps: u64,
    /// What it trains.
    pub subject: Subject,
}

/// The folder of a run while it is trained.
#[derive(Debug)]
pub(super) struct RunFolder {
    path: PathBuf,
    run: String,
    /// The checkpoint to go on from, and its stage.
    checkpoint: Option<(PathBuf, State)>,
    is_resumed: bool,
    goes_on_here: bool,
    // Dropped in this order.
    _lock: FolderLock,
    _cache: Option<OutputPlace>,
    _place: OutputPlace,
}

impl RunFolder {
    /// Locks `options.output_dir` and looks whether the run may begin or go on there, before anything is loaded.
    ///
    /// A run begins where no other is. It goes on where it was, from its newest checkpoint, or in a new folder from any.
    ///
    /// # Errors
    /// [`TrainError::Output`] if the folder is in use, holds another run, or cannot be written to;
    /// [`TrainError::Checkpoint`] for a checkpoint that is missing, broken, or of something else than `stages`.
    pub fn open(options: &TrainOptions, stages: &[StageOfRun]) -> Result<Self, TrainError> {
        let path = options.output_dir.clone();
        let place = OutputPlace::prepare(&path)?;
        let lock = FolderLock::acquire(place.path().join(LOCK), &path)?;
        let cache = options.cache_dir.as_deref().map(OutputPlace::prepare).transpose()?;
        let ledger = Ledger::read(&path).unwrap_or_default();
        let checkpoint = match &options.resume_from_checkpoint {
            None => None,
            Some(name) => find(&path, name, stages, ledger.run.as_deref())?,
        };
        let is_resumed = options.resume_from_checkpoint.is_some();
        if let Some((found, state)) = &checkpoint {
            let stage = stages.iter().find(|stage| stage.name == state.progress.stage).unwrap_or(&stages[0]);
            check_state(found, state, stage, &stage.subject)?;
            state.check_files(found)?;
        }
        let goes_on_here = match &checkpoint {
            Some((found, _)) => stages.iter().any(|stage| is_in(found, &path.join(stage.folder))),
            None => is_resumed,
        };
        let mut run = None;
        if goes_on_here {
            run.clone_from(&ledger.run);
            if let Some((found, state)) = &checkpoint {
                run = run.or_else(|| state.run.clone());
                check_own(found, state, &ledger, stages, &path)?;
            }
            check_result(&path, stages[0].subject.lora_rank > 0, &ledger)?;
        } else {
            refuse_run(&path, stages)?;
        }
        Ok(Self {
            path,
            run: run.unwrap_or_else(new_run),
            checkpoint,
            is_resumed,
            goes_on_here,
            _lock: lock,
            _cache: cache,
            _place: place,
        })
    }

    /// Whether an earlier run goes on.
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// The checkpoint to go on from, if it is of `stage`.
    pub fn checkpoint_of(&self, stage: &str) -> Option<&Path> {
        let (path, state) = self.checkpoint.as_ref()?;
        (state.progress.stage == stage).then_some(path)
    }

    /// The place of a stage for the training loop, which begins with a model of the fingerprint `base`.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] for a checkpoint that began with another model.
    pub fn stage(&self, stage: &StageOfRun, base: Option<String>) -> Result<Stage, TrainError> {
        let mut subject = stage.subject.clone();
        subject.base = base;
        let resume = self.checkpoint_of(stage.name).map(Path::to_owned);
        if let (Some(found), Some((_, state))) = (&resume, &self.checkpoint) {
            check_state(found, state, stage, &subject)?;
        }
        Ok(Stage { output: self.path.join(stage.folder), run: self.run.clone(), resume, subject })
    }

    /// Writes `config.toml`, from which the run can be repeated, when everything is ready to train. One that somebody has
    /// edited stays, and the file has another name.
    ///
    /// # Errors
    /// [`TrainError::Atomic`] for a disk that is full.
    pub fn begin(&self, options: &TrainOptions) -> Result<(), TrainError> {
        // What a repeated run would begin with, not what this part of it began with.
        let resume_from_checkpoint = options.resume_from_checkpoint.clone().filter(|_| !self.goes_on_here);
        let options = TrainOptions { resume_from_checkpoint, ..options.clone() };
        let text = toml::to_string_pretty(&options).map_err(|error| TrainError::Config {
            path: self.path.join(CONFIG),
            reason: error.to_string(),
        })?;
        if let Some((checkpoint, state)) = &self.checkpoint {
            warn_of_changes(checkpoint, state, &text);
        }
        let mut ledger = Ledger::read(&self.path).unwrap_or_default();
        let step = self.checkpoint.as_ref().map_or(0, |(_, state)| state.progress.step);
        let others = (1_u32..).map(|count| match count {
            1 => format!("config-{step:06}.toml"),
            count => format!("config-{step:06}-{count}.toml"),
        });
        let mut names = std::iter::once(CONFIG.to_owned()).chain(others);
        let is_free = |name: &String| !self.path.join(name).exists() || ledger.knows(&self.path, name);
        let name = names.find(is_free).unwrap_or_else(|| CONFIG.to_owned());
        if name != CONFIG {
            tracing::warn!(
                "{CONFIG} is not as Atelier wrote it and stays; the options of this run are in {name}"
            );
        }
        atomic::write_file(&self.path.join(&name), |writer| writer.write_all(text.as_bytes()))?;
        ledger.run = Some(self.run.clone());
        ledger.files.insert(name, Entry::of(text.as_bytes()));
        Ok(ledger.write(&self.path)?)
    }
}

/// Refuses a checkpoint from which the stage cannot go on.
fn check_state(found: &Path, state: &State, stage: &StageOfRun, subject: &Subject) -> Result<(), TrainError> {
    let refused = |reason| TrainError::Checkpoint { path: found.to_owned(), reason };
    state.check(stage.name, stage.steps, subject).map_err(refused)
}

/// Sixteen digits that no other run has.
fn new_run() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// The checkpoint that `--resume-from-checkpoint` names. There is none yet where a run of two stages was stopped between
/// them.
fn find(
    folder: &Path,
    name: &str,
    stages: &[StageOfRun],
    run: Option<&str>,
) -> Result<Option<(PathBuf, State)>, TrainError> {
    let found = if name == "latest" {
        let mut found = None;
        for stage in stages {
            found = checkpoint::latest(&folder.join(stage.folder), run)?;
            if found.is_some() {
                break;
            }
            if stages.len() > 1 && with_autoencoder(folder).is_dir() {
                return Ok(None);
            }
        }
        found.ok_or_else(|| TrainError::Checkpoint {
            path: folder.to_owned(),
            reason: "no checkpoint-… folder to resume from; start without --resume-from-checkpoint"
                .to_owned(),
        })?
    } else {
        checkpoint::find(folder, name)?
    };
    let state = State::read(&found)?;
    Ok(Some((found, state)))
}

/// The result of pretraining's first stage.
pub(super) fn with_autoencoder(folder: &Path) -> PathBuf {
    folder.join(AUTOENCODER).join(MODEL)
}

/// Whether `path` lies directly in `folder`.
fn is_in(path: &Path, folder: &Path) -> bool {
    match (fs::canonicalize(path), fs::canonicalize(folder)) {
        (Ok(path), Ok(folder)) => path.parent() == Some(&folder),
        _ => false,
    }
}

/// Refuses to go on in the run's own folder from anything but its newest checkpoint, and where later ones would meet others.
fn check_own(
    found: &Path,
    state: &State,
    ledger: &Ledger,
    stages: &[StageOfRun],
    folder: &Path,
) -> Result<(), TrainError> {
    let refused = |reason: String| Err(TrainError::Checkpoint { path: found.to_owned(), reason });
    if let (Some(run), Some(other)) = (&ledger.run, &state.run)
        && run != other
    {
        return refused(format!(
            "was written by another run than the one in {}: name another --output-dir to go on from it",
            folder.display()
        ));
    }
    let elsewhere = "name another --output-dir to go on from this one, or resume from latest";
    let stage = stages.iter().position(|stage| stage.name == state.progress.stage).unwrap_or(0);
    if stage > 0 && (with_autoencoder(folder).exists() || !checkpoint::numbered(folder).is_empty()) {
        return refused(format!("is of a stage of the run that is over: {elsewhere}"));
    }
    let (step, steps) = (state.progress.step, stages[stage].steps);
    for (number, path) in checkpoint::numbered(&folder.join(stages[stage].folder)) {
        let is_own = State::read(&path).is_ok_and(|other| other.run.is_none() || other.run == state.run);
        if is_own && number > step {
            return refused(format!(
                "is not the newest of its run: {} would stay beside what this one becomes; {elsewhere}",
                path.display()
            ));
        }
        if number > step && number <= steps {
            return refused(format!(
                "{} is in the way of the run's next checkpoints: move it away",
                path.display()
            ));
        }
    }
    Ok(())
}

/// Refuses a folder in which the result could not be written in the end.
fn check_result(folder: &Path, is_lora: bool, ledger: &Ledger) -> Result<(), TrainError> {
    if !is_lora {
        OutputFolder::prepare(&folder.join(MODEL))?;
        return Ok(());
    }
    let file = folder.join(adapter::FILE);
    if file.symlink_metadata().is_ok() && !ledger.knows(folder, adapter::FILE) {
        return Err(OutputError::OtherFile { path: file, kind: "LoRA of this run" }.into());
    }
    Ok(())
}

/// Refuses a folder with anything in it that has a name of what a run writes; other things do not matter.
fn refuse_run(folder: &Path, stages: &[StageOfRun]) -> Result<(), TrainError> {
    let failed = |source| OutputError::Write { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let names = [CONFIG, crate::metrics::METRICS, "logs", "samples", MODEL, adapter::FILE];
        let is_stage = stages.iter().any(|stage| !stage.folder.is_empty() && name == stage.folder);
        let is_empty = fs::read_dir(entry.path()).is_ok_and(|mut entries| entries.next().is_none());
        if (names.contains(&name.as_str()) || is_stage || name.starts_with("checkpoint-")) && !is_empty {
            found.push(name);
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    found.sort();
    let can_go_on = stages.iter().any(|stage| !checkpoint::numbered(&folder.join(stage.folder)).is_empty());
    let advice = if can_go_on {
        "go on with it by --resume-from-checkpoint latest, or name another --output-dir"
    } else {
        "it has no checkpoint to go on from: name another --output-dir, or move these away"
    };
    let found = found.join(", ");
    Err(OutputError::HoldsRun { path: folder.to_owned(), found, advice: advice.to_owned() }.into())
}

/// Says which options are not those of the run so far; some of them are changed on purpose.
fn warn_of_changes(checkpoint: &Path, state: &State, text: &str) {
    /// Where things are and how long the run takes are no changes.
    const EXPECTED: [&str; 5] =
        ["output-dir", "resume-from-checkpoint", "device", "cache-dir", "max-train-steps"];
    let folders = checkpoint.ancestors().skip(1).take(2);
    let earlier = folders.filter_map(|folder| fs::read_to_string(folder.join(CONFIG)).ok()).next();
    let table = |text: &str| text.parse::<toml::Table>().ok();
    let (Some(earlier), Some(now)) = (earlier.and_then(|text| table(&text)), table(text)) else { return };
    let changed: Vec<String> = now
        .iter()
        .filter(|(key, _)| !EXPECTED.contains(&key.as_str()))
        .filter_map(|(key, value)| {
            let before = earlier.get(key).filter(|before| *before != value)?;
            Some(format!("{key} was {before}, and is {value} now"))
        })
        .collect();
    if !changed.is_empty() {
        let step = state.progress.step;
        tracing::warn!("the run goes on at step {step} with other options: {}", changed.join("; "));
    }
}
