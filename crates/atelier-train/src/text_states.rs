//! Embeddings of prompts by frozen text encoders, computed once per prompt.

use crate::{
    cache::{Fingerprint, Source, TensorCache},
    error::TrainError,
    pictures,
};
use atelier_core::{
    models::prompt_embeddings::PromptEmbeddings,
    pipeline::{Pipeline, SecondTextEncoder, SizeConditions, T5TextEncoder},
    weights::{Metadata, TensorValues, WeightsFile, read_tensors},
};
use burn::tensor::{Device, Tensor, TensorData};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::Arc,
};

/// The tensors in a cached file, in the names of diffusers' pipelines.
const STATES: &str = "prompt_embeds";
const POOLED: &str = "pooled_prompt_embeds";

/// Remembers what the text encoders said: captions and attributes come again in every epoch.
#[derive(Debug)]
pub struct TextStates<'a> {
    pipeline: &'a Pipeline,
    device: Device,
    memory: Memory,
}

/// Where embeddings are kept.
#[derive(Debug)]
enum Memory {
    Host(HashMap<String, Arc<Embedding>>),
    Disk(TensorCache),
}

/// What one prompt became.
#[derive(Debug)]
struct Embedding {
    /// `[tokens, features]`.
    states: TensorValues,
    /// `[features]`, for models that take a vector.
    pooled: Option<TensorValues>,
}

impl<'a> TextStates<'a> {
    /// A memory for what `pipeline`'s text encoders say, which must be on `device`: empty, or the files in `cache_dir`.
    ///
    /// # Errors
    /// [`TrainError::DeviceLost`] if the encoders' weights, by which a cache knows its files, cannot be read.
    pub fn new(
        pipeline: &'a Pipeline,
        cache_dir: Option<&Path>,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let memory = match cache_dir {
            None => Memory::Host(HashMap::new()),
            Some(dir) => Memory::Disk(TensorCache::new(dir, "text", &fingerprint(pipeline)?)),
        };
        Ok(Self { pipeline, device: device.clone(), memory })
    }

    /// Embeddings of `prompts` on `device`, one row each, with the `sizes` of their pictures where the model takes them.
    ///
    /// # Errors
    /// [`TrainError::Pipeline`] names a prompt that cannot be tokenised; [`TrainError::DeviceLost`];
    /// [`TrainError::Atomic`] if the cache cannot be written.
    pub fn get(
        &mut self,
        prompts: &[String],
        sizes: &[SizeConditions],
        device: &Device,
    ) -> Result<PromptEmbeddings, TrainError> {
        let mut known = BTreeMap::new();
        let mut unknown = Vec::new();
        for prompt in prompts.iter().map(String::as_str).collect::<BTreeSet<_>>() {
            match self.memory.find(prompt) {
                Some(embedding) => {
                    known.insert(prompt, embedding);
                }
                None => unknown.push(prompt),
            }
        }
        if !unknown.is_empty() {
            for (prompt, embedding) in unknown.iter().zip(self.encode(&unknown)?) {
                let embedding = Arc::new(embedding);
                self.memory.keep(prompt, &embedding)?;
                known.insert(prompt, embedding);
            }
        }
        let rows: Vec<&Embedding> = prompts.iter().map(|prompt| known[prompt.as_str()].as_ref()).collect();
        let states = rows.iter().map(|row| &row.states);
        let pooled: Option<Vec<&TensorValues>> = rows.iter().map(|row| row.pooled.as_ref()).collect();
        let embeddings = PromptEmbeddings {
            pooled_prompt_embeds: pooled.map(|pooled| stack(pooled.into_iter(), device)),
            ..stack::<3>(states, device).into()
        };
        Ok(self.pipeline.with_sizes(embeddings, sizes))
    }

