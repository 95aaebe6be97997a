//! Stage 2: alignment of the target model.

use super::{Data, finish_trained, load_model, picture_multiple, required, trained, write_options};
use crate::{
    adapter,
    error::TrainError,
    framing::Framing,
    options::{ObjectiveKind, TrainOptions},
    tasks::{CpoTask, KtoTask, Noising, Pair, PairTask, SftTask, pairs},
    text_states::TextStates,
    trainer::{Events, train},
};
use atelier_criteria::{
    CriteriaTree, DimensionWeights,
    prompt::{BlockDropout, Prompt},
};
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
    let device = options.device.device()?;
    let pipeline = load_model(options, &device)?;
    let options = &options.with_constants_of_papers(pipeline.second_text_encoder.is_some());
    let auxiliary = if options.objective.has_auxiliary() {
        required(&options.auxiliary, "--auxiliary")?;
        let precision = options.base_precision;
        Some(adapter::denoiser_at(&options.auxiliary, "--auxiliary", &pipeline, precision, &device)?)
    } else {
        None
    };
    let weights = DimensionWeights::parse(tree, &options.dimension_weights)?;
    let data = Data::read(options, tree, picture_multiple(&pipeline))?;
    let pairs = pairs_for(options.objective, &data)?;
    write_options(options)?;
    let latents = data.latents(&pipeline, options, &device, events)?;
    let states = TextStates::new(&pipeline, options.cache_dir.as_deref(), &device)?;
    let noising = Noising::new(&pipeline.scheduler_config, options.snr_gamma)?;
    let model = trained(&pipeline, options, &device)?;
    let liked: Vec<bool> = data.labels.iter().map(|labels| labels.score() > 0).collect();
    let model = match (options.objective, auxiliary) {
        (ObjectiveKind::Cpo, Some(auxiliary)) => {
            let (captions, labels) = (&data.captions, &data.labels);
            let (latents, prompts) = (&latents, &data.prompts);
            let reference = &pipeline;
            let mut task = CpoTask {
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
            };
            train(&mut task, model, options, &options.output_dir, events)?
        }
        (ObjectiveKind::Sft, _) => {
            let good: Vec<usize> = (0..liked.len()).filter(|&index| liked[index]).collect();
            if good.is_empty() {
                let problem =
                    "no picture has more positive than negative attributes; annotate the data first";
                return Err(TrainError::Data(problem.to_owned()));
            }
            let caption =
                |&index: &usize| Prompt { caption: data.captions[index].clone(), ..Prompt::default() };
            let prompts: Vec<Prompt> = good.iter().map(caption).collect();
            let latents = latents.select(&good);
            let mut task = SftTask {
                pipeline: &pipeline,
                latents: &latents,
                prompts: &prompts,
                dropout: BlockDropout::default(),
                noising,
                states,
                options,
            };
            train(&mut task, model, options, &options.output_dir, events)?
        }
        (ObjectiveKind::DiffusionKto, _) => {
            let (latents, prompts) = (&latents, &data.prompts);
            let mut task =
                KtoTask { reference: &pipeline, states, latents, liked, prompts, noising, options };
            train(&mut task, model, options, &options.output_dir, events)?
        }
        (_, auxiliary) => {
            let (latents, prompts) = (&latents, &data.prompts);
            let reference = &pipeline;
            let mut task =
                PairTask { reference, auxiliary, states, latents, pairs, prompts, noising, options };
            train(&mut task, model, options, &options.output_dir, events)?
        }
    };
    finish_trained(pipeline, model, options, events)
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
