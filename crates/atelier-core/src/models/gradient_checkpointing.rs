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
use super::unet_2d_condition::UNet2DConditionModel;
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
    last: Tensor<4>,
}

impl CheckpointedPass {
    /// See [`Denoiser::forward_checkpointed`](super::denoiser::Denoiser::forward_checkpointed).
    pub(super) fn forward(
        model: &UNet2DConditionModel,
        frozen: &UNet2DConditionModel,
        input: DenoiserInput,
    ) -> (Tensor<4>, Self) {
        let temb = frozen.activated_temb(input.timesteps.clone(), &input.prompt);
        let mut x = frozen.head(input.sample.clone());
        let mut skips = vec![x.clone()];
        let mut segments = Vec::new();
        for segment in frozen.segments() {
            let read = segment.input(x, &mut skips);
            segments.push(read.clone());
            x = segment.forward(read, &temb, &input.prompt.prompt_embeds);
            if segment.gives_skip() {
                skips.push(x.clone());
            }
        }
        let prediction = frozen.tail(x.clone());
        (prediction, Self { model: model.clone(), input, temb, segments, last: x })
    }

    /// Gives `collect` the gradients of one part of the model after another, where `gradient` is that of the prediction.
    /// The prompt gets none.
    pub fn backward(self, gradient: Tensor<4>, collect: &mut dyn FnMut(Gradients)) {
        let Self { model, input: DenoiserInput { sample, timesteps, prompt }, temb, segments, last } = self;
        let last = leaf(last);
        let mut gradients = with_gradient(model.tail(last.clone()), gradient).backward();
        let mut gradient = take(&last, &mut gradients);
        collect(gradients);

        let context = prompt.prompt_embeds.clone().autodiff();
        let mut skip_gradients: Vec<Tensor<4>> = Vec::new();
        let mut temb_gradient = temb.zeros_like();
        let parts: Vec<_> = model.segments().collect();
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