    /// What the text encoders say of each of `prompts`.
    fn encode(&self, prompts: &[&str]) -> Result<Vec<Embedding>, TrainError> {
        let embeddings = self.pipeline.encode_prompts(prompts, &self.device)?;
        let [_, tokens, features] = embeddings.prompt_embeds.dims();
        let rows = |values: Vec<f32>, shape: &[usize]| -> Result<Vec<TensorValues>, TrainError> {
            let rows = values.chunks(shape.iter().product());
            Ok(rows.map(|row| TensorValues::new(shape.to_vec(), row.to_vec())).collect::<Result<_, _>>()?)
        };
        let states = rows(pictures::read(embeddings.prompt_embeds)?, &[tokens, features])?;
        let pooled = match embeddings.pooled_prompt_embeds {
            None => vec![None; states.len()],
            Some(pooled) => {
                let [_, features] = pooled.dims();
                rows(pictures::read(pooled)?, &[features])?.into_iter().map(Some).collect()
            }
        };
        Ok(states.into_iter().zip(pooled).map(|(states, pooled)| Embedding { states, pooled }).collect())
    }
}

impl Memory {
    fn find(&self, prompt: &str) -> Option<Arc<Embedding>> {
        match self {
            Self::Host(known) => known.get(prompt).cloned(),
            Self::Disk(cache) => cache.open(&source(prompt), read).map(Arc::new),
        }
    }

    fn keep(&mut self, prompt: &str, embedding: &Arc<Embedding>) -> Result<(), TrainError> {
        match self {
            Self::Host(known) => {
                known.insert(prompt.to_owned(), Arc::clone(embedding));
            }
            Self::Disk(cache) => {
                let mut tensors = BTreeMap::from([(STATES.to_owned(), embedding.states.clone())]);
                tensors.extend(embedding.pooled.clone().map(|pooled| (POOLED.to_owned(), pooled)));
                cache.write(&source(prompt), &tensors)?;
            }
        }
        Ok(())
    }
}

/// The embedding in a file of the cache.
fn read(file: &WeightsFile) -> Result<Embedding, String> {
    let (mut tensors, _) = read_tensors(file).map_err(|error| error.to_string())?;
    let states = tensors.remove(STATES).filter(|states| states.shape().len() == 2);
    let states = states.ok_or_else(|| format!("it has no matrix `{STATES}`"))?;
    Ok(Embedding { states, pooled: tensors.remove(POOLED) })
}

/// What the embedding of a prompt comes from.
fn source(prompt: &str) -> Source {
    Source { identity: Metadata::from([("prompt".to_owned(), prompt.to_owned())]), state: Metadata::new() }
}

/// Of everything that an embedding depends on.
fn fingerprint(pipeline: &Pipeline) -> Result<Fingerprint, TrainError> {
    let mut encoders = Fingerprint::default();
    encoders.add(format!("{:?} {}", pipeline.text_config, pipeline.clip_skip).as_bytes());
    encoders.add(pipeline.tokenizer.bytes());
    encoders.add_parameters(&pipeline.text_encoder)?;
    if let Some(second) = &pipeline.second_text_encoder {
        match second {
            SecondTextEncoder::Clip { config, model, tokenizer } => {
                encoders.add(tokenizer.bytes());
                encoders.add(format!("{config:?}").as_bytes());
                encoders.add_parameters(model)?;
            }
            SecondTextEncoder::T5(t5) => add_t5(&mut encoders, t5)?,
        }
    }
    if let Some(third) = &pipeline.third_text_encoder {
        add_t5(&mut encoders, third)?;
    }
    Ok(encoders)
}

fn add_t5(encoders: &mut Fingerprint, t5: &T5TextEncoder) -> Result<(), TrainError> {
    encoders.add(t5.tokenizer.bytes());
    encoders.add(format!("{:?}", t5.config).as_bytes());
    encoders.add_parameters(&t5.model)
}

/// `rows` of one shape as one tensor, `[rows, …]`.
fn stack<'v, const D: usize>(rows: impl Iterator<Item = &'v TensorValues>, device: &Device) -> Tensor<D> {
    let (mut values, mut shape) = (Vec::new(), vec![0]);
    for row in rows {
        values.extend_from_slice(row.values());
        shape = [&[shape[0] + 1], row.shape()].concat();
    }
    Tensor::from_data(TensorData::new(values, shape), device)
}
