//! Every operation against burn's own, forward and backward, over random shapes.

#![cfg(all(feature = "flex", feature = "autodiff"))]
#![recursion_limit = "256"]

use atelier_kernels::{Conv2dOptions, conv2d, group_norm};
use burn::module::Param;
use burn::nn::{GroupNorm, GroupNormConfig};
use burn::tensor::{Device, Distribution, Tensor, activation, module, ops::ConvOptions};
use proptest::prelude::*;

fn random<const D: usize>(dims: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(dims, Distribution::Uniform(-1.0, 1.0), device)
}

/// Rounding is relative to the largest number.
fn assert_close<const D: usize>(name: &str, ours: &Tensor<D>, burns: &Tensor<D>) {
    assert_eq!(ours.dims(), burns.dims(), "{name}");
    let numbers = |x: &Tensor<D>| x.clone().into_data().iter::<f32>().collect::<Vec<_>>();
    let (ours, burns) = (numbers(ours), numbers(burns));
    let largest = burns.iter().fold(1e-3, |largest: f32, x| largest.max(x.abs()));
    for (ours, burns) in ours.iter().zip(&burns) {
        assert!(
            (ours - burns).abs() <= 1e-5 * largest,
            "{name}: {ours} instead of {burns}, of up to {largest}"
        );
    }
}

/// The same numbers, but not one after another in memory.
fn scattered(x: Tensor<4>) -> Tensor<4> {
    x.permute([3, 1, 0, 2]).add_scalar(0.0).mul_scalar(1.0).permute([2, 1, 3, 0])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn convolutions_agree_with_burns(
        batch in 1..6_usize,
        channels in prop::array::uniform2(1..71_usize),
        size in prop::array::uniform2(1..20_usize),
        kernel in prop_oneof![Just([1, 1]), Just([3, 3]), prop::array::uniform2(1..5_usize)],
        stride in prop::array::uniform2(1..3_usize),
        padding in prop::array::uniform2((0..3_usize, 0..3_usize)),
        biased: bool,
        contiguous: bool,
    ) {
        let fits = |i: usize| size[i] + padding[i].0 + padding[i].1 >= kernel[i];
        prop_assume!(fits(0) && fits(1));
        let device = Device::flex().autodiff();
        let [inputs, outputs] = channels;
        let x = random([batch, inputs, size[0], size[1]], &device);
        let x = if contiguous { x } else { scattered(x) }.require_grad();
        let weight = random([outputs, inputs, kernel[0], kernel[1]], &device).require_grad();
        let bias = biased.then(|| random([outputs], &device).require_grad());

        let ours = conv2d(x.clone(), weight.clone(), bias.clone(), Conv2dOptions { stride, padding });
        let options = ConvOptions::new_with_padding(stride, padding, [1, 1], 1);
        let burns = module::conv2d(x.clone(), weight.clone(), bias.clone(), options);
        assert_close("output", &ours.clone().inner(), &burns.clone().inner());

        let factor = random(ours.dims(), &device);
        let ours = (ours * factor.clone()).sum().backward();
        let burns = (burns * factor).sum().backward();
        assert_close("gradient of the input", &x.grad(&ours).unwrap(), &x.grad(&burns).unwrap());
        assert_close("gradient of the weight", &weight.grad(&ours).unwrap(), &weight.grad(&burns).unwrap());
        if let Some(bias) = bias {
            assert_close("gradient of the bias", &bias.grad(&ours).unwrap(), &bias.grad(&burns).unwrap());
        }
    }

    #[test]
    fn group_norms_agree_with_burns(
        batch in 1..6_usize,
        groups in 1..9_usize,
        each in 1..9_usize,
        size in prop::array::uniform2(1..20_usize),
        silu: bool,
        contiguous: bool,
    ) {
        // A group of few numbers is all rounding.
        prop_assume!(each * size[0] * size[1] > 8);
        let device = Device::flex().autodiff();
        let channels = groups * each;
        let norm = GroupNorm {
            gamma: Some(Param::from_tensor(random([channels], &device).require_grad())),
            beta: Some(Param::from_tensor(random([channels], &device).require_grad())),
            ..GroupNormConfig::new(groups, channels).init(&device)
        };
        let x = random([batch, channels, size[0], size[1]], &device);
        let x = if contiguous { x } else { scattered(x) }.require_grad();

        let ours = group_norm(&norm, x.clone(), silu);
        let burns = norm.forward(x.clone());
        let burns = if silu { activation::silu(burns) } else { burns };
        assert_close("output", &ours.clone().inner(), &burns.clone().inner());

        let factor = random(ours.dims(), &device);
        let ours = (ours * factor.clone()).sum().backward();
        let burns = (burns * factor).sum().backward();
        assert_close("gradient of the input", &x.grad(&ours).unwrap(), &x.grad(&burns).unwrap());
        for (name, parameter) in [("scale", &norm.gamma), ("shift", &norm.beta)] {
            let parameter = parameter.as_ref().unwrap().val();
            assert_close(name, &parameter.grad(&ours).unwrap(), &parameter.grad(&burns).unwrap());
        }
    }
}

const SAME: Conv2dOptions = Conv2dOptions { stride: [1, 1], padding: [(1, 1); 2] };

#[test]
fn frozen_weights_get_no_gradient_and_their_input_does() {
    let device = Device::flex().autodiff();
    let x = random([2, 3, 8, 8], &device).require_grad();
    let weight = random([4, 3, 3, 3], &device);
    let gradients = conv2d(x.clone(), weight.clone(), None, SAME).sum().backward();
    assert!(x.grad(&gradients).is_some());
    assert!(weight.grad(&gradients).is_none());
}

#[test]
fn no_gradient_is_asked_for_without_parents() {
    let device = Device::flex().autodiff();
    let (x, weight) = (random([2, 3, 8, 8], &device), random([4, 3, 3, 3], &device));
    assert!(!conv2d(x, weight, None, SAME).is_tracked());
}

#[test]
fn no_pictures_give_no_pictures() {
    let device = Device::flex();
    let output =
        conv2d(Tensor::zeros([0, 3, 8, 8], &device), Tensor::zeros([4, 3, 3, 3], &device), None, SAME);
    assert_eq!(output.dims(), [0, 4, 8, 8]);
}

#[test]
#[should_panic(expected = "a convolution of 3 channels got 2")]
fn other_channels_are_refused() {
    let device = Device::flex();
    conv2d(Tensor::zeros([1, 2, 8, 8], &device), Tensor::zeros([4, 3, 3, 3], &device), None, SAME);
}
