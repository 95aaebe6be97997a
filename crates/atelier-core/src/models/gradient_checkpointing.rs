//! Gradient checkpointing ("Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174): activations are computed
//! again for the backward pass instead of being kept.
//!
//! burn's own (`Device::gradient_checkpointing`) computes again what is bound by memory, such as additions, and keeps
//! the inputs of every product and convolution. Here whole blocks are computed again, as in diffusers: the forward pass
//! runs without gradients and keeps what each residual block and each transformer block reads; the backward pass
//! computes one block after another again, with gradients, from the last to the first. The price is a second forward
//! pass. The gradients are the same sums in another order.

use burn::tensor::{Gradients, Tensor};

use super::prompt_embeddings::PromptEmbeddings;
use super::unet_2d_condition::{Beginning, UNet2DConditionModel};
use super::unet_2d_segments::SegmentInput;

/// What a denoiser reads, without gradients: see [`Denoiser::forward`](super::denoiser::Denoiser::forward).
#[derive(Debug, Clone)]
pub struct DenoiserInput {
    /// Noisy latents, `[batch, channels, height, width]`.
    pub sample: Tensor<4>,
    /// In training steps, `[batch]`.
    pub timesteps: Tensor<1>,
    /// Of the prompts.
    pub prompt: PromptEmbeddings,
}

/// A forward pass of a UNet that can be repeated with gradients, part by part.
#[derive(Debug)]
pub struct CheckpointedPass {
    model: UNet2DConditionModel,
    input: DenoiserInput,
    temb: Tensor<2>,
    segments: Vec<SegmentInput>,
    /// How many segments come before these, where nothing up to there is trained.
    first: Option<usize>,
    last: Tensor<4>,
}

impl CheckpointedPass {
    /// See [`Denoiser::forward_checkpointed`](super::denoiser::Denoiser::forward_checkpointed). The pass goes on from
    /// `beginning`, in which nothing is trained.
    pub(super) fn forward(
        model: &UNet2DConditionModel,
        frozen: &UNet2DConditionModel,
        input: DenoiserInput,
        beginning: Option<Beginning>,
    ) -> (Tensor<4>, Self) {
        let first = beginning.as_ref().map(|beginning| beginning.segments);
        let begin = || frozen.begin(input.sample.clone(), input.timesteps.clone(), &input.prompt, 0);
        let mut pass = beginning.unwrap_or_else(begin);
        let mut segments = Vec::new();
        for segment in frozen.segments().skip(pass.segments) {
            segments.push(segment.input(pass.x.clone(), &mut pass.skips.clone()));
            pass = pass.step(segment, &input.prompt.prompt_embeds);
        }
        let Beginning { temb, x, .. } = pass;
        let prediction = frozen.tail(x.clone());
        (prediction, Self { model: model.clone(), input, temb, segments, first, last: x })
    }

    /// Gives `collect` the gradients of one part of the model after another, where `gradient` is that of the prediction.
    /// The prompt gets none.
    pub fn backward(self, gradient: Tensor<4>, collect: &mut dyn FnMut(Gradients)) {
        let Self { model, input, temb, segments, first, last } = self;
        let DenoiserInput { sample, timesteps, prompt } = input;
        let last = leaf(last);
        let mut gradients = with_gradient(model.tail(last.clone()), gradient).backward();
        let mut gradient = take(&last, &mut gradients);
        collect(gradients);

        let context = prompt.prompt_embeds.clone().autodiff();
        let mut skip_gradients: Vec<Tensor<4>> = Vec::new();
        let mut temb_gradient = temb.zeros_like();
        let parts: Vec<_> = model.segments().skip(first.unwrap_or(0)).collect();
        for (segment, SegmentInput { x, skip, size }) in parts.into_iter().zip(segments).rev() {
            if segment.gives_skip() {
                gradient = skip_gradients.pop().into_iter().fold(gradient, |sum, skip| sum + skip);
            }
            let (x, skip, temb) = (leaf(x), skip.map(leaf), leaf(temb.clone()));
            let read = SegmentInput { x: x.clone(), skip: skip.clone(), size };
            let output = segment.forward(read, &temb, &context);
            let mut gradients = with_gradient(output, gradient).backward();
            gradient = take(&x, &mut gradients);
            skip_gradients.extend(skip.map(|skip| take(&skip, &mut gradients)));
            if let Some(part) = temb.grad_remove(&mut gradients) {
                temb_gradient = temb_gradient + part;
            }
            collect(gradients);
        }

        if first.is_some() {
            return;
        }
        // The first skip connection is what the first segment reads.
        let gradient = skip_gradients.pop().into_iter().fold(gradient, |sum, skip| sum + skip);
        let x = with_gradient(model.head(sample.autodiff()), gradient);
        let temb =
            with_gradient(model.activated_temb(timesteps.autodiff(), &prompt.autodiff()), temb_gradient);
        // Nothing is left to do where the first layers are not trained.
        for part in [x, temb].into_iter().filter(Tensor::is_tracked) {
            collect(part.backward());
        }
    }
}

/// The same values, whose gradient is asked for.
fn leaf<const D: usize>(value: Tensor<D>) -> Tensor<D> {
    value.autodiff().require_grad()
}

/// A number whose gradient with respect to `output` is `gradient`.
fn with_gradient<const D: usize>(output: Tensor<D>, gradient: Tensor<D>) -> Tensor<1> {
    (output * gradient.autodiff()).sum()
}

/// The gradient of a leaf; zero if nothing depends on it.
fn take(leaf: &Tensor<4>, gradients: &mut Gradients) -> Tensor<4> {
    leaf.grad_remove(gradients).unwrap_or_else(|| leaf.clone().inner().zeros_like())
}
