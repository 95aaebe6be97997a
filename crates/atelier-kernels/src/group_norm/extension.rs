//! Group normalisation as an operation of burn's processor backend.

use super::GroupNormOptions;
use crate::flex::{Values, tensor};
use crate::slices::group_norm::{self as kernel, Affine, GroupNormShape};
use crate::slices::scratch::take;
use burn::backend::{Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;

/// See [`super::group_norm`].
#[backend_extension(Flex, Autodiff: cfg(feature = "autodiff"))]
pub trait GroupNormBackend: Backend {
    /// Normalises.
    fn atelier_group_norm(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        options: GroupNormOptions,
    ) -> FloatTensor<Self>;
}

pub(super) fn group_norm(
    x: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    options: GroupNormOptions,
) -> Tensor<4> {
    let (x, scale, shift) = (x.into_dispatch(), scale.into_dispatch(), shift.into_dispatch());
    Tensor::from_dispatch(Dispatch::atelier_group_norm(x, scale, shift, options))
}

impl GroupNormBackend for Flex {
    fn atelier_group_norm(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        options: GroupNormOptions,
    ) -> FloatTensor<Self> {
        let (x, scale, shift) = (Values::new(x), Values::new(scale), Values::new(shift));
        let shape = shape(x.dims(), options);
        let mut output = take(x.len());
        kernel::group_norm(&shape, &x, Affine { scale: &scale, shift: &shift }, &mut output);
        tensor(output, x.dims::<4>())
    }
}

fn shape([batch, channels, height, width]: [usize; 4], options: GroupNormOptions) -> GroupNormShape {
    let GroupNormOptions { groups, epsilon, silu } = options;
    assert!(groups > 0 && channels.is_multiple_of(groups), "{channels} channels cannot make {groups} groups");
    GroupNormShape { batch, channels, groups, pixels: height * width, epsilon: epsilon as f32, silu }
}

#[cfg(feature = "autodiff")]
mod gradients {
    use super::*;
    use crate::slices::group_norm::GroupNormGradients;
    use burn::backend::Autodiff;
    use burn::backend::autodiff::NodeId;
    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};

    impl<C: CheckpointStrategy> GroupNormBackend for Autodiff<Flex, C> {
        fn atelier_group_norm(
            x: FloatTensor<Self>,
            scale: FloatTensor<Self>,
            shift: FloatTensor<Self>,
            options: GroupNormOptions,
        ) -> FloatTensor<Self> {
            let operation = GroupNormBackward.prepare::<C>([x.node(), scale.node(), shift.node()]);
            match operation.compute_bound().stateful() {
                OpsKind::Tracked(mut operation) => {
                    let state = State {
                        x: operation.checkpoint(&x),
                        scale: operation.checkpoint(&scale),
                        shift: operation.checkpoint(&shift),
                        options,
                    };
                    let parts = (x.into_primitive(), scale.into_primitive(), shift.into_primitive());
                    operation.finish(state, Flex::atelier_group_norm(parts.0, parts.1, parts.2, options))
                }
                OpsKind::UnTracked(operation) => {
                    let parts = (x.into_primitive(), scale.into_primitive(), shift.into_primitive());
                    operation.finish(Flex::atelier_group_norm(parts.0, parts.1, parts.2, options))
                }
            }
        }
    }

    #[derive(Clone, Debug)]
    struct State {
        x: NodeId,
        scale: NodeId,
        shift: NodeId,
        options: GroupNormOptions,
    }

    #[derive(Debug)]
    struct GroupNormBackward;

    impl Backward<Flex, 3> for GroupNormBackward {
        type State = State;

        fn backward(
            self,
            operation: Ops<State, 3>,
            gradients: &mut Gradients,
            checkpointer: &mut Checkpointer,
        ) {
            let State { x, scale, shift, options } = operation.state;
            let mut values = |id| Values::new(checkpointer.retrieve_node_output::<FloatTensor<Flex>>(id));
            let (x, scale, shift) = (values(x), values(scale), values(shift));
            let gradient = Values::new(gradients.consume::<Flex>(&operation.node));
            let dims = x.dims::<4>();
            let shape = shape(dims, options);
            let mut input = take(x.len());
            let (mut of_scale, mut of_shift) = (take(shape.channels), take(shape.channels));
            let results =
                GroupNormGradients { input: &mut input, scale: &mut of_scale, shift: &mut of_shift };
            kernel::group_norm_gradients(
                &shape,
                &x,
                Affine { scale: &scale, shift: &shift },
                &gradient,
                results,
            );
            let [x_node, scale_node, shift_node] = operation.parents;
            if let Some(node) = x_node {
                gradients.register::<Flex>(node.id, tensor(input, dims));
            }
            if let Some(node) = scale_node {
                gradients.register::<Flex>(node.id, tensor(of_scale, [shape.channels]));
            }
            if let Some(node) = shift_node {
                gradients.register::<Flex>(node.id, tensor(of_shift, [shape.channels]));
            }
        }
    }
}
