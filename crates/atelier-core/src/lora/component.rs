use std::fmt;

/// The parts of a pipeline that can have adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// The UNet.
    Unet,
    /// The transformer of FLUX and SD3.
    Transformer,
    /// The first text encoder.
    TextEncoder,
    /// The second text encoder.
    TextEncoder2,
    /// T5, where files call it the third text encoder as in SD3. FLUX has it in the second place.
    TextEncoder3,
}

impl Component {
    /// Its name in model folders, and before the first dot of keys in LoRA files.
    pub fn key(self) -> &'static str {
        match self {
            Self::Unet => "unet",
            Self::Transformer => "transformer",
            Self::TextEncoder => "text_encoder",
            Self::TextEncoder2 => "text_encoder_2",
            Self::TextEncoder3 => "text_encoder_3",
        }
    }
}

impl fmt::Display for Component {
    /// What people call it, for messages.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unet => "UNet",
            Self::Transformer => "transformer",
            Self::TextEncoder => "text encoder",
            Self::TextEncoder2 => "second text encoder",
            Self::TextEncoder3 => "T5 text encoder",
        })
    }
}
