use super::{
    Component, LoraAdapter, LoraError,
    adapter_config::{ADAPTER_CONFIG, AdapterConfigs, METADATA},
    key::{Key, Part},
    model_layers::{Found, ModelLayers},
    term::Term,
    unsupported,
};
use crate::{
    models::layers::Adaptable,
    weights::{Metadata, TensorValues, WeightsFile},
};
use burn::tensor::Device;
use std::collections::{BTreeMap, btree_map::Entry};

/// The tensors of a LoRA file, sorted by component and layer.
///
/// Read are plain LoRAs of linear layers and convolutions, in the names of diffusers (old and new), transformers, peft,
/// kohya's scripts, OneTrainer, LyCORIS and ComfyUI, and in those of the authors of Stable Diffusion, SD3 and FLUX.
#[derive(Debug, Clone)]
pub struct LoraFile {
    /// By component, then by the layer's name without dots.
    terms: BTreeMap<Component, BTreeMap<String, Term>>,
    /// What the file's metadata say of strengths.
    metadata: AdapterConfigs,
    /// The same of the file beside it.
    config: AdapterConfigs,
}

impl LoraFile {
    /// Reads a file, of which nothing but the keys is looked at if they are not a LoRA's.
    ///
    /// # Errors
    /// As [`Self::new`], and [`LoraError::Weights`] for tensors that cannot be read or are not finite.
    pub fn read(file: &WeightsFile) -> Result<Self, LoraError> {
        let keys: Vec<&str> = file.tensors().map(|(name, _)| name).collect();
        check_keys(&keys, &|key| !unsupported::is_summand(key))?;
        let mut tensors = BTreeMap::new();
        for key in keys {
            let values = match Key::parse(key) {
                // Alphas are of any type.
                Some(Key { part: Part::Alpha, .. }) => {
                    file.read_number(key).and_then(|alpha| TensorValues::new(Vec::new(), vec![alpha]))
                }
                _ => file.read_tensor(key),
            };
            tensors.insert(key.to_owned(), values?);
        }
        Self::new(tensors, file.metadata())
    }

    /// Sorts the tensors of a file.
    ///
    /// # Errors
    /// [`LoraError::Empty`] or [`LoraError::Key`] if this is no LoRA, or one of a kind that is not supported.
    pub fn new(tensors: BTreeMap<String, TensorValues>, metadata: &Metadata) -> Result<Self, LoraError> {
        let has_effect = |key: &str| {
            let is_zero = || tensors[key].values().iter().all(|value| *value == 0.0);
            !(unsupported::is_summand(key) && is_zero())
        };
        let keys: Vec<&str> = tensors.keys().map(String::as_str).collect();
        check_keys(&keys, &has_effect)?;
        let mut terms: BTreeMap<Component, BTreeMap<String, Term>> = BTreeMap::new();
        for (key, values) in tensors {
            let Some(Key { component, name, flat_name, part }) = Key::parse(&key) else { continue };
            let terms = terms.entry(component).or_default();
            terms.entry(flat_name).or_insert_with(|| Term::new(name)).insert(part, key, values)?;
        }
        if terms.is_empty() {
            return Err(LoraError::Empty);
        }
        // A model has one denoiser: what not every key tells of it, others do.
        if terms.contains_key(&Component::Transformer) {
            for (flat_name, term) in terms.remove(&Component::Unet).unwrap_or_default() {
                let terms = terms.entry(Component::Transformer).or_default();
                terms.entry(flat_name).or_insert_with(|| Term::new(term.name.clone())).merge(term)?;
            }
        }
        let metadata =
            metadata.get(METADATA).map(|json| AdapterConfigs::from_json(METADATA, json.as_bytes()));
        Ok(Self {
            terms,
            metadata: metadata.transpose()?.unwrap_or_default(),
            config: AdapterConfigs::default(),
        })
    }

    /// With the text of the `adapter_config.json` that peft has written beside the file, which counts where neither alphas
    /// nor metadata in the file itself say how strong it is.
    ///
    /// # Errors
    /// [`LoraError::Key`] for what is no configuration, or that of another kind of adapter.
    pub fn with_adapter_config(self, json: &[u8]) -> Result<Self, LoraError> {
        Ok(Self { config: AdapterConfigs::from_json(ADAPTER_CONFIG, json)?, ..self })
    }

    /// The components that the file has adapters for.
    pub fn components(&self) -> impl Iterator<Item = Component> + '_ {
        self.terms.keys().copied()
    }

    /// The adapter of `component` for `model`, on `device`; `None` if the file has none.
    ///
    /// # Errors
    /// [`LoraError::OtherModel`] if it has other layers than the model, [`LoraError::Key`] for matrices of other sizes, half
    /// a term, two different ones for one layer, and strengths that contradict each other.
    pub fn adapter<M: Adaptable + Clone>(
        &self,
        component: Component,
        model: &M,
        device: &Device,
    ) -> Result<Option<LoraAdapter>, LoraError> {
        let Some(terms) = self.terms.get(&component) else { return Ok(None) };
        let model_layers = ModelLayers::of(model);
        let config = self.metadata.of(component).or_else(|| self.config.of(component));
        // By the layer of the model: a file may call it by two names.
        let mut found_terms: BTreeMap<(Vec<&str>, bool), (Found<'_>, Term)> = BTreeMap::new();
        let mut missing = Vec::new();
        for (flat_name, term) in terms {
            let Some(found) = model_layers.find(flat_name) else {
                missing.push(term.name.clone());
                continue;
            };
            let names = found.layers.iter().map(|(name, _)| *name).collect();
            match found_terms.entry((names, found.halves_swapped)) {
                Entry::Vacant(entry) => {
                    entry.insert((found, term.clone()));
                }
                Entry::Occupied(mut entry) => entry.get_mut().1.merge(term.clone())?,
            }
        }
        if !missing.is_empty() {
            return Err(LoraError::OtherModel { missing, known: model_layers.examples() });
        }
        let mut layers = Vec::with_capacity(found_terms.len());
        for (found, term) in found_terms.values() {
            layers.extend(term.layers(found, config, device)?);
        }
        layers.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(twice) = layers.windows(2).find(|pair| pair[0].name == pair[1].name) {
            let problem = "has two LoRAs in the file, under names of different tools".to_owned();
            return Err(LoraError::Key { key: twice[0].name.clone(), problem });
        }
        Ok(Some(LoraAdapter { layers }))
    }
}

/// Refuses what is no key of a plain LoRA, of those that `counts` does not leave out.
fn check_keys(keys: &[&str], counts: &dyn Fn(&str) -> bool) -> Result<(), LoraError> {
    let is_other = |key: &str| Key::parse(key).is_none() && counts(key);
    let Some(key) = keys.iter().find(|key| is_other(key)) else { return Ok(()) };
    // Other kinds have alphas, too.
    let is_matrix = |key: &str| Key::parse(key).is_some_and(|key| key.part != Part::Alpha);
    let has_lora = keys.iter().any(|key| is_matrix(key));
    Err(LoraError::Key { key: (*key).to_owned(), problem: unsupported::problem(key, keys, has_lora) })
}
