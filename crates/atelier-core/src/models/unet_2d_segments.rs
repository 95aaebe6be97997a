//! A UNet between its first and its last convolution, as a row of segments.

use burn::tensor::Tensor;

use super::attention::BasicTransformerBlock;
#[cfg(feature = "autodiff")]
use super::layers::is_adapted;
use super::resampling::{Downsample2D, Upsample2D};
use super::resnet::ResnetBlock2D;
use super::transformer_2d::Transformer2DModel;

/// A part of a UNet that is computed as a whole, and with gradient checkpointing computed again as a whole.
///
/// Every segment goes from one tensor to one. What is read again later, the skip connections from the way down to the
/// way up and those around a transformer, lies on a stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    part: Part<'a>,
    /// Whether the latest tensor of the stack is taken from it and read, too.
    takes_skip: bool,
    /// Whether the result is put on the stack, too.
    gives_skip: bool,
}

#[derive(Clone, Copy, Debug)]
enum Part<'a> {
    Resnet(&'a ResnetBlock2D),
    /// To the sequence that the blocks of a transformer read.
    ProjIn(&'a Transformer2DModel),
    Transformer(&'a BasicTransformerBlock),
    /// Back from the sequence.
    ProjOut(&'a Transformer2DModel),
    Downsample(&'a Downsample2D),
    Upsample(&'a Upsample2D),
}

/// What a layer, a residual block with a transformer after it, has to do with skip connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    /// On the way down its result is one.
    Gives,
    /// On the way up it reads the latest one.
    Takes,
    /// In the middle it has nothing to do with them.
    Neither,
}

/// What a segment reads of the way before it.
#[derive(Clone, Debug)]
pub(super) struct SegmentInput {
    /// The result of the segment before: `[batch, channels, height, width]`, in a transformer
    /// `[batch, 1, height * width, channels]`.
    pub x: Tensor<4>,
    /// The latest tensor of the stack, where the segment takes it: `[batch, channels, height, width]`.
    pub skip: Option<Tensor<4>>,
    /// Height and width of the latest tensor of the stack: a transformer goes back to its picture, and a stage of the
    /// way up enlarges to it, so that sizes which are no powers of two come back as they were.
    pub size: [usize; 2],
}

impl<'a> Segment<'a> {
    fn new(part: Part<'a>) -> Self {
        Self { part, takes_skip: false, gives_skip: false }
    }

    /// A residual block, and the transformer after it.
    pub fn layer(
        resnet: &'a ResnetBlock2D,
        transformer: Option<&'a Transformer2DModel>,
        skip: Skip,
    ) -> impl Iterator<Item = Self> {
        let (takes_skip, gives_skip) = (skip == Skip::Takes, skip == Skip::Gives);
        let around = transformer.is_some();
        let resnet = Self { part: Part::Resnet(resnet), takes_skip, gives_skip: gives_skip || around };
        let transformer = transformer.into_iter().flat_map(move |transformer| {
            let blocks = transformer.blocks().map(|block| Self::new(Part::Transformer(block)));
            let end = Self { part: Part::ProjOut(transformer), takes_skip: true, gives_skip };
            std::iter::once(Self::new(Part::ProjIn(transformer))).chain(blocks).chain([end])
        });
        std::iter::once(resnet).chain(transformer)
    }

    /// The end of a stage on the way down, whose result is a skip connection.
    pub fn downsample(downsampler: &'a Downsample2D) -> Self {
        Self { gives_skip: true, ..Self::new(Part::Downsample(downsampler)) }
    }

    /// The end of a stage on the way up.
    pub fn upsample(upsampler: &'a Upsample2D) -> Self {
        Self::new(Part::Upsample(upsampler))
    }

    /// Whether an adapter sits on one of the segment's layers.
    #[cfg(feature = "autodiff")]
    pub fn is_adapted(&self) -> bool {
        match self.part {
            Part::Resnet(resnet) => is_adapted(resnet),
            Part::ProjIn(transformer) => transformer.is_adapted_before_blocks(),
            Part::Transformer(block) => is_adapted(block),
            Part::ProjOut(transformer) => transformer.is_adapted_after_blocks(),
            Part::Downsample(downsampler) => is_adapted(downsampler),
            Part::Upsample(upsampler) => is_adapted(upsampler),
        }
    }

    /// Whether the result is put on the stack, too.
    pub fn gives_skip(&self) -> bool {
        self.gives_skip
    }

    /// What the segment reads after a way that came to `x` and left `skips`.
    pub fn input(&self, x: Tensor<4>, skips: &mut Vec<Tensor<4>>) -> SegmentInput {
        let [_, _, height, width] = skips.last().unwrap_or(&x).dims();
        let skip = if self.takes_skip { skips.pop() } else { None };
        SegmentInput { x, skip, size: [height, width] }
    }

    /// The result.
    ///
    /// `activated_temb` is as in [`ResnetBlock2D::forward`], `context` as in [`BasicTransformerBlock::forward`].
    pub fn forward(&self, input: SegmentInput, activated_temb: &Tensor<2>, context: &Tensor<3>) -> Tensor<4> {
        let SegmentInput { x, skip, size } = input;
        match (self.part, skip) {
            (Part::Resnet(resnet), Some(skip)) => {
                resnet.forward(Tensor::cat(vec![x, skip], 1), Some(activated_temb))
            }
            (Part::Resnet(resnet), None) => resnet.forward(x, Some(activated_temb)),
            (Part::ProjIn(transformer), _) => transformer.proj_in(x).unsqueeze_dim(1),
            (Part::Transformer(block), _) => {
                block.forward(x.squeeze_dim(1), context.clone()).unsqueeze_dim(1)
            }
            (Part::ProjOut(transformer), Some(residual)) => {
                transformer.proj_out(x.squeeze_dim(1), size) + residual
            }
            (Part::ProjOut(transformer), None) => transformer.proj_out(x.squeeze_dim(1), size),
            (Part::Downsample(downsampler), _) => downsampler.forward(x),
            (Part::Upsample(upsampler), _) => upsampler.forward(x, size),
        }
    }
}
