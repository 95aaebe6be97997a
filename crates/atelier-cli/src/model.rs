//! Models that flags name, whole or to be completed.

use crate::{
    base_model,
    failure::{Failure, Usage},
};
use atelier_core::pipeline::{ModelFiles, Pipeline};
use atelier_train::completed_folder::CompletedFolder;
use burn::tensor::Device;
use clap::Args;
use std::path::{Path, PathBuf};

/// The flag for models that were saved without what they share with their base.
#[derive(Debug, Args)]
pub struct Base {
    /// Diffusers folder that gives the parts which --model lacks, where that is a denoiser alone [default: the small
    /// painter]
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
}

impl Base {
    /// The model in `folder`, completed where it lacks parts.
    pub fn load(&self, folder: &Path, device: &Device) -> Result<Pipeline, Failure> {
        let embedded = base_model::files();
        let base: &dyn ModelFiles = match &self.base {
            Some(base) => &base.as_path(),
            None => &embedded,
        };
        Ok(match CompletedFolder::new(folder, base) {
            Some(completed) => Pipeline::load(&completed, device)?,
            None => Pipeline::load(folder, device)?,
        })
    }
}

/// The folder that must be named: only the small painter comes with the program.
pub fn required<'a>(folder: &'a Option<PathBuf>, what: &str) -> Result<&'a Path, Failure> {
    folder.as_deref().ok_or_else(|| {
        let text = format!(
            "--model is missing: name the folder of {what}, such as models/auxiliary of the source code, or \
             atelier-demo/auxiliary/model after `atelier demo`"
        );
        Usage(text).into()
    })
}
