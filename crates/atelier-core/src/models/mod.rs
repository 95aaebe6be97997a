//! Model architectures with the configurations and weight names of Hugging Face diffusers and transformers.
