//! Model folders that lack what they share with the model they were trained from.

use atelier_core::{
    lora::Component,
    pipeline::{ModelFiles, PipelineError},
    weights::WeightsFile,
};
use std::path::Path;

/// A folder with a denoiser, whose missing parts (text encoder, tokenizer, autoencoder, scheduler) are those of a base.
///
/// A part is all of the folder's or all of the base's: files of one part never mix.
pub struct CompletedFolder<'a> {
    folder: &'a Path,
    base: &'a dyn ModelFiles,
}

impl<'a> CompletedFolder<'a> {
    /// `folder` completed by `base`; none if `folder` is a whole model, with a `model_index.json`, or lacks even a denoiser.
    pub fn new(folder: &'a Path, base: &'a dyn ModelFiles) -> Option<Self> {
        let denoisers = [Component::Unet, Component::Transformer];
        let has_denoiser =
            denoisers.iter().any(|part| folder.contains(&format!("{}/config.json", part.key())));
        (has_denoiser && !folder.contains("model_index.json")).then_some(Self { folder, base })
    }

    /// Where the part of `path`, its first component, is taken from.
    fn source(&self, path: &str) -> &dyn ModelFiles {
        let part = path.split('/').next().unwrap_or(path);
        if self.folder.join(part).exists() { &self.folder } else { self.base }
    }
}

impl ModelFiles for CompletedFolder<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, PipelineError> {
        self.source(path).read(path)
    }

    fn contains(&self, path: &str) -> bool {
        self.source(path).contains(path)
    }

    fn names(&self, folder: &str) -> Vec<String> {
        self.source(folder).names(folder)
    }

    fn mentioned(&self, folder: &str, name: &str) -> Result<String, PipelineError> {
        self.source(folder).mentioned(folder, name)
    }

    fn weights(&self, path: &str) -> Result<WeightsFile, PipelineError> {
        self.source(path).weights(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, fs};

    #[test]
    fn a_part_is_all_of_the_folder_or_all_of_the_base() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("unet")).expect("made");
        let base: BTreeMap<String, Vec<u8>> =
            ["model_index.json", "unet/config.json", "unet/other.safetensors", "vae/config.json"]
                .map(|path| (path.to_owned(), b"base".to_vec()))
                .into();
        assert!(CompletedFolder::new(folder.path(), &base).is_none(), "there is no denoiser yet");
        fs::write(folder.path().join("unet/config.json"), "own").expect("written");
        let completed = CompletedFolder::new(folder.path(), &base).expect("lacks parts");
        assert_eq!(completed.read("unet/config.json").expect("own"), b"own");
        assert_eq!(completed.read("vae/config.json").expect("the base's"), b"base");
        assert!(!completed.contains("unet/other.safetensors"), "weights of two models would mix");
        assert_eq!(completed.names("unet"), ["config.json"]);
        assert_eq!(completed.names("vae"), ["config.json"]);
        assert!(completed.mentioned("unet", "../vae/config.json").is_err());
        fs::write(folder.path().join("model_index.json"), "own").expect("written");
        assert!(CompletedFolder::new(folder.path(), &base).is_none(), "whole models need no base");
    }
}
