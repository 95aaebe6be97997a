use super::{Adaptable, LayerMut};
use burn::module::Param;
use burn::tensor::{FloatDType, Tensor};

/// Keeps the weights of all layers of `model` in `dtype` on their device, now and when they are loaded; biases and
/// normalisations, which are small, stay as they are.
///
/// Layers compute in the type of their input: a weight in another type is cast for the pass. That is right on every
/// device that can hold and convert `dtype`, and inputs, outputs and gradients stay as precise as they were. It is
/// meant for weights that are not trained: an update of 1e-4 of a weight is lost in f16.
///
/// A pass with gradients keeps the cast weights until its backward pass has used them, unless parts of the model are
/// computed again (see [`crate::models::gradient_checkpointing`]).
pub fn store_weights_as<M: Adaptable>(model: &mut M, dtype: FloatDType) {
    model.visit_layers("", &mut |_, layer| match layer {
        LayerMut::Linear(linear) => linear.weight = stored_as(linear.weight.clone(), dtype),
        LayerMut::Conv2d(conv) => conv.weight = stored_as(conv.weight.clone(), dtype),
    });
}

/// The values themselves are cast if they are there; otherwise their loading or their initialisation will be.
fn stored_as<const D: usize>(weight: Param<Tensor<D>>, dtype: FloatDType) -> Param<Tensor<D>> {
    let cast = move |weight: Tensor<D>| weight.cast(dtype);
    weight.init_mapper(cast).load_mapper(cast)
}
