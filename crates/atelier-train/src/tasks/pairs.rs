//! Objectives that learn from pairs of pictures of one caption, of which one is better.

use super::{Dropout, Noising, TrainedDenoiser, noising::NoisedBatch};
use crate::{
    error::TrainError,
    forward_passes::ForwardPasses,
    latents::LatentCache,
    options::{ObjectiveKind, TrainOptions},
    painter,
    text_states::TextStates,
    trainer::Task,
};
use atelier_core::{
    models::{
        denoiser::Denoiser, gradient_checkpointing::DenoiserInput, prompt_embeddings::PromptEmbeddings,
    },
    noise::NoiseSource,
    objectives::{DiffusionDpoInput, MapoInput, Objective, PreferenceOptions, diffusion_dpo, mapo},
    pipeline::Pipeline,
};
use atelier_criteria::{Labels, prompt::Prompt};
use burn::tensor::{Device, Tensor};
use image::RgbImage;
use std::collections::BTreeMap;

/// A picture, and a worse one of the same caption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// The better one.
    pub winning: usize,
    /// The other.
    pub losing: usize,
}

/// The best picture of every caption with its worst, the second best with the second worst, and so on; never two of one
/// score, nor of different `sizes` in training: a pair shares its noise.
pub fn pairs(captions: &[String], labels: &[Labels], sizes: &[[u32; 2]]) -> Vec<Pair> {
    let mut groups: BTreeMap<(&str, [u32; 2]), Vec<usize>> = BTreeMap::new();
    for (index, (caption, &size)) in captions.iter().zip(sizes).enumerate() {
        groups.entry((caption, size)).or_default().push(index);
    }
    let mut pairs = Vec::new();
    for mut group in groups.into_values() {
        group.sort_by_key(|&index| std::cmp::Reverse(labels[index].score()));
        let half = group.len() / 2;
        let candidates = group[..half].iter().zip(group.iter().rev());
        let differ =
            |&(&winning, &losing): &(&usize, &usize)| labels[winning].score() > labels[losing].score();
        pairs.extend(candidates.filter(differ).map(|(&winning, &losing)| Pair { winning, losing }));
    }
    pairs
}

/// Diffusion-DPO, Diffusion-SDPO, DDSPO, MaPO, and with exchanged pairs the negative model of Diffusion-NPO.
#[derive(Debug)]
pub struct PairTask<'a> {
    /// The model before alignment, whose denoiser is the reference.
    pub reference: &'a Pipeline,
    /// The frozen auxiliary denoiser, for DDSPO.
    pub auxiliary: Option<Denoiser>,
    /// Embeddings of prompts.
    pub states: TextStates<'a>,
    /// Latents of the pictures.
    pub latents: &'a LatentCache,
    /// The examples.
    pub pairs: Vec<Pair>,
    /// Captions and attributes of the pictures.
    pub prompts: &'a [Prompt],
    /// Timesteps, noise and weights.
    pub noising: Noising,
    /// Options of the run.
    pub options: &'a TrainOptions,
}

/// Two pictures with the same noise, and what was asked for.
#[derive(Debug)]
pub struct PairBatch {
    winning: NoisedBatch,
    losing: NoisedBatch,
    /// The caption of every pair, twice: `[winning, losing]`.
    captions: PromptEmbeddings,
    /// For DDSPO: the caption with the positive attributes of the one, then with the negative ones of the other.
    attributes: Option<PromptEmbeddings>,
    dropout: Option<Dropout>,
}

