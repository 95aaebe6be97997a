//! The small painter that comes with the binary.

use std::collections::BTreeMap;

macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        [$(($path, include_bytes!(concat!("../../../models/painter/", $path)).as_slice())),+]
    };
}

/// The files of its diffusers folder, by relative path.
pub fn files() -> BTreeMap<String, Vec<u8>> {
    let files: [(&str, &[u8]); 9] = files![
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/tokenizer.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ];
    files.into_iter().map(|(path, bytes)| (path.to_owned(), bytes.to_vec())).collect()
}
