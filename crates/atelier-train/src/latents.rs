//! Latents of a data set, computed once and kept in memory or on the disk.

use crate::{
    cache::{Fingerprint, Source, TensorCache},
    error::TrainError,
    framing::{Framing, View},
    imagefolder, pictures,
    trainer::{Events, TrainEvent},
};
use atelier_core::{
    noise::NoiseSource,
    picture::to_tensor,
    pipeline::{Pipeline, SizeConditions},
    weights::{Metadata, TensorValues, WeightsFile},
};
use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use rayon::prelude::*;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

/// The tensor in a cached file.
const LATENTS: &str = "latents";
/// Views that are in memory as pixels at once.
const CHUNK: usize = 64;
/// Most pictures that are encoded together; large ones are fewer, as autoencoders need memory for every pixel.
const BATCH: usize = 8;
const BATCH_PIXELS: usize = BATCH * 128 * 128;

/// A picture that is trained on.
#[derive(Debug, Clone, Copy)]
pub struct Framed<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Its size and its views.
    pub framing: &'a Framing,
}

/// The latents of all views of a data set's pictures.
#[derive(Debug, Clone)]
pub struct LatentCache {
    pictures: Vec<Encoded>,
}

#[derive(Debug, Clone)]
struct Encoded {
    framing: Framing,
    /// Of one view, `[channels, height, width]`.
    shape: [usize; 3],
    /// In the order of the views.
    latents: Vec<Latents>,
}

/// Where the latents of a view are.
#[derive(Debug, Clone)]
enum Latents {
    Memory(Arc<[f32]>),
    Disk(PathBuf),
}