impl Task for PairTask<'_> {
    type Model = TrainedDenoiser;
    /// The reference and, for DDSPO, the auxiliary denoiser.
    type Frozen = (Denoiser, Option<Denoiser>);
    type Batch = PairBatch;

    fn stage(&self) -> &'static str {
        self.options.objective.name()
    }

    fn examples(&self) -> usize {
        self.pairs.len()
    }

    fn size(&self, example: usize) -> [u32; 2] {
        self.latents.size(self.pairs[example].winning)
    }

    fn frozen(&self) -> Self::Frozen {
        (self.reference.denoiser.clone(), self.auxiliary.clone())
    }

    fn batch(
        &mut self,
        examples: &[usize],
        noise: &mut NoiseSource,
        _step: u64,
        device: &Device,
    ) -> Result<Self::Batch, TrainError> {
        let winning: Vec<usize> = examples.iter().map(|&i| self.pairs[i].winning).collect();
        let losing: Vec<usize> = examples.iter().map(|&i| self.pairs[i].losing).collect();
        let (latents_winning, sizes_winning) = self.latents.draw(&winning, noise, device)?;
        let (latents_losing, sizes_losing) = self.latents.draw(&losing, noise, device)?;
        let [noised_winning, noised_losing] = self.noising.draw_pair(latents_winning, latents_losing, noise);
        let both = [winning.clone(), losing.clone()].concat();
        let sizes = [sizes_winning, sizes_losing].concat();
        let captions: Vec<String> = both.iter().map(|&i| self.prompts[i].caption.clone()).collect();
        let attributes = if self.auxiliary.is_some() {
            let positive =
                winning.iter().map(|&i| Prompt { negative: Vec::new(), ..self.prompts[i].clone() });
            let negative = losing.iter().map(|&i| Prompt { positive: Vec::new(), ..self.prompts[i].clone() });
            let prompts: Vec<String> = positive.chain(negative).map(|prompt| prompt.compose()).collect();
            Some(self.states.get(&prompts, &sizes, device)?)
        } else {
            None
        };
        Ok(PairBatch {
            winning: noised_winning,
            losing: noised_losing,
            captions: self.states.get(&captions, &sizes, device)?,
            attributes,
            dropout: Dropout::draw(self.options.lora_dropout, noise),
        })
    }

    fn objective(
        &self,
        model: &TrainedDenoiser,
        (base, auxiliary): &Self::Frozen,
        batch: PairBatch,
        passes: &mut ForwardPasses,
    ) -> Objective {
        let PairBatch { winning, losing, captions, attributes, dropout } = batch;
        let sample = Tensor::cat(vec![winning.sample, losing.sample], 0);
        let timesteps = Tensor::cat(vec![winning.timesteps, losing.timesteps], 0);
        let weights = winning.weights.autodiff();
        let beta = self.options.beta();
        // What is computed without gradients comes first: nothing of it is kept, and nothing else is there yet.
        let targets = auxiliary.as_ref().zip(attributes).map(|(auxiliary, prompts)| {
            halves(auxiliary.forward(sample.clone(), timesteps.clone(), prompts).autodiff())
        });
        let input = DenoiserInput { sample, timesteps, prompt: captions };
        if self.options.objective == ObjectiveKind::Mapo {
            let [prediction_winning, prediction_losing] = halves(passes.predict(model, base, dropout, input));
            let (target_winning, target_losing) = (winning.target.autodiff(), losing.target.autodiff());
            let input =
                MapoInput { prediction_winning, prediction_losing, target_winning, target_losing, weights };
            return mapo(input, beta);
        }
        let (prediction, reference) = passes.predict_beside(model, base, dropout, input);
        let [prediction_winning, prediction_losing] = halves(prediction);
        let [reference_winning, reference_losing] = halves(reference.autodiff());
        let [target_winning, target_losing] =
            targets.unwrap_or_else(|| [winning.target, losing.target].map(Tensor::autodiff));
        let input = DiffusionDpoInput {
            prediction_winning,
            prediction_losing,
            reference_winning,
            reference_losing,
            target_winning,
            target_losing,
            weights,
        };
        diffusion_dpo(input, &PreferenceOptions { beta, stabilisation: self.options.stabilisation() })
    }

    fn picture(&mut self, model: &TrainedDenoiser) -> Result<Option<RgbImage>, TrainError> {
        let pipeline =
            Pipeline { denoiser: model.denoiser(&self.reference.denoiser, None), ..self.reference.clone() };
        painter::sample_grid(&pipeline, self.prompts, self.options).map(Some)
    }
}

fn halves(both: Tensor<4>) -> [Tensor<4>; 2] {
    let [rows, ..] = both.dims();
    [both.clone().slice([0..rows / 2]), both.slice([rows / 2..rows])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_share_a_caption_and_differ_in_score() {
        let labels = |positive: usize, negative: usize| Labels {
            positive: vec!["p".to_owned(); positive],
            negative: vec!["n".to_owned(); negative],
        };
        let captions = ["a", "b", "a", "a", "b", "a", "c"].map(str::to_owned);
        let labels = [
            labels(1, 0),
            labels(1, 1),
            labels(0, 2),
            labels(3, 0),
            labels(2, 2),
            labels(1, 0),
            labels(5, 0),
        ];
        // Both pictures of `b` have the score 0, and `c` has one picture.
        let expected = [Pair { winning: 3, losing: 2 }];
        assert_eq!(pairs(&captions, &labels, &[[8, 8]; 7]), expected);
        let mut sizes = [[8, 8]; 7];
        sizes[2] = [16, 4];
        assert_eq!(pairs(&captions, &labels, &sizes), [Pair { winning: 3, losing: 5 }]);
    }
}
