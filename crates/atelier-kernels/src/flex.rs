//! Tensors of burn's processor backend as slices.

use crate::slices::{
    attention,
    matrix::Matrix,
    scratch::{SMALLEST, give},
};
use burn::backend::{DispatchTensorKind, flex::FlexTensor};
use burn::tensor::{DType, Shape, Tensor, TensorData};
use std::ops::Deref;

/// Whether `tensor` is on the processor and in f32.
pub fn has_kernels<const D: usize>(tensor: &Tensor<D>) -> bool {
    let on_flex = match tensor.clone().into_dispatch().kind {
        DispatchTensorKind::Flex(_) => true,
        #[cfg(feature = "autodiff")]
        DispatchTensorKind::Autodiff(inner) => matches!(*inner, DispatchTensorKind::Flex(_)),
        #[allow(unreachable_patterns, reason = "whether there are others depends on burn's features")]
        _ => false,
    };
    on_flex && tensor.dtype() == DType::F32
}

/// The numbers of a tensor one after another.
pub struct Values(FlexTensor);

impl Values {
    /// Copies them if they lie otherwise.
    pub fn new(tensor: FlexTensor) -> Self {
        if tensor.as_slice::<f32>().is_some() { Self(tensor) } else { Self(tensor.to_contiguous()) }
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        self.0.layout().shape()
    }

    /// The shape, of a known number of dimensions.
    pub fn dims<const D: usize>(&self) -> [usize; D] {
        self.shape().dims()
    }
}

impl Drop for Values {
    /// Keeps the memory for other tensors, if this was the last one of its numbers.
    fn drop(&mut self) {
        recycle(std::mem::replace(&mut self.0, empty()));
    }
}

fn recycle(tensor: FlexTensor) {
    if tensor.is_unique()
        && tensor.dtype() == DType::F32
        && tensor.layout().num_elements() >= SMALLEST
        && is_whole(&tensor)
        && let Ok(buffer) = tensor.into_data().try_into_vec()
    {
        give(buffer);
    }
}

/// A tensor of no numbers.
fn empty() -> FlexTensor {
    tensor(Vec::new(), [0])
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.0.as_slice().expect("numbers of a contiguous f32 tensor")
    }
}

/// The numbers of a tensor `[batch, heads, length, channels]`, those of every row one after another.
pub struct Rows(FlexTensor);

impl Rows {
    /// Copies them if they lie otherwise.
    pub fn new(tensor: FlexTensor) -> Self {
        let layout = tensor.layout();
        let [.., channels]: [usize; 4] = layout.shape().dims();
        let strides = layout.strides();
        let together = strides[3] == 1 || channels == 1;
        if together && strides.iter().all(|stride| *stride >= 0) {
            Self(tensor)
        } else {
            Self(tensor.to_contiguous())
        }
    }

    /// The shape.
    pub fn dims(&self) -> [usize; 4] {
        self.0.layout().shape().dims()
    }

    /// As the kernel takes them.
    pub fn get(&self) -> attention::Rows<'_> {
        let layout = self.0.layout();
        let strides = [0, 1, 2].map(|i| layout.strides()[i].unsigned_abs());
        attention::Rows { numbers: &self.0.storage()[layout.start_offset()..], strides }
    }
}

/// A matrix, wherever its numbers lie; rows or columns may be repeated.
pub struct Grid(FlexTensor);

impl Grid {
    /// Copies what lies backwards.
    pub fn new(tensor: FlexTensor) -> Self {
        let forwards = tensor.layout().strides().iter().all(|stride| *stride >= 0);
        if forwards { Self(tensor) } else { Self(tensor.to_contiguous()) }
    }

    /// Rows and columns.
    pub fn dims(&self) -> [usize; 2] {
        self.0.layout().shape().dims()
    }

    /// As the kernel takes it.
    pub fn get(&self) -> Matrix<'_> {
        let layout = self.0.layout();
        let [row, column] = [0, 1].map(|i| layout.strides()[i].unsigned_abs());
        Matrix { numbers: &self.0.storage()[layout.start_offset()..], row, column }
    }
}

/// A tensor of these numbers.
pub fn tensor<const D: usize>(numbers: Vec<f32>, dims: [usize; D]) -> FlexTensor {
    tensor_of(numbers, Shape::new(dims))
}

/// A tensor of these numbers, of any number of dimensions.
pub fn tensor_of(numbers: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(numbers, shape))
}

/// The tensor with its numbers, and no others, one after another, to be changed; shared ones are copied then.
pub fn in_place(tensor: FlexTensor) -> FlexTensor {
    if is_whole(&tensor) { tensor } else { tensor.to_contiguous() }
}

/// Whether the tensor has all numbers of its memory, in their order.
fn is_whole(tensor: &FlexTensor) -> bool {
    let layout = tensor.layout();
    layout.is_contiguous()
        && layout.start_offset() == 0
        && tensor.storage::<f32>().len() == layout.num_elements()
}