impl LatentCache {
    /// Encodes all views of `pictures` with the autoencoder of `pipeline`, scaled as the denoiser expects them.
    ///
    /// With a `cache_dir`, only those that it lacks: latents are written there as they are computed, and none stays in
    /// memory. An interrupted run has lost nothing of them.
    ///
    /// # Errors
    /// [`TrainError::ImageFolder`] names a picture that cannot be read; [`TrainError::Cancelled`] on a break;
    /// [`TrainError::DeviceLost`]; [`TrainError::Atomic`] if the cache cannot be written.
    pub fn encode(
        pictures: &[Framed<'_>],
        pipeline: &Pipeline,
        cache_dir: Option<&Path>,
        device: &Device,
        events: &mut Events<'_>,
    ) -> Result<Self, TrainError> {
        let shape = |framing: &Framing| {
            let [width, height] = framing.target().map(|side| side as usize);
            pipeline.latent_shape(height, width)
        };
        let cache = cache_dir.map(|dir| autoencoder_cache(dir, pipeline)).transpose()?;
        let mut found: Vec<Vec<Option<Latents>>> = pictures
            .par_iter()
            .map(|picture| {
                let views = picture.framing.views().iter();
                views.map(|&view| cached(cache.as_ref()?, picture, view, shape(picture.framing))).collect()
            })
            .collect();
        let missing: Vec<usize> =
            (0..pictures.len()).filter(|&index| found[index].iter().any(Option::is_none)).collect();
        if let Some(dir) = cache_dir {
            let (cached, encoded) = (pictures.len() - missing.len(), missing.len());
            tracing::info!(dir = %dir.display(), cached, encoded, "pictures with latents");
        }
        let unseen: Vec<&Path> = missing.iter().map(|&index| pictures[index].path).collect();
        let mut checking = |done| {
            let what = "checking pictures".to_owned();
            events(TrainEvent::Preparing { what, done, total: unseen.len() })
        };
        // All of them before the first is encoded, which may take hours.
        if imagefolder::check(&unseen, &mut checking)?.is_break() {
            return Err(TrainError::cancelled());
        }
        let most_views = pictures.iter().map(|picture| picture.framing.views().len()).max().unwrap_or(1);
        let mut done = 0;
        for chunk in missing.chunks((CHUNK / most_views).max(1)) {
            let rendered = chunk.par_iter().map(|&index| render(index, &pictures[index], &found[index]));
            let rendered: Vec<Rendered> =
                rendered.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
            for (Rendered { index, view, .. }, values) in encode_all(pipeline, &rendered, device)? {
                let latents = match &cache {
                    None => Latents::Memory(values.into()),
                    Some(cache) => {
                        let values = TensorValues::new(shape(pictures[*index].framing).to_vec(), values)?;
                        let source = source(&pictures[*index], pictures[*index].framing.views()[*view]);
                        Latents::Disk(cache.write(&source, &BTreeMap::from([(LATENTS.to_owned(), values)]))?)
                    }
                };
                found[*index][*view] = Some(latents);
            }
            done += chunk.len();
            let what = "encoding pictures".to_owned();
            if events(TrainEvent::Preparing { what, done, total: missing.len() }).is_break() {
                return Err(TrainError::cancelled().keeping(|| match cache_dir {
                    Some(dir) => format!("latents of {done} pictures are in {}", dir.display()),
                    None => "nothing was trained yet".to_owned(),
                }));
            }
        }
        let encoded = pictures.iter().zip(found).map(|(picture, latents)| Encoded {
            framing: picture.framing.clone(),
            shape: shape(picture.framing),
            latents: latents.into_iter().flatten().collect(),
        });
        Ok(Self { pictures: encoded.collect() })
    }

    /// Some of the pictures; their latents are shared, not copied.
    #[must_use]
    pub fn select(&self, examples: &[usize]) -> Self {
        Self { pictures: examples.iter().map(|&index| self.pictures[index].clone()).collect() }
    }

    /// How many pictures there are.
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// Width and height of picture `example` in training, in pixels.
    pub fn size(&self, example: usize) -> [u32; 2] {
        self.pictures[example].framing.target()
    }

    /// Latents of a random view of each of `examples`, `[batch, channels, height, width]`, and what SDXL is told of the
    /// views' sizes. Nothing is drawn for pictures with one view.
    ///
    /// # Errors
    /// [`TrainError::File`] names a file of the cache that cannot be read any more.
    ///
    /// # Panics
    /// If the examples are not of one size.
    pub fn draw(
        &self,
        examples: &[usize],
        noise: &mut NoiseSource,
        device: &Device,
    ) -> Result<(Tensor<4>, Vec<SizeConditions>), TrainError> {
        let mut values = Vec::new();
        let mut sizes = Vec::with_capacity(examples.len());
        let mut shape = [0; 3];
        for &example in examples {
            let picture = &self.pictures[example];
            let view = match picture.latents.len() {
                1 => 0,
                views => noise.below(views),
            };
            shape = picture.shape;
            picture.append(view, &mut values)?;
            sizes.push(picture.framing.sizes(picture.framing.views()[view]));
        }
        let [channels, height, width] = shape;
        let data = TensorData::new(values, [examples.len(), channels, height, width]);
        Ok((Tensor::from_data(data, device), sizes))
    }
}

impl Encoded {
    fn append(&self, view: usize, values: &mut Vec<f32>) -> Result<(), TrainError> {
        match &self.latents[view] {
            Latents::Memory(latents) => values.extend_from_slice(latents),
            Latents::Disk(path) => {
                let read = WeightsFile::open(path).map_err(|error| error.to_string()).and_then(|file| {
                    has_shape(&file, self.shape)?;
                    file.read(LATENTS).map_err(|error| error.to_string())
                });
                values.extend(read.map_err(|reason| TrainError::File {
                    path: path.clone(),
                    reason: format!("{reason}; the next run with this --cache-dir makes it anew"),
                })?);
            }
        }
        Ok(())
    }
}

/// A view as pixels: of picture `index`, view `view`.
struct Rendered {
    index: usize,
    view: usize,
    pixels: RgbImage,
}

/// The views of a picture that have no latents yet; the picture is decoded once.
fn render(
    index: usize,
    picture: &Framed<'_>,
    found: &[Option<Latents>],
) -> Result<Vec<Rendered>, TrainError> {
    let decoded = imagefolder::load(picture.path)?;
    let views = picture.framing.views().iter().enumerate();
    let missing = views.filter(|(view, _)| found[*view].is_none());
    Ok(missing
        .map(|(view, shown)| Rendered { index, view, pixels: picture.framing.render(&decoded, *shown) })
        .collect())
}

/// The latents of every view.
fn encode_all<'a>(
    pipeline: &Pipeline,
    rendered: &'a [Rendered],
    device: &Device,
) -> Result<Vec<(&'a Rendered, Vec<f32>)>, TrainError> {
    let mut sizes: BTreeMap<(u32, u32), Vec<&Rendered>> = BTreeMap::new();
    for view in rendered {
        sizes.entry(view.pixels.dimensions()).or_default().push(view);
    }
    let batches: Vec<&[&Rendered]> = sizes
        .iter()
        .flat_map(|((width, height), views)| {
            let fit = BATCH_PIXELS / (*width as usize * *height as usize).max(1);
            views.chunks(fit.clamp(1, BATCH))
        })
        .collect();
    let encode = |batch: &&[&'a Rendered]| -> Result<Vec<(&'a Rendered, Vec<f32>)>, TrainError> {
        let pixels = to_tensor(batch.iter().map(|view| &view.pixels), device);
        let latents = pictures::read(pipeline.encode_pictures(pixels))?;
        let rows = latents.chunks(latents.len() / batch.len()).map(<[f32]>::to_vec);
        Ok(batch.iter().copied().zip(rows).collect())
    };
    let encoded: Result<Vec<_>, TrainError> = batches.iter().map(encode).collect();
    Ok(encoded?.into_iter().flatten().collect())
}

