//! Pictures in a folder from a prompt: what `atelier sample` does.

use crate::{
    atomic,
    error::TrainError,
    painter::{PaintOptions, denoise, initial_latents},
    picture, pictures,
    trainer::{Events, TrainEvent, device_of},
};
use atelier_core::{
    picture::GenerationParameters,
    pipeline::Pipeline,
    weights::{self, Metadata, Precision, TensorValues, WeightsFile},
};
use burn::tensor::Tensor;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The key under which files hold latents.
const LATENTS: &str = "latents";

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
    /// What the pictures' texts call the model.
    pub model_name: String,
}

/// Paints the pictures, writes each as a PNG with its parameters and gives their paths. Pictures that are in the folder
/// stay: new ones get the next free numbers.
///
/// # Errors
/// [`TrainError`] names the option or file that cannot be used; pictures of finished batches stay.
pub fn sample(
    pipeline: &Pipeline,
    options: &SampleOptions,
    events: &mut Events<'_>,
) -> Result<Vec<PathBuf>, TrainError> {
    let SampleOptions { prompt, paint, seed, count, .. } = options;
    check(pipeline, options)?;
    let initial = options.latents.as_deref().map(|file| read_latents(file, pipeline, options)).transpose()?;
    let is_distilled = pipeline.denoiser_config.is_guidance_distilled();
    let mut number = next_number(&options.out)?;
    let seeds: Vec<u64> = (0..*count as u64).map(|index| seed + index).collect();
    let (mut paths, mut all_latents) = (Vec::with_capacity(*count), Vec::new());
    for (index, batch) in seeds.chunks(paint.batch.max(1)).enumerate() {
        let first = index * paint.batch.max(1);
        let latents = match &initial {
            Some(initial) => initial.clone().slice([first..first + batch.len()]),
            None => initial_latents(pipeline, batch, paint),
        };
        let prompts = vec![prompt.as_str(); batch.len()];
        let latents = denoise(pipeline, &prompts, batch, latents, &paint.painting, &mut |step| {
            let (steps, all) = (step.steps * seeds.len(), step.steps * first + step.step * batch.len());
            // Steps, for the rate: a picture is as many as it takes.
            events(TrainEvent::Preparing { what: "steps".to_owned(), done: all, total: steps })
        })?;
        let painted = pictures::to_images(pipeline.decode_latents(latents.clone()))?;
        for (image, &seed) in painted.iter().zip(batch) {
            let path = options.out.join(format!("{number:05}-{seed}.png"));
            let text = parameters(options, is_distilled, seed);
            picture::write_png(&path, image, &[(GenerationParameters::KEYWORD, &text)])?;
            paths.push(path);
            number += 1;
        }
        all_latents.push(latents);
    }
    if let Some(file) = &options.save_latents {
        write_latents(file, Tensor::cat(all_latents, 0))?;
    }
    Ok(paths)
}

fn check(pipeline: &Pipeline, options: &SampleOptions) -> Result<(), TrainError> {
    // Stages of a UNet halve the latents, a transformer takes them in patches; diffusers asks for the same.
    let sides = pipeline.picture_sides();
    let divisor = sides.divisor.max(8) as u32;
    let [width, height] = options.paint.size;
    if width == 0 || height == 0 || !width.is_multiple_of(divisor) || !height.is_multiple_of(divisor) {
        return Err(TrainError::Option(format!(
            "--size {width}x{height}: both sides must be multiples of {divisor}"
        )));
    }
    if let Some(longest) = sides.longest.filter(|longest| width.max(height) as usize > *longest) {
        return Err(TrainError::Option(format!(
            "--size {width}x{height}: this model takes sides up to {longest} pixels"
        )));
    }
    if options.seed.checked_add(options.count as u64).is_none_or(|last| last > 1 << 63) {
        return Err(TrainError::Option(format!(
            "--seed {}: seeds must be below 2^63 = {}, for all pictures",
            options.seed,
            1_u64 << 63
        )));
    }
    if options.paint.painting.true_cfg_scale != 1.0 && !pipeline.denoiser_config.is_guidance_distilled() {
        let problem =
            "--true-cfg-scale is for models that are distilled with guidance; this one has --guidance";
        return Err(TrainError::Option(problem.to_owned()));
    }
    if options.count == 0 {
        return Err(TrainError::Option("--count must be at least 1".to_owned()));
    }
    Ok(())
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
    let bytes = weights::write_tensors(&tensors, Precision::F32, &Metadata::new())?;
    Ok(atomic::write_file(file, |writer| writer.write_all(&bytes))?)
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
fn parameters(options: &SampleOptions, is_distilled: bool, seed: u64) -> String {
    let parameters = GenerationParameters {
        prompt: &options.prompt,
        options: &options.paint.painting,
        is_distilled,
        seed,
        size: options.paint.size,
        model: &options.model_name,
    };
    parameters.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> SampleOptions {
        let mut paint = PaintOptions::default();
        paint.painting.guidance_scale = 2.5;
        SampleOptions {
            prompt: "a seascape at sunset".to_owned(),
            paint,
            seed: 7,
            count: 1,
            latents: None,
            save_latents: None,
            out: PathBuf::new(),
            model_name: "painter".to_owned(),
        }
    }

    #[test]
    fn parameters_are_those_that_other_programs_read() {
        let line = "Steps: 20, Sampler: DPM++ 2M, CFG scale: 2.5, Seed: 7, Size: 128x128, Model: painter";
        assert_eq!(parameters(&options(), false, 7), format!("a seascape at sunset\n{line}"));
        let mut options = options();
        options.paint.painting.negative_prompt = "muddy colour".to_owned();
        let expected = format!("a seascape at sunset\nNegative prompt: muddy colour\n{line}");
        assert_eq!(parameters(&options, false, 7), expected);
        assert!(parameters(&options, true, 7).contains("CFG scale: 1, Distilled CFG Scale: 2.5, Seed: 7"));
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
}
