//! An estimate of what a training step keeps of a denoiser's forward pass.

use atelier_core::models::{
    denoiser::{Denoiser, DenoiserConfig},
    layers::{Adaptable, LayerMut},
    unet_2d_condition::UNet2DConditionModelConfig,
};

/// What a step computes.
#[derive(Debug, Clone)]
pub struct Pass<'a> {
    /// The model, of which names and shapes are read.
    pub denoiser: &'a Denoiser,
    /// Its configuration.
    pub config: &'a DenoiserConfig,
    /// Samples.
    pub batch: usize,
    /// Height and width of the latents.
    pub latents: [usize; 2],
    /// Tokens of a prompt.
    pub tokens: usize,
    /// Names of the layers that an adapter is trained on; none where the denoiser itself is trained.
    pub adapted: Option<&'a [String]>,
}

/// Values that a residual block keeps for each value that goes in, and for each that comes out.
const RESNET: f64 = 7.4;
/// Values that a transformer block keeps for each value that goes through it.
const TRANSFORMER: f64 = 20.0;
/// Values that attention keeps for each score.
const SCORE: f64 = 1.6;

/// A block that is kept or computed again as a whole.
#[derive(Debug, Clone, PartialEq)]
struct Block {
    /// The names of its layers begin with this.
    prefix: String,
    /// Where it comes in the forward pass.
    place: [usize; 4],
    /// Values that go in, per sample.
    read: f64,
    /// Values that are kept of it, per sample.
    kept: f64,
    /// Parameters of its layers' weights.
    weights: usize,
}

impl Pass<'_> {
    /// Bytes that the step keeps for its gradients, at the most at once: activations, and of weights in half precision
    /// (`cast`) their values in f32.
    ///
    /// Counted from the shapes of the blocks; the three factors above were fitted to the most memory that 36 runs of the
    /// small painter on the CPU had (64 to 512 pixels, batches of 1 to 32; a LoRA with and without gradient
    /// checkpointing, and the whole denoiser). Of these the sum of a plan's parts is off by 7 % on average, and by 25 % at
    /// most. The painter has few and shallow transformers: their factor is the least certain of the three.
    pub fn bytes(&self, gradient_checkpointing: bool, cast: bool) -> [f64; 2] {
        let blocks = self.blocks();
        let batch = self.batch as f64;
        let widened = |block: &Block| if cast { block.weights as f64 } else { 0.0 };
        let sum = |value: &dyn Fn(&Block) -> f64, blocks: &[Block]| blocks.iter().map(value).sum::<f64>();
        let most = |value: &dyn Fn(&Block) -> f64| blocks.iter().map(value).fold(0.0, f64::max);
        let (values, weights) = if gradient_checkpointing {
            (sum(&|it| it.read, &blocks) + most(&|it| it.kept), most(&widened))
        } else {
            // Before the first layer that is trained there is nothing to keep.
            let first = blocks.iter().position(|block| self.trains(block)).unwrap_or(0);
            (sum(&|it| it.kept, &blocks[first..]), sum(&widened, &blocks[first..]))
        };
        [4.0 * values * batch, 4.0 * weights]
    }

    /// Whether a gradient is needed in this block or before it.
    fn trains(&self, block: &Block) -> bool {
        let Some(adapted) = self.adapted else { return true };
        let before = [
            "conv_in",
            "time_embedding.",
            "add_embedding.",
            "x_embedder",
            "pos_embed.",
            "context_embedder",
            "time_text_embed.",
        ];
        adapted.iter().any(|name| {
            name.starts_with(&block.prefix) || before.iter().any(|before| name.starts_with(before))
        })
    }

    /// All blocks in the order of the forward pass.
    fn blocks(&self) -> Vec<Block> {
        match self.config {
            DenoiserConfig::Unet(config) => self.unet_blocks(config),
            DenoiserConfig::Flux(config) => {
                self.transformer_blocks(config.num_attention_heads, config.attention_head_dim)
            }
            DenoiserConfig::Sd3(config) => {
                self.transformer_blocks(config.num_attention_heads, config.attention_head_dim)
            }
        }
    }

    /// With the factors of a UNet's transformers, which nobody has compared with a run of FLUX or SD3.
    fn transformer_blocks(&self, heads: usize, head_channels: usize) -> Vec<Block> {
        let channels = (heads * head_channels) as f64;
        let patches: usize = self.latents.iter().map(|side| side / self.config.patch()).product();
        let tokens = (patches + self.tokens) as f64;
        let scores = heads as f64 * tokens * tokens;
        let mut blocks: Vec<Block> = Vec::new();
        self.denoiser.clone().visit_layers("", &mut |name, layer| {
            let parts: Vec<&str> = name.split('.').collect();
            let (kind, index) = match (parts.first(), parts.get(1).and_then(|part| part.parse().ok())) {
                (Some(&"transformer_blocks"), Some(index)) => (0, index),
                (Some(&"single_transformer_blocks"), Some(index)) => (1, index),
                _ => return,
            };
            let prefix = format!("{}.{index}.", parts[0]);
            if blocks.last().is_none_or(|block| block.prefix != prefix) {
                blocks.push(Block {
                    prefix,
                    place: [kind, index, 0, 0],
                    read: channels * tokens,
                    kept: TRANSFORMER * channels * tokens + SCORE * scores,
                    weights: 0,
                });
            }
            if let (Some(block), LayerMut::Linear(linear)) = (blocks.last_mut(), layer) {
                block.weights += linear.weight.lazy_shape().num_elements();
            }
        });
        blocks.sort_by_key(|block| block.place);
        blocks
    }

    fn unet_blocks(&self, config: &UNet2DConditionModelConfig) -> Vec<Block> {
        let stages = config.block_out_channels.len();
        let heads = config.attention_head_dim.expand(stages, self.config.class(), "attention_head_dim");
        let heads = heads.unwrap_or_default();
        let mut blocks: Vec<Block> = Vec::new();
        self.denoiser.clone().visit_layers("", &mut |name, layer| {
            let Some((prefix, place)) = block_of(name, stages) else { return };
            let [inputs, outputs, weights] = match layer {
                LayerMut::Linear(linear) => {
                    let [inputs, outputs] = linear.weight.lazy_shape().dims();
                    [inputs, outputs, inputs * outputs]
                }
                LayerMut::Conv2d(conv) => {
                    let [outputs, inputs, height, width] = conv.weight.lazy_shape().dims();
                    [inputs, outputs, inputs * outputs * height * width]
                }
            };
            if blocks.last().is_none_or(|block| block.prefix != prefix) {
                blocks.push(Block { prefix: prefix.clone(), place, read: 0.0, kept: 0.0, weights: 0 });
            }
            let Some(block) = blocks.last_mut() else { return };
            block.weights += weights;
            let level = if place[0] < stages { place[0] } else { (2 * stages).saturating_sub(place[0]) };
            let level = level.min(stages - 1);
            let pixels: f64 = self.latents.iter().map(|side| side.div_ceil(1 << level) as f64).product();
            if name.ends_with(".conv1") {
                block.read = inputs as f64 * pixels;
                block.kept = RESNET * (inputs + outputs) as f64 * pixels;
            } else if name.ends_with(".attn1.to_q") {
                let heads = heads.get(level).copied().unwrap_or(1) as f64;
                let scores = heads * pixels * (pixels + self.tokens as f64);
                block.read = inputs as f64 * pixels;
                block.kept = TRANSFORMER * inputs as f64 * pixels + SCORE * scores;
            }
        });
        blocks.sort_by_key(|block| block.place);
        blocks
    }
}

