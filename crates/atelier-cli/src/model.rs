//! Models that flags name, whole or to be completed.

use crate::{
    base_model,
    failure::{Failure, Usage},
};
use atelier_core::pipeline::{ModelFiles, Pipeline};
use atelier_train::{adapter, completed_folder::CompletedFolder, model_folder};
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
    /// The folder that the flag names.
    pub fn folder(&self) -> Option<&Path> {
        self.base.as_deref()
    }

    /// The model in `folder`, completed where it lacks parts.
    pub fn load(&self, folder: &Path, device: &Device) -> Result<Pipeline, Failure> {
        if !folder.contains("model_index.json")
            && folder.is_dir()
            && let Some(lora) = adapter::find(folder)
        {
            let lora = lora.display();
            let text =
                format!("{lora} is a LoRA: name it with --lora, and with --model what it was trained from");
            return Err(Usage(text).into());
        }
        let folder = model_folder::find(folder)?;
        let base_folder = self.base.as_deref().map(model_folder::find).transpose()?;
        let embedded = base_model::files();
        let base: &dyn ModelFiles = match &base_folder {
            Some(base) => &base.as_path(),
            None => &embedded,
        };
        if let Some(completed) = CompletedFolder::new(&folder, base) {
            return Ok(Pipeline::load(&completed, device)?);
        }
        Ok(Pipeline::load(folder.as_path(), device)?)
    }
}

/// The folder that must be named: only the small painter comes with the program.
pub fn required(folder: &Option<PathBuf>, what: &str) -> Result<PathBuf, Failure> {
    let Some(folder) = folder else {
        let text = format!(
            "--model is missing: name the folder of {what}, such as models/auxiliary of the source code, or \
             atelier-demo/auxiliary/model after `atelier demo`"
        );
        return Err(Usage(text).into());
    };
    Ok(model_folder::find(folder)?)
}
