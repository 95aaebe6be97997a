//! Pictures in a folder from a prompt: what `atelier sample` does.

use crate::{
    atomic::AtomicError,
    error::TrainError,
    file_names::{name_of, weights_hash},
    limits,
    output::{OutputFile, OutputPlace},
    painter::{PaintOptions, denoise, initial_latents},
    picture::{self, PictureError},
    pictures,
    trainer::{Events, TrainEvent, device_of},
};
use atelier_core::{
    painting::PaintingOptions,
    picture::{GenerationParameters, InitialLatents, ModelNames},
    pipeline::Pipeline,
    weights::{self, Metadata, Precision, TensorValues, WeightsFile},
};
use burn::tensor::Tensor;
use image::RgbImage;
use std::{
    collections::BTreeMap,
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// The key under which files hold latents.
const LATENTS: &str = "latents";

/// The mark of latents that Atelier wrote, in the file's metadata.
const MARK: (&str, &str) = ("software", "atelier");

/// What to paint, and where to.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleOptions {
    /// What the pictures show.
    pub prompt: String,
    /// How they are painted.
    pub paint: PaintOptions,
    /// Seed of the first picture; each further one has the next.
    pub seed: u64,
    /// How many.
    pub count: usize,
    /// The initial noise, `[count, channels, height, width]` under the key `latents`, instead of the seeds'.
    pub latents: Option<PathBuf>,
    /// Where to write the final latents, under the same key.
    pub save_latents: Option<PathBuf>,
    /// The folder of the pictures.
    pub out: PathBuf,
    /// What the pictures' texts call the models.
    pub models: ModelNames,
}

impl SampleOptions {
    /// The most pictures of one command.
    const MOST_PICTURES: f64 = 1e6;
    /// The most pictures that are painted at once.
    const MOST_AT_ONCE: f64 = 4096.0;
    /// Sides in pixels: no model takes less, and for more no memory is enough.
    const SIDES: RangeInclusive<u32> = 8..=16384;

    /// Whether all numbers have a meaning, whatever the model.
    ///
    /// # Errors
    /// [`TrainError::Option`] names the flag and what it may be.
    pub fn check(&self) -> Result<(), TrainError> {
        let PaintOptions { painting, size, batch } = &self.paint;
        let (steps, scales) = (PaintingOptions::STEPS, PaintingOptions::SCALES);
        limits::check("count", self.count as f64, 1.0..=Self::MOST_PICTURES)?;
        limits::check("batch", *batch as f64, 1.0..=Self::MOST_AT_ONCE)?;
        limits::check("steps", painting.steps as f64, *steps.start() as f64..=*steps.end() as f64)?;
        limits::check("guidance", painting.guidance_scale, scales.clone())?;
        limits::check("true-cfg-scale", painting.true_cfg_scale, scales)?;
        let [width, height] = size;
        if [width, height].into_iter().any(|side| !Self::SIDES.contains(side)) {
            let (shortest, longest) = Self::SIDES.into_inner();
            return Err(TrainError::Option(format!(
                "--size {width}x{height}: both sides must be at least {shortest} and at most {longest} pixels"
            )));
        }
        if self.seed.checked_add(self.count as u64).is_none_or(|last| last > 1 << 63) {
            return Err(TrainError::Option(format!(
                "--seed {}: seeds must be below 2^63 = {}, for all pictures",
                self.seed,
                1_u64 << 63
            )));
        }
        Ok(())
    }
}

/// The places of a call's results while it runs: tried before anything is loaded, and gone again if nothing was written.
#[derive(Debug)]
pub struct SamplePlaces {
    // Dropped first: it may lie in the other one.
    _latents: Option<OutputFile>,
    _pictures: OutputPlace,
}

impl SamplePlaces {
    /// Tries the folder of the pictures, and the file of the latents if they are wanted.
    ///
    /// # Errors
    /// [`TrainError::Output`] says which cannot be written, and why.
    pub fn prepare(pictures: &Path, latents: Option<&Path>) -> Result<Self, TrainError> {
        let pictures = OutputPlace::prepare(pictures)?;
        Ok(Self { _pictures: pictures, _latents: latents.map(latents_file).transpose()? })
    }
}