/// The beginning of the names in the block that the layer `name` belongs to, and its place: stage (the way down, the
/// middle, the way up), layer in the stage, residual block or transformer, block of the transformer.
fn block_of(name: &str, stages: usize) -> Option<(String, [usize; 4])> {
    let parts: Vec<&str> = name.split('.').collect();
    let number = |at: usize| parts.get(at).and_then(|part| part.parse::<usize>().ok());
    let (stage, rest) = match *parts.first()? {
        "down_blocks" => (number(1)?, 2),
        "mid_block" => (stages, 1),
        "up_blocks" => (stages + 1 + number(1)?, 2),
        _ => return None,
    };
    let layer = number(rest + 1)?;
    let (length, kind, block) = match *parts.get(rest)? {
        "resnets" => (rest + 2, 0, 0),
        "attentions" if parts.get(rest + 2) == Some(&"transformer_blocks") => {
            (rest + 4, 1, number(rest + 3)?)
        }
        _ => return None,
    };
    Some((parts[..length].join(".") + ".", [stage, layer, kind, block]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_belong_to_blocks() {
        let block = |name| block_of(name, 3);
        let resnet = ("down_blocks.1.resnets.0.".to_owned(), [1, 0, 0, 0]);
        assert_eq!(block("down_blocks.1.resnets.0.conv1"), Some(resnet));
        let transformer = ("up_blocks.0.attentions.2.transformer_blocks.4.".to_owned(), [4, 2, 1, 4]);
        assert_eq!(block("up_blocks.0.attentions.2.transformer_blocks.4.attn1.to_out.0"), Some(transformer));
        let middle = ("mid_block.resnets.1.".to_owned(), [3, 1, 0, 0]);
        assert_eq!(block("mid_block.resnets.1.conv2"), Some(middle));
        assert_eq!(block("conv_in"), None);
        assert_eq!(block("down_blocks.0.attentions.0.proj_in"), None);
    }
}
