//! Layer normalisation as an operation of burn's processor backend.

use crate::flex::{Values, tensor_of};
use crate::slices::layer_norm::{self as kernel, LayerNorm};
use crate::slices::scratch::take;
use burn::backend::{Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;

/// See [`super::layer_norm`].
#[backend_extension(Flex, Autodiff: cfg(feature = "autodiff"))]
pub trait LayerNormBackend: Backend {
    /// Normalises the last dimension.
    fn atelier_layer_norm(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;
}

pub(super) fn layer_norm<const D: usize>(
    x: Tensor<D>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let (x, scale, shift) = (x.into_dispatch(), scale.into_dispatch(), shift.into_dispatch());
    Tensor::from_dispatch(Dispatch::atelier_layer_norm(x, scale, shift, epsilon))
}

impl LayerNormBackend for Flex {
    fn atelier_layer_norm(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let (x, scale, shift) = (Values::new(x), Values::new(scale), Values::new(shift));
        let last = x.shape()[x.shape().num_dims() - 1];
        assert_eq!(last, scale.len(), "a layer norm of {} channels got {last}", scale.len());
        let norm = LayerNorm { scale: &scale, shift: &shift, epsilon: epsilon as f32 };
        let mut output = take(x.len());
        kernel::layer_norm(norm, &x, &mut output);
        tensor_of(output, x.shape().clone())
    }
}

#[cfg(feature = "autodiff")]
mod gradients {
    use super::*;
    use crate::slices::layer_norm::LayerNormGradients;
    use burn::backend::Autodiff;
    use burn::backend::autodiff::NodeId;
    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};

    impl<C: CheckpointStrategy> LayerNormBackend for Autodiff<Flex, C> {
        fn atelier_layer_norm(
            x: FloatTensor<Self>,
            scale: FloatTensor<Self>,
            shift: FloatTensor<Self>,
            epsilon: f64,
        ) -> FloatTensor<Self> {
            let operation = LayerNormBackward.prepare::<C>([x.node(), scale.node(), shift.node()]);
            match operation.compute_bound().stateful() {
                OpsKind::Tracked(mut operation) => {
                    let (x_state, scale_state) = (operation.checkpoint(&x), operation.checkpoint(&scale));
                    let parts = (x.into_primitive(), scale.into_primitive(), shift.into_primitive());
                    let output = Flex::atelier_layer_norm(parts.0, parts.1, parts.2, epsilon);
                    operation.finish((x_state, scale_state, epsilon), output)
                }
                OpsKind::UnTracked(operation) => {
                    let parts = (x.into_primitive(), scale.into_primitive(), shift.into_primitive());
                    operation.finish(Flex::atelier_layer_norm(parts.0, parts.1, parts.2, epsilon))
                }
            }
        }
    }

    #[derive(Debug)]
    struct LayerNormBackward;

    impl Backward<Flex, 3> for LayerNormBackward {
        /// Input, factors, and what is added to the variance.
        type State = (NodeId, NodeId, f64);

        fn backward(
            self,
            operation: Ops<Self::State, 3>,
            gradients: &mut Gradients,
            checkpointer: &mut Checkpointer,
        ) {
            let (x, scale, epsilon) = operation.state;
            let mut values = |id| Values::new(checkpointer.retrieve_node_output::<FloatTensor<Flex>>(id));
            let (x, scale) = (values(x), values(scale));
            let gradient = Values::new(gradients.consume::<Flex>(&operation.node));
            // The summands have no part in the gradients.
            let norm = LayerNorm { scale: &scale, shift: &scale, epsilon: epsilon as f32 };
            let mut input = take(x.len());
            let (mut of_scale, mut of_shift) = (take(scale.len()), take(scale.len()));
            let results =
                LayerNormGradients { input: &mut input, scale: &mut of_scale, shift: &mut of_shift };
            kernel::layer_norm_gradients(norm, &x, &gradient, results);
            let results = [(input, x.shape()), (of_scale, scale.shape()), (of_shift, scale.shape())];
            for (node, (result, shape)) in operation.parents.into_iter().zip(results) {
                if let Some(node) = node {
                    gradients.register::<Flex>(node.id, tensor_of(result, shape.clone()));
                }
            }
        }
    }
}
