//! The optimiser's step as an operation of burn's processor backend.

use super::{AdamWState, AdamWStep};
use crate::flex::{Values, in_place};
use crate::slices::adamw as kernel;
use burn::backend::{Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;

/// See [`super::adamw`] and [`super::moving_average`].
#[backend_extension(Flex)]
pub trait AdamWBackend: Backend {
    /// The parameter and its moments after a step.
    fn atelier_adamw(
        parameter: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        factor: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// The average moved by a share.
    fn atelier_moving_average(
        average: FloatTensor<Self>,
        value: FloatTensor<Self>,
        share: f64,
    ) -> FloatTensor<Self>;
}

pub(super) fn adamw(
    state: AdamWState,
    gradient: Tensor<1>,
    factor: Tensor<1>,
    step: AdamWStep,
) -> AdamWState {
    let AdamWState { parameter, first, second } = state;
    let [parameter, first, second] = [parameter, first, second].map(Tensor::into_dispatch);
    let (gradient, factor) = (gradient.into_dispatch(), factor.into_dispatch());
    let (parameter, first, second) =
        Dispatch::atelier_adamw(parameter, first, second, gradient, factor, step);
    let [parameter, first, second] = [parameter, first, second].map(Tensor::from_dispatch);
    AdamWState { parameter, first, second }
}

pub(super) fn moving_average(average: Tensor<1>, value: Tensor<1>, share: f64) -> Tensor<1> {
    let (average, value) = (average.into_dispatch(), value.into_dispatch());
    Tensor::from_dispatch(Dispatch::atelier_moving_average(average, value, share))
}

impl AdamWBackend for Flex {
    fn atelier_adamw(
        parameter: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        factor: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [mut parameter, mut first, mut second] = [parameter, first, second].map(in_place);
        let (gradient, factor) = (Values::new(gradient), Values::new(factor));
        kernel::adamw(
            &step,
            factor[0],
            &gradient,
            parameter.storage_mut(),
            first.storage_mut(),
            second.storage_mut(),
        );
        (parameter, first, second)
    }

    fn atelier_moving_average(
        average: FloatTensor<Self>,
        value: FloatTensor<Self>,
        share: f64,
    ) -> FloatTensor<Self> {
        let mut average = in_place(average);
        kernel::approach(average.storage_mut(), &Values::new(value), share as f32);
        average
    }
}
