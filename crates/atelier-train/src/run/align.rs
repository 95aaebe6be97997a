//! Stage 2: alignment of the target model.

use super::{
    Data, RunFolder, denoiser_stage, finish_trained, load_model, picture_multiple, required, trained,
};
use crate::{
    adapter,
    checkpoint::base_fingerprint,
    error::TrainError,
    framing::Framing,
    latents::LatentCache,
    options::{ObjectiveKind, TrainOptions},
    tasks::{CpoTask, KtoTask, Noising, Pair, PairTask, SftTask, TrainedDenoiser, pairs},
    text_states::TextStates,
    trainer::{Events, Stage, Task, train},
};
use atelier_core::{models::denoiser::Denoiser, pipeline::Pipeline};
use atelier_criteria::{
    CriteriaTree, DimensionWeights,
    prompt::{BlockDropout, Prompt},
};
use burn::tensor::Device;
use std::path::PathBuf;

/// Aligns the denoiser of `options.model` by `options.objective`; gives the folder of the aligned model.
///
/// # Errors
/// [`TrainError`], among them [`TrainError::Interrupted`] after a checkpoint.
pub fn align(
    options: &TrainOptions,
    tree: &CriteriaTree,
    events: &mut Events<'_>,
) -> Result<PathBuf, TrainError> {
    let stage = denoiser_stage(options.objective.name(), options);
    let folder = RunFolder::open(options, std::slice::from_ref(&stage))?;
    let device = options.device.device()?;
    let alignment = Alignment::read(options, tree, &device)?;
    let Alignment { data, pipeline, options, .. } = &alignment;
    let latents = data.latents(pipeline, options, &device, events)?;
    let model = trained(pipeline, options, &device)?;
    let stage = folder.stage(&stage, Some(base_fingerprint(pipeline)?))?;
    folder.begin(options)?;
    let model = alignment.with_task(tree, &latents, Training { model, options, stage: &stage, events })?;
    let Alignment { pipeline, options, .. } = alignment;
    finish_trained(pipeline, model, &options, events)
}

/// What is done with the task of an objective, whichever it is.
trait WithTask {
    /// What comes of it.
    type Output;

    /// Does it.
    fn with<T: Task<Model = TrainedDenoiser>>(self, task: &mut T) -> Result<Self::Output, TrainError>;
}

/// The training run.
struct Training<'a, 'b> {
    model: TrainedDenoiser,
    options: &'a TrainOptions,
    stage: &'a Stage,
    events: &'a mut Events<'b>,
}

impl WithTask for Training<'_, '_> {
    type Output = TrainedDenoiser;

    fn with<T: Task<Model = TrainedDenoiser>>(self, task: &mut T) -> Result<TrainedDenoiser, TrainError> {
        let Self { model, options, stage, events } = self;
        train(task, model, options, stage, events)
    }
}

/// Models and data of an alignment.
struct Alignment {
    /// The model before alignment.
    pipeline: Pipeline,
    /// The denoiser of the auxiliary model, for objectives that ask one.
    auxiliary: Option<Denoiser>,
    weights: DimensionWeights,
    data: Data,
    /// The pairs that the objective learns from; none if it needs none.
    pairs: Vec<Pair>,
    /// The pictures with more positive than negative attributes.
    good: Vec<usize>,
    /// With the constants of the objective's paper.
    options: TrainOptions,
    device: Device,
}

impl Alignment {
    fn read(options: &TrainOptions, tree: &CriteriaTree, device: &Device) -> Result<Self, TrainError> {
        let pipeline = load_model(options, device)?;
        let options = options.with_constants_of_papers(pipeline.second_text_encoder.is_some());
        let auxiliary = if options.objective.has_auxiliary() {
            required(&options.auxiliary, "--auxiliary")?;
            let precision = options.base_precision;
            Some(adapter::denoiser_at(&options.auxiliary, "--auxiliary", &pipeline, precision, device)?)
        } else {
            None
        };
        let weights = DimensionWeights::parse(tree, &options.dimension_weights)
            .map_err(|error| TrainError::Option(format!("--dimension-weight: {error}")))?;
        let data = Data::read(&options, tree, picture_multiple(&pipeline))?;
        let pairs = pairs_for(options.objective, &data)?;
        let good: Vec<usize> =
            (0..data.labels.len()).filter(|&index| data.labels[index].score() > 0).collect();
        if options.objective == ObjectiveKind::Sft && good.is_empty() {
            let problem = "no picture has more positive than negative attributes; annotate the data first";
            return Err(TrainError::Data(problem.to_owned()));
        }
        Ok(Self { pipeline, auxiliary, weights, data, pairs, good, options, device: device.clone() })
    }

    /// Makes the objective's task of it, for `what`.
    fn with_task<W: WithTask>(
        &self,
        tree: &CriteriaTree,
        latents: &LatentCache,
        what: W,
    ) -> Result<W::Output, TrainError> {
        let Self { pipeline: reference, data, options, .. } = self;
        let Data { captions, labels, prompts, .. } = data;
        let auxiliary = self.auxiliary.clone();
        let states = TextStates::new(reference, options.cache_dir.as_deref(), &self.device)?;
        let noising = Noising::new(&reference.scheduler_config, options.snr_gamma)?;
        match (options.objective, auxiliary) {
            (ObjectiveKind::Cpo, Some(auxiliary)) => {
                let weights = self.weights.clone();
                what.with(&mut CpoTask {
                    reference,
                    auxiliary,
                    states,
                    tree,
                    weights,
                    latents,
                    captions,
                    labels,
                    prompts,
                    noising,
                    options,
                })
            }
            (ObjectiveKind::Sft, _) => {
                let caption =
                    |&index: &usize| Prompt { caption: captions[index].clone(), ..Prompt::default() };
                let prompts: Vec<Prompt> = self.good.iter().map(caption).collect();
                what.with(&mut SftTask {
                    pipeline: reference,
                    latents: &latents.select(&self.good),
                    prompts: &prompts,
                    dropout: BlockDropout::default(),
                    noising,
                    states,
                    options,
                })
            }
            (ObjectiveKind::DiffusionKto, _) => {
                let liked = labels.iter().map(|labels| labels.score() > 0).collect();
                what.with(&mut KtoTask { reference, states, latents, liked, prompts, noising, options })
            }
            (_, auxiliary) => {
                let pairs = self.pairs.clone();
                what.with(&mut PairTask {
                    reference,
                    auxiliary,
                    states,
                    latents,
                    pairs,
                    prompts,
                    noising,
                    options,
                })
            }
        }
    }
}

/// The pairs that `objective` learns from; none for those that need no pairs.
fn pairs_for(objective: ObjectiveKind, data: &Data) -> Result<Vec<Pair>, TrainError> {
    use ObjectiveKind::{Cpo, DiffusionKto, DiffusionNpo, Sft};
    if matches!(objective, Cpo | Sft | DiffusionKto) {
        return Ok(Vec::new());
    }
    let sizes: Vec<[u32; 2]> = data.framings.iter().map(Framing::target).collect();
    let pairs = pairs(&data.captions, &data.labels, &sizes);
    if pairs.is_empty() {
        return Err(TrainError::Data(format!(
            "--objective {} needs pairs: pictures of the same caption and size, of which one has more positive or fewer \
             negative attributes; there are none. CPO, KTO and SFT need no pairs",
            objective.name()
        )));
    }
    let exchange = |Pair { winning, losing }| Pair { winning: losing, losing: winning };
    Ok(if objective == DiffusionNpo { pairs.into_iter().map(exchange).collect() } else { pairs })
}

#[cfg(test)]
mod tests;
