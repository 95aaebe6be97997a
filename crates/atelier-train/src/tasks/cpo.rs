//! Stage 2: Complex Preference Optimization of the target model.

use super::{Dropout, Noising, TrainedDenoiser, noising::NoisedBatch};
use crate::{
    error::TrainError,
    forward_passes::ForwardPasses,
    latents::LatentCache,
    options::{Granularity, TrainOptions},
    painter,
    text_states::TextStates,
    trainer::Task,
};
use atelier_core::{
    models::{
        denoiser::Denoiser, gradient_checkpointing::DenoiserInput, prompt_embeddings::PromptEmbeddings,
    },
    noise::NoiseSource,
    objectives::{CpoInput, Objective, PreferenceOptions, cpo},
    pipeline::Pipeline,
};
use atelier_criteria::{CriteriaTree, DimensionWeights, Labels, prompt::Prompt};
use burn::tensor::{Device, Tensor};
use image::RgbImage;

/// The target is pulled toward the auxiliary model's answer to the positive attributes of a painting and away from its
/// answer to the negative ones, at the same noisy latents.
#[derive(Debug)]
pub struct CpoTask<'a> {
    /// The model before alignment, whose denoiser is the reference.
    pub reference: &'a Pipeline,
    /// The frozen auxiliary denoiser; where it is an adapter, all its other weights are the reference's.
    pub auxiliary: Denoiser,
    /// States of the text encoder, which target, reference and auxiliary model share.
    pub states: TextStates<'a>,
    /// The criteria.
    pub tree: &'a CriteriaTree,
    /// How much each dimension counts.
    pub weights: DimensionWeights,
    /// Latents of the pictures.
    pub latents: &'a LatentCache,
    /// Captions of the pictures.
    pub captions: &'a [String],
    /// Attributes of the pictures.
    pub labels: &'a [Labels],
    /// Captions and attributes, for the sample grids.
    pub prompts: &'a [Prompt],
    /// Timesteps, noise and weights.
    pub noising: Noising,
    /// Options of the run.
    pub options: &'a TrainOptions,
}

/// The prompts of one example.
struct Pair {
    positive: String,
    negative: String,
}

/// Noisy latents, and what three prompts for each became.
#[derive(Debug)]
pub struct CpoBatch {
    noised: NoisedBatch,
    positive: PromptEmbeddings,
    negative: PromptEmbeddings,
    caption: PromptEmbeddings,
    dropout: Option<Dropout>,
}

impl CpoTask<'_> {
    /// The two prompts of example `index` at `step`.
    ///
    /// A leaf takes part with the probability of its dimension's weight relative to the heaviest one, and a curriculum
    /// lets in more leaves step by step.
    fn pair(&self, index: usize, step: u64, noise: &mut NoiseSource) -> Result<Pair, TrainError> {
        let labels = &self.labels[index];
        let mut leaves = Vec::new();
        let heaviest = self.weights.max();
        for (ids, is_positive) in [(&labels.positive, true), (&labels.negative, false)] {
            for id in ids {
                let leaf = self.tree.require_leaf(id)?;
                let chance = self.weights.of(leaf) / heaviest;
                if f64::from(noise.uniform()) < chance {
                    leaves.push((leaf, is_positive));
                }
            }
        }
        let admitted = match self.options.curriculum_steps {
            0 => leaves.len(),
            steps => {
                (leaves.len() * (step as usize + 1)).div_ceil(steps as usize).clamp(1, leaves.len().max(1))
            }
        };
        let admitted = if self.options.granularity == Granularity::Leaf { admitted.min(1) } else { admitted };
        let mut chosen = noise.permutation(leaves.len());
        chosen.truncate(admitted);
        // Always in the order of the labels, as in stage 1: the text encoder is asked for few prompts then, again and again.
        chosen.sort_unstable();
        let leaves = chosen.into_iter().map(|index| leaves[index]);
        let (mut positive, mut negative) = (Vec::new(), Vec::new());
        match self.options.granularity {
            Granularity::Set => {
                for (leaf, is_positive) in leaves {
                    if is_positive {
                        positive.push(leaf.positive.phrase.clone());
                    } else {
                        negative.push(leaf.negative.phrase.clone());
                    }
                }
            }
            Granularity::Pairs | Granularity::Leaf => {
                for (leaf, _) in leaves {
                    positive.push(leaf.positive.phrase.clone());
                    negative.push(leaf.negative.phrase.clone());
                }
            }
        }
        let caption = self.captions[index].clone();
        let prompt = |positive, negative| Prompt { caption: caption.clone(), positive, negative }.compose();
        Ok(Pair { positive: prompt(positive, Vec::new()), negative: prompt(Vec::new(), negative) })
    }
}

