//! Attention as an operation of burn's processor backend.

use crate::flex::{Rows, tensor};
use crate::slices::attention::{self as kernel, AttentionShape};
use crate::slices::scratch::take;
use burn::backend::{Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;

/// See [`super::attention`].
#[backend_extension(Flex, Autodiff: cfg(feature = "autodiff"))]
pub trait AttentionBackend: Backend {
    /// Of `[batch, heads, length, channels]`, to `[batch, queries, heads, value channels]`.
    fn atelier_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self>;
}

pub(super) fn attention(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, scale: f64) -> Tensor<4> {
    let [query, key, value] = [query, key, value].map(Tensor::into_dispatch);
    Tensor::<4>::from_dispatch(Dispatch::atelier_attention(query, key, value, scale)).swap_dims(1, 2)
}

impl AttentionBackend for Flex {
    fn atelier_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        forward(&[query, key, value].map(Rows::new), scale).0
    }
}

/// The output, and the logarithms of the sums.
fn forward(inputs: &[Rows; 3], scale: f64) -> (FloatTensor<Flex>, Vec<f32>) {
    let shape = shape(inputs, scale);
    let AttentionShape { batch, heads, queries, value_channels, .. } = shape;
    let mut output = take(batch * queries * heads * value_channels);
    let mut logarithms = take(batch * heads * queries);
    kernel::attention(&shape, inputs.each_ref().map(Rows::get), &mut output, &mut logarithms);
    (tensor(output, [batch, queries, heads, value_channels]), logarithms)
}

fn shape([query, key, value]: &[Rows; 3], scale: f64) -> AttentionShape {
    let [batch, heads, queries, channels] = query.dims();
    let [.., keys, value_channels] = value.dims();
    assert_eq!(key.dims(), [batch, heads, keys, channels], "keys do not fit to queries and values");
    assert_eq!(value.dims()[..2], [batch, heads], "values do not fit to queries");
    AttentionShape { batch, heads, queries, keys, channels, value_channels, scale: scale as f32 }
}

#[cfg(feature = "autodiff")]
mod gradients {
    use super::*;
    use crate::flex::Values;
    use crate::slices::attention::AttentionGradients;
    use burn::backend::Autodiff;
    use burn::backend::autodiff::NodeId;
    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};

    impl<C: CheckpointStrategy> AttentionBackend for Autodiff<Flex, C> {
        fn atelier_attention(
            query: FloatTensor<Self>,
            key: FloatTensor<Self>,
            value: FloatTensor<Self>,
            scale: f64,
        ) -> FloatTensor<Self> {
            let operation = AttentionBackward.prepare::<C>([query.node(), key.node(), value.node()]);
            match operation.compute_bound().stateful() {
                OpsKind::Tracked(mut operation) => {
                    let inputs = [&query, &key, &value].map(|input| operation.checkpoint(input));
                    let rows = [query, key, value].map(|input| Rows::new(input.into_primitive()));
                    let (output, logarithms) = forward(&rows, scale);
                    operation.finish(State { inputs, output: output.clone(), logarithms, scale }, output)
                }
                OpsKind::UnTracked(operation) => {
                    let rows = [query, key, value].map(|input| Rows::new(input.into_primitive()));
                    operation.finish(forward(&rows, scale).0)
                }
            }
        }
    }

    #[derive(Clone, Debug)]
    struct State {
        inputs: [NodeId; 3],
        output: FloatTensor<Flex>,
        logarithms: Vec<f32>,
        scale: f64,
    }

    #[derive(Debug)]
    struct AttentionBackward;

    impl Backward<Flex, 3> for AttentionBackward {
        type State = State;

        fn backward(
            self,
            operation: Ops<State, 3>,
            gradients: &mut Gradients,
            checkpointer: &mut Checkpointer,
        ) {
            let State { inputs, output, logarithms, scale } = operation.state;
            let inputs =
                inputs.map(|id| Rows::new(checkpointer.retrieve_node_output::<FloatTensor<Flex>>(id)));
            let gradient = Values::new(gradients.consume::<Flex>(&operation.node));
            let output = Values::new(output);
            let shape = shape(&inputs, scale);
            let mut results = inputs.each_ref().map(|input| take(input.dims().iter().product()));
            let interleaved = |numbers| {
                kernel::Rows::interleaved(numbers, shape.queries, shape.heads, shape.value_channels)
            };
            let given = AttentionGradients {
                inputs: inputs.each_ref().map(Rows::get),
                output: interleaved(&output),
                logarithms: &logarithms,
                gradient: interleaved(&gradient),
            };
            let [of_query, of_key, of_value] = &mut results;
            kernel::attention_gradients(&shape, given, [of_query, of_key, of_value]);
            for ((parent, result), input) in operation.parents.into_iter().zip(results).zip(&inputs) {
                let [batch, heads, length, channels] = input.dims();
                if let Some(node) = parent {
                    let result = tensor(result, [batch, length, heads, channels]).transpose(1, 2);
                    gradients.register::<Flex>(node.id, result);
                }
            }
        }
    }
}
