//! The forward passes of a training step that gradients go through.

use crate::tasks::{Dropout, TrainedDenoiser};
use atelier_core::models::{
    denoiser::Denoiser,
    gradient_checkpointing::{CheckpointedPass, DenoiserInput},
};
use burn::{
    module::Module,
    optim::{GradientsAccumulator, GradientsParams},
    tensor::{Gradients, Tensor},
};

/// Runs the trained denoiser, and remembers the passes that are to be repeated for the gradients.
#[derive(Debug, Default)]
pub struct ForwardPasses {
    gradient_checkpointing: bool,
    checkpointed: Vec<(Tensor<4>, CheckpointedPass)>,
}

impl ForwardPasses {
    /// With [gradient checkpointing](atelier_core::models::gradient_checkpointing), or without.
    pub fn new(gradient_checkpointing: bool) -> Self {
        Self { gradient_checkpointing, checkpointed: Vec::new() }
    }

    /// The prediction of the denoiser that `model` (with gradients) makes of `base`, for a loss of which
    /// [`Self::gradients`] gives the gradients.
    pub fn predict(
        &mut self,
        model: &TrainedDenoiser,
        base: &Denoiser,
        dropout: Option<Dropout>,
        input: DenoiserInput,
    ) -> Tensor<4> {
        let denoiser = model.denoiser(base, dropout);
        let checkpointed = if self.gradient_checkpointing {
            denoiser.forward_checkpointed(&model.valid().denoiser(base, dropout), input.clone())
        } else {
            None
        };
        let Some((prediction, pass)) = checkpointed else {
            let DenoiserInput { sample, timesteps, prompt } = input;
            return denoiser.forward(sample.autodiff(), timesteps.autodiff(), prompt.autodiff());
        };
        self.leaf(prediction, pass)
    }

    /// As [`Self::predict`], and the prediction of `base` itself, without gradients; what both compute alike is computed
    /// once.
    pub fn predict_beside(
        &mut self,
        model: &TrainedDenoiser,
        base: &Denoiser,
        dropout: Option<Dropout>,
        input: DenoiserInput,
    ) -> (Tensor<4>, Tensor<4>) {
        if let TrainedDenoiser::Whole(_) = model {
            let DenoiserInput { sample, timesteps, prompt } = input.clone();
            let reference = base.forward(sample, timesteps, prompt);
            return (self.predict(model, base, dropout, input), reference);
        }
        let denoiser = model.denoiser(base, dropout);
        if self.gradient_checkpointing {
            let frozen = model.valid().denoiser(base, dropout);
            let passes = denoiser.forward_checkpointed_beside(&frozen, base, input.clone());
            if let Some((prediction, pass, reference)) = passes {
                return (self.leaf(prediction, pass), reference);
            }
        }
        denoiser.forward_beside(base, input)
    }

    /// The graph of the loss ends here; the pass goes on with the gradient of this leaf.
    fn leaf(&mut self, prediction: Tensor<4>, pass: CheckpointedPass) -> Tensor<4> {
        let prediction = prediction.autodiff().require_grad();
        self.checkpointed.push((prediction.clone(), pass));
        prediction
    }

    /// The gradients of `model`'s parameters, of which those of the loss's own graph are `gradients`.
    pub fn gradients<M: Module>(self, mut gradients: Gradients, model: &M) -> GradientsParams {
        if self.checkpointed.is_empty() {
            return GradientsParams::from_grads(gradients, model);
        }
        let mut accumulator = GradientsAccumulator::new();
        for (prediction, pass) in self.checkpointed {
            let Some(gradient) = prediction.grad_remove(&mut gradients) else { continue };
            pass.backward(gradient, &mut |gradients| {
                accumulator.accumulate(model, GradientsParams::from_grads(gradients, model));
            });
        }
        accumulator.accumulate(model, GradientsParams::from_grads(gradients, model));
        accumulator.grads()
    }
}
