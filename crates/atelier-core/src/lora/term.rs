//! What a file has for one layer, on its way to the layers of a model.

use super::{
    LoraError, LoraLayer, adapter_config::AdapterConfig, key::Part, layer::LayerShape, model_layers::Found,
};
use crate::weights::TensorValues;
use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData},
};

/// The tensors of a file for one of the names in it.
#[derive(Debug, Clone)]
pub(super) struct Term {
    /// The layer's name in the file.
    pub name: String,
    down: Option<Keyed>,
    up: Option<Keyed>,
    alpha: Option<Keyed>,
}

/// A tensor, with its key for messages.
#[derive(Debug, Clone)]
struct Keyed {
    key: String,
    values: TensorValues,
}

impl Keyed {
    fn error(&self, problem: String) -> LoraError {
        LoraError::Key { key: self.key.clone(), problem }
    }
}

impl Term {
    pub fn new(name: String) -> Self {
        Self { name, down: None, up: None, alpha: None }
    }

    /// Adds the tensor `values`, which is called `key` in the file.
    ///
    /// # Errors
    /// [`LoraError::Key`] if there is another one in its place: the file names a layer in two ways.
    pub fn insert(&mut self, part: Part, key: String, values: TensorValues) -> Result<(), LoraError> {
        let place = match part {
            Part::Down => &mut self.down,
            Part::Up => &mut self.up,
            Part::Alpha => &mut self.alpha,
        };
        let tensor = Keyed { key, values };
        match place {
            Some(other) if other.values != tensor.values => {
                Err(tensor.error(format!("is for the same matrix as `{}`, but they differ", other.key)))
            }
            _ => {
                *place = Some(tensor);
                Ok(())
            }
        }
    }

    /// Takes all tensors of `other`, which is for the same layer under another name.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn merge(&mut self, other: Self) -> Result<(), LoraError> {
        for (part, tensor) in [(Part::Down, other.down), (Part::Up, other.up), (Part::Alpha, other.alpha)] {
            if let Some(Keyed { key, values }) = tensor {
                self.insert(part, key, values)?;
            }
        }
        Ok(())
    }

    /// The terms of the layers `found`: all have this one's `down`, and each has some rows of its `up`.
    ///
    /// # Errors
    /// [`LoraError::Key`] for half a term, for matrices that do not fit the layers, and for a strength that contradicts
    /// `config`.
    pub fn layers(
        &self,
        found: &Found<'_>,
        config: Option<&AdapterConfig>,
        device: &Device,
    ) -> Result<Vec<LoraLayer>, LoraError> {
        let (down, up) = self.matrices()?;
        let rank = down.values.shape().first().copied().unwrap_or(0);
        if rank == 0 {
            return Err(down.error(format!("has the shape {:?}, so its rank is 0", down.values.shape())));
        }
        for (layer, shape) in &found.layers {
            if !takes_inputs_of(shape, down.values.shape()) {
                return Err(down.error(format!(
                    "has the shape {:?}, but {layer} has {} inputs: the LoRA is for another model",
                    down.values.shape(),
                    described(shape)
                )));
            }
        }
        let outputs: usize = found.layers.iter().map(|(_, shape)| shape.outputs).sum();
        if !matches!(up.values.shape(), [rows, columns, rest @ ..]
            if *rows == outputs && *columns == rank && is_single(rest))
        {
            let layers: Vec<&str> = found.layers.iter().map(|(name, _)| *name).collect();
            return Err(up.error(format!(
                "has the shape {:?}, but {} has {outputs} outputs and {} the rank {rank}: the LoRA is for another model",
                up.values.shape(),
                layers.join(", "),
                down.key
            )));
        }
        let mut rows = up.values.values().to_vec();
        if found.halves_swapped {
            let half = rows.len() / 2;
            rows.rotate_left(half);
        }
        let tensor = |values: &[f32], shape: [usize; 2]| {
            Param::from_tensor(Tensor::from_data(TensorData::new(values.to_vec(), shape), device))
        };
        let mut rest = rows.as_slice();
        let mut layers = Vec::with_capacity(found.layers.len());
        for (layer, shape) in &found.layers {
            let (own, others) = rest.split_at(shape.outputs * rank);
            rest = others;
            layers.push(LoraLayer {
                down: tensor(down.values.values(), [rank, shape.fan_in()]),
                up: tensor(own, [shape.outputs, rank]),
                name: (*layer).to_owned(),
                alpha: self.alpha(layer, rank, config)?,
                kernel: shape.kernel,
            });
        }
        Ok(layers)
    }

    fn matrices(&self) -> Result<(&Keyed, &Keyed), LoraError> {
        let half =
            |key: &str, problem: &str| LoraError::Key { key: key.to_owned(), problem: problem.to_owned() };
        match (&self.down, &self.up) {
            (Some(down), Some(up)) => Ok((down, up)),
            (Some(down), None) => {
                Err(half(&down.key, "has no lora_B (lora_up) beside it: the file is not complete"))
            }
            (None, Some(up)) => {
                Err(half(&up.key, "has no lora_A (lora_down) beside it: the file is not complete"))
            }
            (None, None) => Err(half(
                &self.name,
                "has neither lora_A (lora_down) nor lora_B (lora_up): the file is not complete",
            )),
        }
    }

    /// By what the term of `layer` is multiplied, times its rank: what the file has beside the matrices, else what `config`
    /// says, else the rank itself.
    fn alpha(&self, layer: &str, rank: usize, config: Option<&AdapterConfig>) -> Result<f64, LoraError> {
        match (&self.alpha, config) {
            (Some(alpha), Some(config)) if config.is_rank_stabilised() => Err(alpha.error(
                "stands beside `use_rslora`, and it is not known whether that is in it: remove one of them"
                    .to_owned(),
            )),
            (Some(alpha), _) => match alpha.values.values() {
                [alpha] => Ok(f64::from(*alpha)),
                values => Err(alpha.error(format!("is not a single number but {}", values.len()))),
            },
            (None, Some(config)) => config.alpha([layer, &self.name], rank),
            (None, None) => Ok(rank as f64),
        }
    }
}

/// Whether a `down` of the shape `down` is for a layer of the shape `layer`. Tools write the matrix of a 1x1 convolution with
/// or without its two dimensions of one pixel, and the other way round; larger kernels may be flattened into rows.
fn takes_inputs_of(layer: &LayerShape, down: &[usize]) -> bool {
    match down {
        [_, fan_in] => *fan_in == layer.fan_in(),
        [_, inputs, kernel @ ..] => {
            *inputs == layer.inputs
                && match layer.kernel {
                    Some(size) if size != [1, 1] => kernel == size,
                    _ => is_single(kernel),
                }
        }
        _ => false,
    }
}

fn is_single(sizes: &[usize]) -> bool {
    sizes.iter().all(|size| *size == 1)
}

fn described(shape: &LayerShape) -> String {
    match shape.kernel {
        Some([height, width]) if [height, width] != [1, 1] => {
            format!("{} times {height}x{width}", shape.inputs)
        }
        _ => shape.inputs.to_string(),
    }
}
