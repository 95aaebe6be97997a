//! Every operation against burn's own, forward and backward, over random shapes.

#![cfg(all(feature = "flex", feature = "autodiff"))]
#![recursion_limit = "256"]

use atelier_kernels::{
    AdamWState, AdamWStep, Conv2dOptions, adamw, attention, conv2d, conv2d_biased_by_picture, geglu,
    group_norm, layer_norm, linear, moving_average,
};
use burn::module::Param;
use burn::nn::{GroupNorm, GroupNormConfig, LayerNormConfig};
use burn::tensor::{Device, Distribution, Tensor, activation, module, ops::ConvOptions};
use proptest::prelude::*;

fn random<const D: usize>(dims: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(dims, Distribution::Uniform(-1.0, 1.0), device)
}

fn numbers<const D: usize>(x: &Tensor<D>) -> Vec<f32> {
    x.clone().into_data().iter::<f32>().collect()
}

/// Rounding is proportional to what is summed, not to the sum: each number may be off by 1e-5 of `magnitudes`.
#[track_caller]
fn assert_within<const D: usize>(name: &str, ours: &Tensor<D>, burns: &Tensor<D>, magnitudes: &Tensor<D>) {
    assert_eq!(ours.dims(), burns.dims(), "{name}");
    for ((ours, burns), magnitude) in numbers(ours).iter().zip(numbers(burns)).zip(numbers(magnitudes)) {
        assert!(
            (ours - burns).abs() <= 1e-5 * magnitude,
            "{name}: {ours} instead of {burns}, of {magnitude}"
        );
    }
}

