//! Noise schedulers with the names and numbers of Hugging Face diffusers.