/// The part of the cache that the autoencoder of `pipeline` filled.
fn autoencoder_cache(dir: &Path, pipeline: &Pipeline) -> Result<TensorCache, TrainError> {
    let mut encoder = Fingerprint::default();
    encoder.add(format!("{:?}", pipeline.vae_config).as_bytes());
    encoder.add_parameters(&pipeline.vae)?;
    Ok(TensorCache::new(dir, LATENTS, &encoder))
}

/// The file with the latents of a view, if the cache has it.
fn cached(cache: &TensorCache, picture: &Framed<'_>, view: View, shape: [usize; 3]) -> Option<Latents> {
    let source = source(picture, view);
    cache.open(&source, |file| has_shape(file, shape))?;
    Some(Latents::Disk(cache.path(&source)))
}

fn has_shape(file: &WeightsFile, expected: [usize; 3]) -> Result<(), String> {
    match file.tensors().find(|(name, _)| *name == LATENTS) {
        Some((_, shape)) if shape == expected => Ok(()),
        Some((_, shape)) => Err(format!("its latents have the shape {shape:?}, not {expected:?}")),
        None => Err(format!("it has no tensor `{LATENTS}`")),
    }
}

/// What the latents of a view come from. A picture is known by its path, and has changed when its length or its time has.
fn source(picture: &Framed<'_>, view: View) -> Source {
    let path = fs::canonicalize(picture.path).unwrap_or_else(|_| picture.path.to_owned());
    let file = fs::metadata(&path).ok();
    let modified = file.as_ref().and_then(|file| file.modified().ok()?.duration_since(UNIX_EPOCH).ok());
    let entries = |entries: &[(&str, String)]| -> Metadata {
        entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    };
    let framing = picture.framing;
    Source {
        identity: entries(&[
            ("picture", path.display().to_string()),
            ("size", format!("{:?}", framing.target())),
            ("part", format!("{:?} at {:?}", framing.part(), view.origin)),
            ("mirrored", view.flipped.to_string()),
        ]),
        state: entries(&[
            ("picture-bytes", file.map_or(0, |file| file.len()).to_string()),
            ("picture-modified", modified.unwrap_or_default().as_nanos().to_string()),
        ]),
    }
}
