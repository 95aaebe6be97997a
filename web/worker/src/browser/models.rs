//! The models, loaded when they are first needed.

use super::{
    device::OpenDevice,
    download::{self, Origin},
    failure::Failure,
    job::Job,
    link::reply,
    manifest::Manifest,
    storage::Storage,
};
use atelier_core::{explanation::Calibration, latent_preview::LatentPreview, pipeline::Pipeline};
use atelier_web_messages::{Model, Reply};
use std::{collections::BTreeMap, rc::Rc};

/// A model of the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SiteModel {
    /// The small painter.
    Painter,
    /// The small painter after alignment.
    Aligned,
    /// The model of the first stage, which reads attributes.
    Auxiliary,
}

/// The folder of the small painter, which the others take all from but their denoiser.
const PAINTER: &str = "painter/";
const DENOISER: &str = "unet/";
const CALIBRATION: &str = "auxiliary/calibration.json";

impl SiteModel {
    fn folder(self) -> &'static str {
        match self {
            Self::Painter => PAINTER,
            Self::Aligned => "aligned/",
            Self::Auxiliary => "auxiliary/",
        }
    }
}

impl From<Model> for SiteModel {
    fn from(model: Model) -> Self {
        match model {
            Model::Base => Self::Painter,
            Model::Aligned => Self::Aligned,
        }
    }
}

/// A painter with the projection that shows its latents.
#[derive(Debug)]
pub struct Painter {
    /// The model.
    pub pipeline: Pipeline,
    /// Its preview.
    pub preview: LatentPreview,
}

/// What is loaded, on one device.
#[derive(Debug, Default)]
pub struct Models {
    manifest: Option<Rc<Manifest>>,
    painters: BTreeMap<SiteModel, Rc<Painter>>,
    auxiliary: Option<Rc<(Pipeline, Calibration)>>,
}

impl Models {
    /// The painters, in the order of `models`.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn painters(
        &mut self,
        models: &[Model],
        device: &OpenDevice,
        job: Job,
    ) -> Result<Vec<(Model, Rc<Painter>)>, Failure> {
        let missing: Vec<SiteModel> = models
            .iter()
            .map(|&model| model.into())
            .filter(|model| !self.painters.contains_key(model))
            .collect();
        if !missing.is_empty() {
            let files = self.files(&missing, job).await?;
            for model in missing {
                job.pause().await?;
                let pipeline = load(model, &files, device)?;
                let preview = LatentPreview::fit(&pipeline, &device.device).await?;
                self.painters.insert(model, Rc::new(Painter { pipeline, preview }));
            }
        }
        Ok(models.iter().map(|&model| (model, Rc::clone(&self.painters[&model.into()]))).collect())
    }

    /// The model that explains, with its calibration.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn auxiliary(
        &mut self,
        device: &OpenDevice,
        job: Job,
    ) -> Result<Rc<(Pipeline, Calibration)>, Failure> {
        if self.auxiliary.is_none() {
            let files = self.files(&[SiteModel::Auxiliary], job).await?;
            job.pause().await?;
            let calibration = files.get(CALIBRATION).map(Vec::as_slice).unwrap_or_default();
            let calibration = serde_json::from_slice(calibration)
                .map_err(|error| Failure::Manifest(format!("{CALIBRATION}: {error}")))?;
            let pipeline = load(SiteModel::Auxiliary, &files, device)?;
            self.auxiliary = Some(Rc::new((pipeline, calibration)));
        }
        Ok(Rc::clone(self.auxiliary.as_ref().expect("loaded above")))
    }

    /// Forgets what is on a device.
    pub fn unload(&mut self) {
        self.painters.clear();
        self.auxiliary = None;
    }

    /// The files of `models` by path below `models/`, with progress for the page.
    async fn files(&mut self, models: &[SiteModel], job: Job) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
        let manifest = match &self.manifest {
            Some(manifest) => Rc::clone(manifest),
            None => Rc::clone(self.manifest.insert(Rc::new(Manifest::load().await?))),
        };
        let needed: Vec<_> = manifest.files.iter().filter(|(path, _)| is_needed(path, models)).collect();
        let total = needed.iter().map(|(_, entry)| entry.bytes).sum();
        let storage = Storage::open().await;
        let (mut received, mut is_stored) = (0, true);
        let mut files = BTreeMap::new();
        for (path, entry) in needed {
            let mut on_bytes = |count: u64, origin: Origin| {
                received += count;
                is_stored &= origin == Origin::Storage;
                reply(&Reply::Download { job: job.id, received, total, is_stored });
            };
            let mut on_refused = |reason: String| reply(&Reply::NotStored { reason });
            let bytes = download::file(path, entry, &storage, &mut on_bytes, &mut on_refused).await?;
            files.insert(path.clone(), bytes);
            job.pause().await?;
        }
        Ok(files)
    }
}

/// Whether one of `models` is made of the file at `path`.
fn is_needed(path: &str, models: &[SiteModel]) -> bool {
    models.iter().any(|model| path.starts_with(model.folder()))
        || path.strip_prefix(PAINTER).is_some_and(|below| !below.starts_with(DENOISER))
}

/// `model` out of its own folder's files and the small painter's.
fn load(
    model: SiteModel,
    files: &BTreeMap<String, Vec<u8>>,
    device: &OpenDevice,
) -> Result<Pipeline, Failure> {
    let own = files.iter().filter_map(|(path, bytes)| Some((path.strip_prefix(model.folder())?, bytes)));
    let shared = files.iter().filter_map(|(path, bytes)| Some((path.strip_prefix(PAINTER)?, bytes)));
    // Later entries win.
    let all: BTreeMap<String, Vec<u8>> =
        shared.chain(own).map(|(path, bytes)| (path.to_owned(), bytes.clone())).collect();
    Ok(Pipeline::load_stored_as(device.storage_dtype(), &all, &device.device)?)
}