/// The same for numbers that are all of one magnitude.
#[track_caller]
fn assert_close<const D: usize>(name: &str, ours: &Tensor<D>, burns: &Tensor<D>, magnitude: f64) {
    assert_within(name, ours, burns, &burns.full_like(magnitude));
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

        let options = ConvOptions::new_with_padding(stride, padding, [1, 1], 1);
        let burns = |x, weight, bias| module::conv2d(x, weight, bias, options.clone());
        let ours = conv2d(x.clone(), weight.clone(), bias.clone(), Conv2dOptions { stride, padding });
        let factor = random(ours.dims(), &device);
        let reference = burns(x.clone(), weight.clone(), bias.clone());
        // Without signs every number is the sum of the magnitudes.
        let magnitude = |x: &Tensor<4>| x.clone().inner().abs().autodiff().require_grad();
        let (x_magnitude, weight_magnitude) = (magnitude(&x), magnitude(&weight));
        let bias_magnitude = bias.clone().map(|bias| bias.inner().abs().autodiff().require_grad());
        let magnitudes = burns(x_magnitude.clone(), weight_magnitude.clone(), bias_magnitude.clone());
        assert_within("output", &ours.clone().inner(), &reference.clone().inner(), &magnitudes.clone().inner());

        let ours = (ours * factor.clone()).sum().backward();
        let reference = (reference * factor.clone()).sum().backward();
        let magnitudes = (magnitudes * factor.abs()).sum().backward();
        for (name, leaf, magnitude) in [("input", &x, &x_magnitude), ("weight", &weight, &weight_magnitude)] {
            let [ours, reference] = [&ours, &reference].map(|gradients| leaf.grad(gradients).unwrap());
            assert_within(name, &ours, &reference, &magnitude.grad(&magnitudes).unwrap());
        }
        if let (Some(bias), Some(magnitude)) = (bias, bias_magnitude) {
            let [ours, reference] = [&ours, &reference].map(|gradients| bias.grad(gradients).unwrap());
            assert_within("bias", &ours, &reference, &magnitude.grad(&magnitudes).unwrap());
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
        prop_assume!(each * size[0] * size[1] > 16);
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
        assert_close("output", &ours.clone().inner(), &burns.clone().inner(), 5.0);

        let factor = random(ours.dims(), &device);
        let ours = (ours * factor.clone()).sum().backward();
        let burns = (burns * factor).sum().backward();
        assert_close("input", &x.grad(&ours).unwrap(), &x.grad(&burns).unwrap(), 5.0);
        let summands = (batch * size[0] * size[1]) as f64;
        for (name, parameter) in [("scale", &norm.gamma), ("shift", &norm.beta)] {
            let parameter = parameter.as_ref().unwrap().val();
            let [ours, burns] = [&ours, &burns].map(|gradients| parameter.grad(gradients).unwrap());
            assert_close(name, &ours, &burns, 5.0 * summands.sqrt());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn gates_agree_with_burns(rows in 1..20_usize, channels in 1..70_usize, contiguous: bool) {
        let device = Device::flex().autodiff();
        let x = random([1, 2 * channels, rows, 1], &device).mul_scalar(4.0);
        let x = if contiguous { x.reshape([1, rows, 2 * channels]) } else { x.squeeze_dim::<3>(3).swap_dims(1, 2) };
        let x = x.require_grad();
        let ours = geglu(x.clone());
        let burns = x.clone().narrow(2, 0, channels) * activation::gelu(x.clone().narrow(2, channels, channels));
        assert_close("output", &ours.clone().inner(), &burns.clone().inner(), 4.0);
        let factor = random(ours.dims(), &device);
        let ours = (ours * factor.clone()).sum().backward();
        let burns = (burns * factor).sum().backward();
        assert_close("gradient", &x.grad(&ours).unwrap(), &x.grad(&burns).unwrap(), 4.0);
    }
}

const SAME: Conv2dOptions = Conv2dOptions { stride: [1, 1], padding: [(1, 1); 2] };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn layer_norms_agree_with_burns(rows in 1..40_usize, channels in 16..140_usize, contiguous: bool) {
        let device = Device::flex().autodiff();
        let mut norm = LayerNormConfig::new(channels).with_epsilon(1e-5).init(&device);
        norm.gamma = Param::from_tensor(random([channels], &device).require_grad());
        norm.beta = Some(Param::from_tensor(random([channels], &device).require_grad()));
        let x = random([2, channels, rows, 1], &device);
        let x = if contiguous { x.reshape([2, rows, channels]) } else { x.squeeze_dim::<3>(3).swap_dims(1, 2) };
        let x = x.require_grad();
        let ours = layer_norm(&norm, 1e-5, x.clone());
        let burns = norm.forward(x.clone());
        assert_close("output", &ours.clone().inner(), &burns.clone().inner(), 5.0);
        let factor = random(ours.dims(), &device);
        let ours = (ours * factor.clone()).sum().backward();
        let burns = (burns * factor).sum().backward();
        assert_close("input", &x.grad(&ours).unwrap(), &x.grad(&burns).unwrap(), 5.0);
        let magnitude = 5.0 * (rows as f64).sqrt();
        let shift = norm.beta.as_ref().unwrap();
        for (name, parameter) in [("scale", norm.gamma.val()), ("shift", shift.val())] {
            let [ours, burns] = [&ours, &burns].map(|gradients| parameter.grad(gradients).unwrap());
            assert_close(name, &ours, &burns, magnitude);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn linear_layers_agree_with_burns(
        batch in 1..6_usize,
        length in 1..20_usize,
        features in prop::array::uniform2(1..70_usize),
        biased: bool,
        contiguous: bool,
    ) {
        let device = Device::flex().autodiff();
        let [inputs, outputs] = features;
        let x = random([batch, inputs, length], &device);
        let x = if contiguous { x.reshape([batch, length, inputs]) } else { x.swap_dims(1, 2) }.require_grad();
        let weight = random([inputs, outputs], &device);
        // As it lies in files of PyTorch.
        let weight = if contiguous { weight } else { random([outputs, inputs], &device).swap_dims(0, 1) };
        let weight = weight.require_grad();
        let bias = biased.then(|| random([outputs], &device).require_grad());

        let ours = linear(x.clone(), weight.clone(), bias.clone());
        let burns = module::linear(x.clone(), weight.clone(), bias.clone());
        assert_close("output", &ours.clone().inner(), &burns.clone().inner(), inputs as f64);
        let factor = random(ours.dims(), &device);
        let ours = (ours * factor.clone()).sum().backward();
        let burns = (burns * factor).sum().backward();
        assert_close("input", &x.grad(&ours).unwrap(), &x.grad(&burns).unwrap(), outputs as f64);
        let rows = (batch * length) as f64;
        assert_close("weight", &weight.grad(&ours).unwrap(), &weight.grad(&burns).unwrap(), rows);
        if let Some(bias) = bias {
            assert_close("bias", &bias.grad(&ours).unwrap(), &bias.grad(&burns).unwrap(), rows);
        }
    }

    #[test]
    fn attentions_agree_with_burns(
        batch in 1..6_usize,
        heads in 1..4_usize,
        lengths in prop::array::uniform2(1..70_usize),
        channels in 1..40_usize,
        contiguous: bool,
    ) {
        let device = Device::flex().autodiff();
        let [queries, keys] = lengths;
        let rows = |length| {
            let x = random([batch, length, heads, channels], &device);
            let x = if contiguous { x.reshape([batch, heads, length, channels]) } else { x.swap_dims(1, 2) };
            x.require_grad()
        };
        let (query, key, value) = (rows(queries), rows(keys), rows(keys));
        let scale = (channels as f64).sqrt().recip();
        let ours = attention(query.clone(), key.clone(), value.clone(), scale, None);
        let scores = query.clone().matmul(key.clone().transpose()).mul_scalar(scale);
        let burns = activation::softmax(scores, 3).matmul(value.clone());
        assert_close("output", &ours.clone().inner(), &burns.clone().inner(), 2.0);
        let factor = random(ours.dims(), &device);
        let ours = (ours * factor.clone()).sum().backward();
        let burns = (burns * factor).sum().backward();
        let magnitude = (queries + channels) as f64;
        for (name, input) in [("query", &query), ("key", &key), ("value", &value)] {
            assert_close(name, &input.grad(&ours).unwrap(), &input.grad(&burns).unwrap(), magnitude);
        }
        // What has no gradients is computed by another way where there is a bias.
        let [query, key, value] = [query, key, value].map(Tensor::inner);
        let bias = random([1, heads, queries, keys], &Device::flex());
        let ours = attention(query.clone(), key.clone(), value.clone(), scale, Some(bias.clone()));
        let scores = query.matmul(key.transpose()).mul_scalar(scale) + bias;
        assert_close("biased", &ours, &activation::softmax(scores, 3).matmul(value), 2.0);
    }
}

#[test]
fn steps_of_the_optimiser_leave_shared_tensors_alone() {
    let device = Device::flex();
    let parameter = Tensor::<1>::from_floats([1.0, 2.0, 3.0], &device);
    let moment = parameter.zeros_like();
    let state = AdamWState { parameter: parameter.clone(), first: moment.clone(), second: moment.clone() };
    let step = AdamWStep { beta1: 0.9, beta2: 0.999, epsilon: 0.0, weight_decay: 0.0, rate: 0.5, step: 1 };
    let gradient = Tensor::from_floats([1.0, -1.0, 4.0], &device);
    let moved = adamw(state, gradient, Tensor::ones([1], &device), step);
    // The first step goes against the sign of the gradient by the learning rate.
    assert_close("parameter", &moved.parameter, &Tensor::from_floats([0.5, 2.5, 2.5], &device), 1.0);
    assert_eq!(numbers(&parameter), [1.0, 2.0, 3.0]);
    assert_eq!(numbers(&moment), [0.0; 3]);

    let average = moving_average(parameter.clone(), moved.parameter, 0.5);
    assert_close("average", &average, &Tensor::from_floats([0.75, 2.25, 2.75], &device), 1.0);
    assert_eq!(numbers(&parameter), [1.0, 2.0, 3.0]);
}

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
fn biases_by_picture_are_those_that_are_added_afterwards() {
    let device = Device::flex().autodiff();
    // By transforms of tiles, and without.
    for [batch, channels, size] in [[4, 16, 16], [3, 5, 7]] {
        let x = random([batch, channels, size, size], &device).require_grad();
        let weight = random([channels, channels, 3, 3], &device).require_grad();
        let bias = random([batch, channels], &device).require_grad();
        let ours = conv2d_biased_by_picture(x.clone(), weight.clone(), bias.clone(), SAME);
        let burns = conv2d(x.clone(), weight.clone(), None, SAME) + bias.clone().unsqueeze_dims::<4>(&[2, 3]);
        assert_close("output", &ours.clone().inner(), &burns.clone().inner(), 10.0);
        let factor = random(ours.dims(), &device);
        let ours = (ours * factor.clone()).sum().backward();
        let burns = (burns * factor).sum().backward();
        let pixels = (size * size) as f64;
        assert_close("bias", &bias.grad(&ours).unwrap(), &bias.grad(&burns).unwrap(), pixels);
        assert_close("input", &x.grad(&ours).unwrap(), &x.grad(&burns).unwrap(), 100.0);
        assert_close("weight", &weight.grad(&ours).unwrap(), &weight.grad(&burns).unwrap(), 1000.0);
    }
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
