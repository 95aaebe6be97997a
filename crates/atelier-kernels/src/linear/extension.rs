//! The linear layer as an operation of burn's processor backend.

use crate::flex::{Grid, Values, tensor_of};
use crate::slices::matrix::{Matrix, ProductShape, product};
use crate::slices::scratch::take;
use burn::backend::{Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
#[cfg(feature = "autodiff")]
use burn::tensor::Shape;
use burn::tensor::Tensor;

/// See [`super::linear`]. The macro knows no optional tensors, so there are two methods.
#[backend_extension(Flex, Autodiff: cfg(feature = "autodiff"))]
pub trait LinearBackend: Backend {
    /// With a bias.
    fn atelier_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Without one.
    fn atelier_linear_unbiased(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;
}

pub(super) fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(match bias {
        Some(bias) => Dispatch::atelier_linear(x, weight, bias.into_dispatch()),
        None => Dispatch::atelier_linear_unbiased(x, weight),
    })
}

impl LinearBackend for Flex {
    fn atelier_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        forward(x, weight, Some(bias))
    }

    fn atelier_linear_unbiased(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        forward(x, weight, None)
    }
}

type Primitive = FloatTensor<Flex>;

fn forward(x: Primitive, weight: Primitive, bias: Option<Primitive>) -> Primitive {
    let (x, weight, bias) = (Values::new(x), Grid::new(weight), bias.map(Values::new));
    let [depth, columns] = weight.dims();
    let mut shape = x.shape().clone();
    let last = shape.num_dims() - 1;
    assert_eq!(shape[last], depth, "a linear layer of {depth} features got {}", shape[last]);
    shape[last] = columns;
    let rows = shape.num_elements().checked_div(columns).unwrap_or(0);
    let mut output = take(rows * columns);
    let sizes = ProductShape { rows, depth, columns };
    product(&sizes, Matrix::rows(&x, depth), weight.get(), bias.as_deref(), &mut output);
    tensor_of(output, shape)
}

#[cfg(feature = "autodiff")]
mod gradients {
    use super::*;
    use burn::backend::Autodiff;
    use burn::backend::TensorMetadata;
    use burn::backend::autodiff::NodeId;
    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};

    impl<C: CheckpointStrategy> LinearBackend for Autodiff<Flex, C> {
        fn atelier_linear(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            let shape = x.shape();
            let operation = LinearGradients.prepare::<C>([x.node(), weight.node(), bias.node()]);
            match operation.compute_bound().stateful() {
                OpsKind::Tracked(mut operation) => {
                    let state = State {
                        x: weight.is_tracked().then(|| operation.checkpoint(&x)),
                        weight: x.is_tracked().then(|| operation.checkpoint(&weight)),
                        shape,
                    };
                    let output =
                        forward(x.into_primitive(), weight.into_primitive(), Some(bias.into_primitive()));
                    operation.finish(state, output)
                }
                OpsKind::UnTracked(operation) => operation.finish(forward(
                    x.into_primitive(),
                    weight.into_primitive(),
                    Some(bias.into_primitive()),
                )),
            }
        }

        fn atelier_linear_unbiased(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
            let shape = x.shape();
            let operation = LinearGradients.prepare::<C>([x.node(), weight.node()]);
            match operation.compute_bound().stateful() {
                OpsKind::Tracked(mut operation) => {
                    let state = State {
                        x: weight.is_tracked().then(|| operation.checkpoint(&x)),
                        weight: x.is_tracked().then(|| operation.checkpoint(&weight)),
                        shape,
                    };
                    operation.finish(state, forward(x.into_primitive(), weight.into_primitive(), None))
                }
                OpsKind::UnTracked(operation) => {
                    operation.finish(forward(x.into_primitive(), weight.into_primitive(), None))
                }
            }
        }
    }

    /// The input if the weight has a gradient, the weight if the input has one, and the shape of the input.
    #[derive(Clone, Debug)]
    struct State {
        x: Option<NodeId>,
        weight: Option<NodeId>,
        shape: Shape,
    }

    #[derive(Debug)]
    struct LinearGradients;

    impl<const PARENTS: usize> Backward<Flex, PARENTS> for LinearGradients {
        type State = State;

        fn backward(
            self,
            operation: Ops<State, PARENTS>,
            gradients: &mut Gradients,
            checkpointer: &mut Checkpointer,
        ) {
            let State { x, weight, shape } = operation.state;
            let x = x.map(|id| Values::new(checkpointer.retrieve_node_output::<Primitive>(id)));
            let weight = weight.map(|id| Grid::new(checkpointer.retrieve_node_output::<Primitive>(id)));
            let gradient = Values::new(gradients.consume::<Flex>(&operation.node));
            let inputs = shape[shape.num_dims() - 1];
            let outputs = gradient.shape()[shape.num_dims() - 1];
            let rows = gradient.len().checked_div(outputs).unwrap_or(0);
            let of_output = Matrix::rows(&gradient, outputs);
            let mut parents = operation.parents.into_iter();
            if let (Some(node), Some(weight)) = (parents.next().flatten(), weight) {
                let mut result = take(rows * inputs);
                let sizes = ProductShape { rows, depth: outputs, columns: inputs };
                product(&sizes, of_output, weight.get().transposed(), None, &mut result);
                gradients.register::<Flex>(node.id, tensor_of(result, shape));
            }
            if let (Some(node), Some(x)) = (parents.next().flatten(), x) {
                let mut result = take(inputs * outputs);
                let sizes = ProductShape { rows: inputs, depth: rows, columns: outputs };
                product(&sizes, Matrix::rows(&x, inputs).transposed(), of_output, None, &mut result);
                gradients.register::<Flex>(node.id, tensor_of(result, Shape::new([inputs, outputs])));
            }
            if let Some(node) = parents.next().flatten() {
                let mut result = take(outputs);
                let sizes = ProductShape { rows: 1, depth: rows, columns: outputs };
                let ones = [1.0];
                let ones = Matrix { numbers: &ones, row: 0, column: 0 };
                product(&sizes, ones, of_output, None, &mut result);
                gradients.register::<Flex>(node.id, tensor_of(result, Shape::new([outputs])));
            }
        }
    }
}