/// The place of a file of latents.
fn latents_file(path: &Path) -> Result<OutputFile, TrainError> {
    let is_ours: fn(&Path) -> bool = |path| {
        let file = WeightsFile::open(path);
        file.is_ok_and(|file| file.metadata().get(MARK.0).is_some_and(|software| software == MARK.1))
    };
    Ok(OutputFile::prepare(path, "file of latents", is_ours)?)
}

/// Paints the pictures, writes each as a PNG with its parameters and gives their paths. Pictures that are in the folder
/// stay: new ones get the next free numbers, also where several programs write into the folder at once.
///
/// # Errors
/// [`TrainError`] names the option or file that cannot be used; pictures of finished batches stay, and
/// [`TrainError::Cancelled`] counts them.
pub fn sample(
    pipeline: &Pipeline,
    options: &SampleOptions,
    events: &mut Events<'_>,
) -> Result<Vec<PathBuf>, TrainError> {
    let SampleOptions { prompt, paint, seed, count, .. } = options;
    options.check()?;
    check_for(pipeline, options)?;
    let initial = options.latents.as_deref().map(|file| read_latents(file, pipeline, options)).transpose()?;
    let initial_latents_of = initial_latents_noted(options)?;
    let seeds: Vec<u64> = (0..*count as u64).map(|index| seed + index).collect();
    let (mut paths, mut all_latents) = (Vec::with_capacity(*count), Vec::new());
    for (index, batch) in seeds.chunks(paint.batch).enumerate() {
        let first = index * paint.batch;
        let latents = match &initial {
            Some(initial) => initial.clone().slice([first..first + batch.len()]),
            None => initial_latents(pipeline, batch, paint),
        };
        let prompts = vec![prompt.as_str(); batch.len()];
        let latents = denoise(pipeline, &prompts, batch, latents, &paint.painting, &mut |step| {
            let (steps, all) = (step.steps * seeds.len(), step.steps * first + step.step * batch.len());
            // Steps, for the rate: a picture is as many as it takes.
            events(TrainEvent::Preparing { what: "steps".to_owned(), done: all, total: steps })
        })
        .map_err(|error| error.keeping(|| kept(first, options)))?;
        let painted = pictures::to_images(pipeline.decode_latents(latents.clone()))?;
        for ((row, image), &seed) in (first..).zip(&painted).zip(batch) {
            let initial = initial_latents_of.clone().map(|noted| InitialLatents { row, ..noted });
            let text = parameters(pipeline, options, initial.as_ref(), seed);
            paths.push(write_numbered(&options.out, seed, image, &text)?);
        }
        if options.save_latents.is_some() {
            all_latents.push(latents);
        }
    }
    if let Some(file) = &options.save_latents {
        write_latents(file, Tensor::cat(all_latents, 0))?;
    }
    Ok(paths)
}

/// What there is of the pictures when the first `done` of them are written.
fn kept(done: usize, options: &SampleOptions) -> String {
    match done {
        0 => "no picture was finished".to_owned(),
        done => format!("{done} of {} pictures are in {}", options.count, options.out.display()),
    }
}

