//! Stage 2: Complex Preference Optimization of the target model.

use super::{Dropout, Noising, TrainedDenoiser, noising::NoisedBatch};
use crate::{
    error::TrainError,
    options::{Granularity, TrainOptions},
    painter,
    pictures::LatentCache,
    text_states::TextStates,
    trainer::Task,
};
use atelier_core::{
    models::{denoiser::Denoiser, prompt_embeddings::PromptEmbeddings},
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
        let order = noise.permutation(leaves.len());
        let leaves: Vec<_> = order.into_iter().take(admitted).map(|i| leaves[i]).collect();
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
            Granularity::Pairs => {
                for (leaf, _) in leaves {
                    positive.push(leaf.positive.phrase.clone());
                    negative.push(leaf.negative.phrase.clone());
                }
            }
            Granularity::Leaf => {
                if let Some((leaf, _)) = leaves.first() {
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
    type Batch = CpoBatch;

    fn stage(&self) -> &'static str {
        "cpo"
    }

    fn examples(&self) -> usize {
        self.latents.len()
    }

    fn batch(
        &mut self,
        examples: &[usize],
        noise: &mut NoiseSource,
        step: u64,
        device: &Device,
    ) -> Result<Self::Batch, TrainError> {
        let noised = self.noising.draw(self.latents.batch(examples, device), noise);
        let mut prompts: [Vec<String>; 3] = Default::default();
        for &index in examples {
            let pair = self.pair(index, step, noise)?;
            prompts[0].push(pair.positive);
            prompts[1].push(pair.negative);
            prompts[2].push(self.captions[index].clone());
        }
        let [positive, negative, caption] = &prompts;
        let sizes = self.latents.sizes(examples);
        Ok(CpoBatch {
            noised,
            positive: self.states.get(positive, &sizes)?,
            negative: self.states.get(negative, &sizes)?,
            caption: self.states.get(caption, &sizes)?,
            dropout: Dropout::draw(self.options.lora_dropout, noise),
        })
    }

    fn objective(&self, model: &TrainedDenoiser, batch: CpoBatch) -> Objective {
        let CpoBatch { noised, positive, negative, caption, dropout } = batch;
        // The auxiliary model answers all its prompts in one forward.
        let mut asked = vec![positive, negative];
        if self.options.target_guidance != 1.0 {
            asked.push(caption.clone());
        }
        let parts = asked.len();
        let answers = self.auxiliary.forward(
            noised.sample.clone().repeat_dim(0, parts),
            noised.timesteps.clone().repeat_dim(0, parts),
            PromptEmbeddings::cat(asked),
        );
        let answers = answers.chunk(parts, 0);
        let target = |answer: &Tensor<4>| match answers.get(2) {
            Some(plain) => {
                plain.clone() + (answer.clone() - plain.clone()).mul_scalar(self.options.target_guidance)
            }
            None => answer.clone(),
        };
        let (winning, losing) = (target(&answers[0]), target(&answers[1]));
        let reference =
            self.reference.denoiser.forward(noised.sample.clone(), noised.timesteps.clone(), caption.clone());
        let denoiser = model.denoiser(&self.reference.denoiser, dropout);
        let prediction =
            denoiser.forward(noised.sample.autodiff(), noised.timesteps.autodiff(), caption.autodiff());
        let input = CpoInput {
            prediction,
            reference: reference.autodiff(),
            winning: winning.autodiff(),
            losing: losing.autodiff(),
            weights: noised.weights.autodiff(),
        };
        let options =
            PreferenceOptions { beta: self.options.beta, stabilisation: self.options.stabilisation() };
        cpo(input, &options)
    }

    fn picture(&mut self, model: &TrainedDenoiser) -> Result<Option<RgbImage>, TrainError> {
        let pipeline =
            Pipeline { denoiser: model.denoiser(&self.reference.denoiser, None), ..self.reference.clone() };
        painter::sample_grid(&pipeline, self.prompts, self.options).map(Some)
    }
}
