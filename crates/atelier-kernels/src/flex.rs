//! Tensors of burn's processor backend as slices.

use burn::backend::{DispatchTensorKind, flex::FlexTensor};
use burn::tensor::{DType, Tensor, TensorData};
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
    pub fn dims<const D: usize>(&self) -> [usize; D] {
        self.0.layout().shape().dims()
    }
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.0.as_slice().expect("numbers of a contiguous f32 tensor")
    }
}

/// A tensor of these numbers.
pub fn tensor<const D: usize>(numbers: Vec<f32>, dims: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(numbers, dims))
}