impl Task for CpoTask<'_> {
    type Model = TrainedDenoiser;
    /// The reference and the auxiliary denoiser.
    type Frozen = (Denoiser, Denoiser);
    type Batch = CpoBatch;

    fn stage(&self) -> &'static str {
        "cpo"
    }

    fn examples(&self) -> usize {
        self.latents.len()
    }

    fn size(&self, example: usize) -> [u32; 2] {
        self.latents.size(example)
    }

    fn frozen(&self) -> Self::Frozen {
        (self.reference.denoiser.clone(), self.auxiliary.clone())
    }

    fn batch(
        &mut self,
        examples: &[usize],
        noise: &mut NoiseSource,
        step: u64,
        device: &Device,
    ) -> Result<Self::Batch, TrainError> {
        let (latents, sizes) = self.latents.draw(examples, noise, device)?;
        let noised = self.noising.draw(latents, noise);
        let mut prompts: [Vec<String>; 3] = Default::default();
        for &index in examples {
            let pair = self.pair(index, step, noise)?;
            prompts[0].push(pair.positive);
            prompts[1].push(pair.negative);
            prompts[2].push(self.captions[index].clone());
        }
        let [positive, negative, caption] = &prompts;
        Ok(CpoBatch {
            noised,
            positive: self.states.get(positive, &sizes, device)?,
            negative: self.states.get(negative, &sizes, device)?,
            caption: self.states.get(caption, &sizes, device)?,
            dropout: Dropout::draw(self.options.lora_dropout, noise),
        })
    }

    fn objective(
        &self,
        model: &TrainedDenoiser,
        (base, auxiliary): &Self::Frozen,
        batch: CpoBatch,
        passes: &mut ForwardPasses,
    ) -> Objective {
        let CpoBatch { noised, positive, negative, caption, dropout } = batch;
        // What is computed without gradients comes first: nothing that gradients need is there yet.
        let scale = self.options.target_guidance;
        let mut prompts = vec![positive, negative];
        if scale != 1.0 {
            prompts.push(caption.clone());
        }
        let count = prompts.len();
        let repeated = |rows: Tensor<4>| Tensor::cat(vec![rows; count], 0);
        let timesteps = Tensor::cat(vec![noised.timesteps.clone(); count], 0);
        let answers =
            auxiliary.forward(repeated(noised.sample.clone()), timesteps, PromptEmbeddings::cat(prompts));
        let answers = answers.chunk(count, 0);
        let target = |index: usize| {
            let answer = answers[index].clone();
            match answers.get(2).cloned() {
                Some(plain) => plain.clone() + (answer - plain).mul_scalar(scale),
                None => answer,
            }
        };
        let (winning, losing) = (target(0), target(1));
        let input = DenoiserInput { sample: noised.sample, timesteps: noised.timesteps, prompt: caption };
        let (prediction, reference) = passes.predict_beside(model, base, dropout, input);
        let input = CpoInput {
            prediction,
            reference: reference.autodiff(),
            winning: winning.autodiff(),
            losing: losing.autodiff(),
            weights: noised.weights.autodiff(),
        };
        let options =
            PreferenceOptions { beta: self.options.beta(), stabilisation: self.options.stabilisation() };
        cpo(input, &options)
    }

    fn picture(&mut self, model: &TrainedDenoiser) -> Result<Option<RgbImage>, TrainError> {
        let pipeline =
            Pipeline { denoiser: model.denoiser(&self.reference.denoiser, None), ..self.reference.clone() };
        painter::sample_grid(&pipeline, self.prompts, self.options).map(Some)
    }
}
