//! The gate as an operation of burn's processor backend.

use crate::flex::{Values, tensor_of};
use crate::slices::geglu as kernel;
use crate::slices::scratch::take;
use burn::backend::{Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
use burn::tensor::{Shape, Tensor};

/// See [`super::geglu`].
#[backend_extension(Flex, Autodiff: cfg(feature = "autodiff"))]
pub trait GegluBackend: Backend {
    /// Multiplies the first half of the last dimension by the GELU of the second.
    fn atelier_geglu(projected: FloatTensor<Self>) -> FloatTensor<Self>;
}

pub(super) fn geglu<const D: usize>(projected: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::atelier_geglu(projected.into_dispatch()))
}

/// Half of the last dimension.
fn channels(shape: &Shape) -> usize {
    shape[shape.num_dims() - 1] / 2
}

impl GegluBackend for Flex {
    fn atelier_geglu(projected: FloatTensor<Self>) -> FloatTensor<Self> {
        let projected = Values::new(projected);
        let mut shape = projected.shape().clone();
        let channels = channels(&shape);
        let last = shape.num_dims() - 1;
        shape[last] = channels;
        let mut output = take(projected.len() / 2);
        kernel::geglu(channels, &projected, &mut output);
        tensor_of(output, shape)
    }
}

#[cfg(feature = "autodiff")]
mod gradients {
    use super::*;
    use burn::backend::Autodiff;
    use burn::backend::autodiff::NodeId;
    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};

    impl<C: CheckpointStrategy> GegluBackend for Autodiff<Flex, C> {
        fn atelier_geglu(projected: FloatTensor<Self>) -> FloatTensor<Self> {
            match GegluBackward.prepare::<C>([projected.node()]).compute_bound().stateful() {
                OpsKind::Tracked(mut operation) => {
                    let state = operation.checkpoint(&projected);
                    operation.finish(state, Flex::atelier_geglu(projected.into_primitive()))
                }
                OpsKind::UnTracked(operation) => {
                    operation.finish(Flex::atelier_geglu(projected.into_primitive()))
                }
            }
        }
    }

    #[derive(Debug)]
    struct GegluBackward;

    impl Backward<Flex, 1> for GegluBackward {
        /// The input.
        type State = NodeId;

        fn backward(
            self,
            operation: Ops<NodeId, 1>,
            gradients: &mut Gradients,
            checkpointer: &mut Checkpointer,
        ) {
            let projected =
                Values::new(checkpointer.retrieve_node_output::<FloatTensor<Flex>>(operation.state));
            let gradient = Values::new(gradients.consume::<Flex>(&operation.node));
            let [parent] = operation.parents;
            if let Some(node) = parent {
                let mut result = take(projected.len());
                kernel::geglu_gradient(channels(projected.shape()), &projected, &gradient, &mut result);
                gradients.register::<Flex>(node.id, tensor_of(result, projected.shape().clone()));
            }
        }
    }
}
