//! The convolution as an operation of burn's processor backend.

use super::Conv2dOptions;
#[cfg(feature = "autodiff")]
use crate::flex::tensor_of;
use crate::flex::{Values, tensor};
use crate::slices::conv2d::{self as kernel, Conv2dShape};
use crate::slices::scratch::take;
use burn::backend::{Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
#[cfg(feature = "autodiff")]
use burn::tensor::Shape;
use burn::tensor::Tensor;

/// See [`super::conv2d`]. The macro knows no optional tensors, so there are two methods.
#[backend_extension(Flex, Autodiff: cfg(feature = "autodiff"))]
pub trait Conv2dBackend: Backend {
    /// With a bias, `[out_channels]` or `[batch, out_channels]`.
    fn atelier_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: Conv2dOptions,
    ) -> FloatTensor<Self>;

    /// Without one.
    fn atelier_conv2d_unbiased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: Conv2dOptions,
    ) -> FloatTensor<Self>;
}

pub(super) fn conv2d<const D: usize>(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<D>>,
    options: Conv2dOptions,
) -> Tensor<4> {
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(match bias {
        Some(bias) => Dispatch::atelier_conv2d(x, weight, bias.into_dispatch(), options),
        None => Dispatch::atelier_conv2d_unbiased(x, weight, options),
    })
}

impl Conv2dBackend for Flex {
    fn atelier_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: Conv2dOptions,
    ) -> FloatTensor<Self> {
        forward(x, weight, Some(bias), options)
    }

    fn atelier_conv2d_unbiased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: Conv2dOptions,
    ) -> FloatTensor<Self> {
        forward(x, weight, None, options)
    }
}

type Primitive = FloatTensor<Flex>;

fn forward(x: Primitive, weight: Primitive, bias: Option<Primitive>, options: Conv2dOptions) -> Primitive {
    let (x, weight, bias) = (Values::new(x), Values::new(weight), bias.map(Values::new));
    let shape = shape(x.dims(), weight.dims(), options);
    let Some([height, width]) = shape.out() else {
        panic!(
            "a kernel of {:?} does not fit into {:?} with a padding of {:?}",
            shape.kernel, shape.size, shape.padding
        );
    };
    let mut output = take(shape.batch * shape.out_channels * height * width);
    if shape.in_channels == 0 {
        output.fill(0.0);
    }
    kernel::conv2d(&shape, &x, &weight, bias.as_deref(), &mut output);
    tensor(output, [shape.batch, shape.out_channels, height, width])
}

fn shape(x: [usize; 4], weight: [usize; 4], options: Conv2dOptions) -> Conv2dShape {
    let [batch, channels, height, width] = x;
    let [out_channels, in_channels, kernel_height, kernel_width] = weight;
    assert_eq!(channels, in_channels, "a convolution of {in_channels} channels got {channels}");
    let Conv2dOptions { stride, padding } = options;
    let kernel = [kernel_height, kernel_width];
    Conv2dShape { batch, in_channels, out_channels, size: [height, width], kernel, stride, padding }
}

#[cfg(feature = "autodiff")]
mod gradients {
    use super::*;
    use burn::backend::autodiff::NodeId;
    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::{Autodiff, TensorMetadata};

    impl<C: CheckpointStrategy> Conv2dBackend for Autodiff<Flex, C> {
        fn atelier_conv2d(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            options: Conv2dOptions,
        ) -> FloatTensor<Self> {
            let dims = Dims::new(&x, &weight, bias.shape().num_dims() > 1, options);
            let (needs_x, needs_weight) = (weight.is_tracked(), x.is_tracked());
            let operation = Conv2dGradients.prepare::<C>([x.node(), weight.node(), bias.node()]);
            match operation.compute_bound().stateful() {
                OpsKind::Tracked(mut operation) => {
                    let x_state = needs_x.then(|| operation.checkpoint(&x));
                    let weight_state = needs_weight.then(|| operation.checkpoint(&weight));
                    let state = (x_state, weight_state, dims);
                    let parts = (x.into_primitive(), weight.into_primitive(), bias.into_primitive());
                    operation.finish(state, Flex::atelier_conv2d(parts.0, parts.1, parts.2, options))
                }
                OpsKind::UnTracked(operation) => {
                    let parts = (x.into_primitive(), weight.into_primitive(), bias.into_primitive());
                    operation.finish(Flex::atelier_conv2d(parts.0, parts.1, parts.2, options))
                }
            }
        }

