use super::{LoraConfig, LoraError, LoraLayer, layer::LayerShape, model_layers::ModelLayers};
use crate::{models::layers::Adaptable, noise::NoiseSource};
use burn::{module::Module, tensor::Device};
use std::collections::BTreeMap;

/// The low-rank terms of one model, such as a UNet.
#[derive(Module, Debug)]
pub struct LoraAdapter {
    pub(super) layers: Vec<LoraLayer>,
}

impl LoraAdapter {
    /// A fresh adapter for `model`, which changes nothing yet; the same `noise` gives the same adapter.
    ///
    /// # Errors
    /// [`LoraError::Config`] for values out of range, [`LoraError::NoTarget`] if no layer has a wanted name.
    pub fn new<M: Adaptable + Clone>(
        model: &M,
        config: &LoraConfig,
        noise: &mut NoiseSource,
        device: &Device,
    ) -> Result<Self, LoraError> {
        let layers = targets(model, config)?.into_iter();
        let layers = layers
            .map(|(name, shape)| LoraLayer::new(&name, shape, config.rank, config.alpha, noise, device))
            .collect();
        Ok(Self { layers })
    }

    /// The terms, in the order of the layers' names.
    pub fn layers(&self) -> &[LoraLayer] {
        &self.layers
    }

    /// `model` with these terms on top of those that it carries, multiplied by `scale`. All weights are shared with
    /// `model`; gradients reach the adapter if it is on a device that has them.
    ///
    /// # Errors
    /// [`LoraError::OtherModel`] or [`LoraError::Shape`] if the adapter is for another model.
    pub fn attach<M: Adaptable + Clone>(&self, model: &M, scale: f64) -> Result<M, LoraError> {
        self.check(model)?;
        Ok(self.apply(model, scale, &mut |_| None, false))
    }

    /// As [`Self::attach`] for a training step, on a model that the adapter was made for: leaves out a share of
    /// `dropout` of each term's input channels, and multiplies the rest so that the mean stays. One mask serves all places
    /// and all samples of a step, which costs next to nothing and can be repeated from `noise`; peft draws one for each
    /// value.
    pub fn attach_for_training<M: Adaptable + Clone>(
        &self,
        model: &M,
        dropout: f64,
        noise: &mut NoiseSource,
    ) -> M {
        let mut mask = |layer: &LoraLayer| (dropout > 0.0).then(|| layer.dropout_mask(dropout, noise));
        self.apply(model, 1.0, &mut mask, false)
    }

    /// `model` with these terms, multiplied by `scale`, added to its weights: as fast as without an adapter.
    ///
    /// # Errors
    /// As [`Self::attach`].
    pub fn merge<M: Adaptable + Clone>(&self, model: &M, scale: f64) -> Result<M, LoraError> {
        self.check(model)?;
        Ok(self.apply(model, scale, &mut |_| None, true))
    }

    fn apply<M: Adaptable + Clone>(
        &self,
        model: &M,
        scale: f64,
        mask: &mut dyn FnMut(&LoraLayer) -> Option<Vec<f32>>,
        merge: bool,
    ) -> M {
        let by_name: BTreeMap<&str, &LoraLayer> =
            self.layers.iter().map(|layer| (layer.name(), layer)).collect();
        let mut model = model.clone();
        model.visit_layers("", &mut |name, layer| {
            if let Some(term) = by_name.get(name) {
                term.apply(layer, scale, mask(term), merge);
            }
        });
        model
    }

    fn check<M: Adaptable + Clone>(&self, model: &M) -> Result<(), LoraError> {
        let model_layers = ModelLayers::of(model);
        let shapes = &model_layers.shapes;
        let missing: Vec<String> = self
            .layers
            .iter()
            .filter(|layer| !shapes.contains_key(layer.name()))
            .map(|layer| layer.name().to_owned())
            .collect();
        if !missing.is_empty() {
            return Err(LoraError::OtherModel { missing, known: model_layers.examples() });
        }
        for layer in &self.layers {
            let (expected, found) = (shapes[layer.name()], layer.shape());
            if expected != found {
                return Err(LoraError::Shape {
                    name: layer.name().to_owned(),
                    inputs: expected.inputs,
                    outputs: expected.outputs,
                    found_inputs: found.inputs,
                    found_outputs: found.outputs,
                });
            }
        }
        Ok(())
    }
}

/// The layers of a model that get a term.
fn targets<M: Adaptable + Clone>(
    model: &M,
    config: &LoraConfig,
) -> Result<BTreeMap<String, LayerShape>, LoraError> {
    config.check()?;
    let model_layers = ModelLayers::of(model);
    let known = model_layers.examples();
    let mut shapes = model_layers.shapes;
    shapes.retain(|name, _| config.targets(name));
    if shapes.is_empty() {
        return Err(LoraError::NoTarget { targets: config.target_modules.join(" or "), known });
    }
    Ok(shapes)
}

/// The layers of `model` that an adapter would have a term for, each with the term's number of parameters; nothing is
/// made.
///
/// # Errors
/// As [`LoraAdapter::new`].
pub fn adapter_parameters<M: Adaptable + Clone>(
    model: &M,
    config: &LoraConfig,
) -> Result<BTreeMap<String, usize>, LoraError> {
    let count = |shape: LayerShape| config.rank * (shape.fan_in() + shape.outputs);
    Ok(targets(model, config)?.into_iter().map(|(name, shape)| (name, count(shape))).collect())
}