/// Whether `pipeline`'s model can be asked for what `options` say.
fn check_for(pipeline: &Pipeline, options: &SampleOptions) -> Result<(), TrainError> {
    // Stages of a UNet halve the latents, a transformer takes them in patches; diffusers asks for the same.
    let sides = pipeline.picture_sides();
    let divisor = sides.divisor.max(8) as u32;
    let [width, height] = options.paint.size;
    if !width.is_multiple_of(divisor) || !height.is_multiple_of(divisor) {
        return Err(TrainError::Option(format!(
            "--size {width}x{height}: both sides must be multiples of {divisor}"
        )));
    }
    if let Some(longest) = sides.longest.filter(|longest| width.max(height) as usize > *longest) {
        return Err(TrainError::Option(format!(
            "--size {width}x{height}: this model takes sides up to {longest} pixels"
        )));
    }
    if options.paint.painting.true_cfg_scale != 1.0 && !pipeline.denoiser_config.is_guidance_distilled() {
        let problem =
            "--true-cfg-scale is for models that are distilled with guidance; this one has --guidance";
        return Err(TrainError::Option(problem.to_owned()));
    }
    match (pipeline.clip_skip, pipeline.most_clip_skip()) {
        (skip, most) if skip <= most => Ok(()),
        (skip, 0) => Err(TrainError::Option(format!(
            "--clip-skip {skip}: this model takes no layer of its CLIP encoder that could be left out"
        ))),
        (skip, most) => Err(TrainError::Option(format!(
            "--clip-skip {skip}: this model's text encoder has so few layers that it must be at most {most}"
        ))),
    }
}

/// What is noted of the file of initial latents, for its first row.
fn initial_latents_noted(options: &SampleOptions) -> Result<Option<InitialLatents>, TrainError> {
    let noted = |path: &PathBuf| {
        let hash = weights_hash(path)
            .map_err(|error| TrainError::File { path: path.clone(), reason: error.to_string() })?;
        Ok(InitialLatents { file: name_of(path), hash, row: 0 })
    };
    options.latents.as_ref().map(noted).transpose()
}

fn read_latents(file: &Path, pipeline: &Pipeline, options: &SampleOptions) -> Result<Tensor<4>, TrainError> {
    let failed = |reason: String| TrainError::File { path: file.to_owned(), reason };
    let read = WeightsFile::open(file).and_then(|file| weights::read_tensors(&file));
    let (tensors, _) = read.map_err(|error| failed(error.to_string()))?;
    let Some(values) = tensors.get(LATENTS) else {
        let found: Vec<&str> = tensors.keys().map(String::as_str).take(8).collect();
        return Err(failed(format!("has no tensor `{LATENTS}`, but {}", found.join(", "))));
    };
    let [width, height] = options.paint.size.map(|side| side as usize);
    let [channels, rows, columns] = pipeline.latent_shape(height, width);
    let expected = [options.count, channels, rows, columns];
    if *values.shape() != expected {
        return Err(failed(format!(
            "`{LATENTS}` has shape {:?}, but {} pictures of {width}x{height} pixels need {expected:?}",
            values.shape(),
            options.count
        )));
    }
    Ok(values.to_tensor(&device_of(&pipeline.denoiser))?)
}

fn write_latents(file: &Path, latents: Tensor<4>) -> Result<(), TrainError> {
    let values = futures_lite::future::block_on(TensorValues::from_tensor(LATENTS, latents))?;
    let tensors = BTreeMap::from([(LATENTS.to_owned(), values)]);
    let (key, value) = MARK;
    let metadata = Metadata::from([(key.to_owned(), value.to_owned())]);
    let bytes = weights::write_tensors(&tensors, Precision::F32, &metadata)?;
    Ok(latents_file(file)?.write(|writer| writer.write_all(&bytes))?)
}

/// Writes a picture into `folder` under the next number that nobody else takes first; gives its path.
fn write_numbered(folder: &Path, seed: u64, image: &RgbImage, text: &str) -> Result<PathBuf, TrainError> {
    let mut tried = None;
    loop {
        let number = next_number(folder)?;
        let path = folder.join(format!("{number:05}-{seed}.png"));
        match picture::create_png(&path, image, &[(GenerationParameters::KEYWORD, text)]) {
            // It has a higher number now, or there is none.
            Err(PictureError::Write(AtomicError::Exists { .. })) if tried != Some(number) => {
                tried = Some(number);
            }
            done => return Ok(done.map(|()| path)?),
        }
    }
}