        fn atelier_conv2d_unbiased(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            options: Conv2dOptions,
        ) -> FloatTensor<Self> {
            let dims = Dims::new(&x, &weight, false, options);
            let (needs_x, needs_weight) = (weight.is_tracked(), x.is_tracked());
            let operation = Conv2dGradients.prepare::<C>([x.node(), weight.node()]);
            match operation.compute_bound().stateful() {
                OpsKind::Tracked(mut operation) => {
                    let x_state = needs_x.then(|| operation.checkpoint(&x));
                    let weight_state = needs_weight.then(|| operation.checkpoint(&weight));
                    let state = (x_state, weight_state, dims);
                    let parts = (x.into_primitive(), weight.into_primitive());
                    operation.finish(state, Flex::atelier_conv2d_unbiased(parts.0, parts.1, options))
                }
                OpsKind::UnTracked(operation) => {
                    let parts = (x.into_primitive(), weight.into_primitive());
                    operation.finish(Flex::atelier_conv2d_unbiased(parts.0, parts.1, options))
                }
            }
        }
    }

    /// The shape of a convolution, for the backward pass.
    #[derive(Clone, Debug)]
    struct Dims {
        shape: Conv2dShape,
        /// Whether every picture has a bias of its own.
        biased_by_picture: bool,
    }

    impl Dims {
        fn new(
            x: &impl TensorMetadata,
            weight: &impl TensorMetadata,
            biased_by_picture: bool,
            options: Conv2dOptions,
        ) -> Self {
            Self { shape: shape(x.shape().dims(), weight.shape().dims(), options), biased_by_picture }
        }
    }

    /// The input if the weight has a gradient, the weight if the input has one, and their shapes.
    type State = (Option<NodeId>, Option<NodeId>, Dims);

    #[derive(Debug)]
    struct Conv2dGradients;

    impl<const PARENTS: usize> Backward<Flex, PARENTS> for Conv2dGradients {
        type State = State;

        fn backward(
            self,
            operation: Ops<State, PARENTS>,
            gradients: &mut Gradients,
            checkpointer: &mut Checkpointer,
        ) {
            let (x, weight, Dims { shape, biased_by_picture }) = operation.state;
            let x = x.map(|id| Values::new(checkpointer.retrieve_node_output::<Primitive>(id)));
            let weight = weight.map(|id| Values::new(checkpointer.retrieve_node_output::<Primitive>(id)));
            let gradient = Values::new(gradients.consume::<Flex>(&operation.node));
            let Conv2dShape { batch, in_channels, out_channels, size: [height, width], kernel, .. } = shape;
            let mut parents = operation.parents.into_iter();
            if let (Some(node), Some(weight)) = (parents.next().flatten(), weight) {
                let mut result = take(batch * in_channels * height * width);
                kernel::conv2d_input_gradient(&shape, &gradient, &weight, &mut result);
                gradients.register::<Flex>(node.id, tensor(result, [batch, in_channels, height, width]));
            }
            if let (Some(node), Some(x)) = (parents.next().flatten(), x) {
                let dims = [out_channels, in_channels, kernel[0], kernel[1]];
                let mut result = take(dims.iter().product());
                kernel::conv2d_weight_gradient(&shape, &x, &gradient, &mut result);
                gradients.register::<Flex>(node.id, tensor(result, dims));
            }
            if let Some(node) = parents.next().flatten() {
                let dims = if biased_by_picture {
                    Shape::new([batch, out_channels])
                } else {
                    Shape::new([out_channels])
                };
                let mut result = take(dims.num_elements());
                kernel::conv2d_bias_gradient(&shape, &gradient, &mut result);
                gradients.register::<Flex>(node.id, tensor_of(result, dims));
            }
        }
    }
}