/// The number after the highest that a picture in `folder` begins with.
fn next_number(folder: &Path) -> Result<usize, TrainError> {
    let failed =
        |error: std::io::Error| TrainError::File { path: folder.to_owned(), reason: error.to_string() };
    if !folder.exists() {
        return Ok(0);
    }
    let mut next = 0;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let digits = name.to_str().and_then(|name| name.split_once('-')).map(|(number, _)| number);
        if let Some(number) = digits.and_then(|digits| digits.parse::<usize>().ok()) {
            next = next.max(number.saturating_add(1));
        }
    }
    Ok(next)
}

/// How the picture of `seed` was made.
fn parameters(
    pipeline: &Pipeline,
    options: &SampleOptions,
    initial_latents: Option<&InitialLatents>,
    seed: u64,
) -> String {
    let parameters = GenerationParameters {
        prompt: &options.prompt,
        options: &options.paint.painting,
        is_distilled: pipeline.denoiser_config.is_guidance_distilled(),
        clip_skip: pipeline.clip_skip,
        seed,
        size: options.paint.size,
        models: &options.models,
        initial_latents,
    };
    parameters.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> SampleOptions {
        SampleOptions {
            prompt: "a seascape at sunset".to_owned(),
            paint: PaintOptions::default(),
            seed: 7,
            count: 1,
            latents: None,
            save_latents: None,
            out: PathBuf::from("out"),
            models: ModelNames::default(),
        }
    }

    #[test]
    fn numbers_without_a_meaning_are_refused_by_their_flag() {
        type Change = fn(&mut SampleOptions);
        let changes: [(&str, Change); 10] = [
            ("--count must be at least 1", |options| options.count = 0),
            ("--count", |options| options.count = usize::MAX),
            ("--batch must be at least 1 and at most 4096, not 0", |options| options.paint.batch = 0),
            ("--steps must be at least 1", |options| options.paint.painting.steps = 0),
            ("--guidance must be at least -1000 and at most 1000, not NaN", |options| {
                options.paint.painting.guidance_scale = f64::NAN;
            }),
            ("not 1e300", |options| options.paint.painting.guidance_scale = 1e300),
            ("not -inf", |options| options.paint.painting.guidance_scale = f64::NEG_INFINITY),
            ("--true-cfg-scale", |options| options.paint.painting.true_cfg_scale = f64::NAN),
            ("--size 8x4294967288", |options| options.paint.size = [8, 4_294_967_288]),
            ("below 2^63", |options| options.seed = u64::MAX),
        ];
        assert!(options().check().is_ok());
        for (expected, change) in changes {
            let mut options = options();
            change(&mut options);
            let message = options.check().expect_err(expected).to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn what_is_kept_is_counted() {
        assert_eq!(kept(0, &options()), "no picture was finished");
        assert_eq!(kept(2, &SampleOptions { count: 8, ..options() }), "2 of 8 pictures are in out");
    }

    #[test]
    fn numbers_go_on_after_those_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(next_number(&folder.path().join("new")).unwrap(), 0);
        assert_eq!(next_number(folder.path()).unwrap(), 0);
        for name in ["00003-17.png", "00011-2.png", "notes.txt", "a-b.png"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(next_number(folder.path()).unwrap(), 12);
    }

    #[test]
    fn programs_that_number_at_once_lose_no_picture() {
        let folder = tempfile::tempdir().unwrap();
        let image = RgbImage::new(1, 1);
        let write = || (0..8).map(|_| write_numbered(folder.path(), 3, &image, "a boat").unwrap());
        let written: Vec<PathBuf> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4).map(|_| scope.spawn(|| write().collect::<Vec<_>>())).collect();
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        let different: std::collections::BTreeSet<&PathBuf> = written.iter().collect();
        assert_eq!(different.len(), 32);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 32);
    }

    #[test]
    fn the_last_number_is_an_error_and_not_an_endless_search() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(format!("{}-3.png", usize::MAX)), "mine").unwrap();
        write_numbered(folder.path(), 3, &RgbImage::new(1, 1), "").unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
