use super::super::simd::tests::{numbers, with_every_length};
use super::*;
use proptest::prelude::*;

/// Calls `visit` with the indices of output, input and weight of every product.
fn products(shape: &Conv2dShape, mut visit: impl FnMut(usize, usize, usize)) {
    let [out_height, out_width] = shape.out().unwrap();
    let ([height, width], [kernel_height, kernel_width]) = (shape.size, shape.kernel);
    for n in 0..shape.batch {
        for o in 0..shape.out_channels {
            for y in 0..out_height {
                for x in 0..out_width {
                    let output = ((n * shape.out_channels + o) * out_height + y) * out_width + x;
                    for c in 0..shape.in_channels {
                        for i in 0..kernel_height {
                            for j in 0..kernel_width {
                                let row = (y * shape.stride[0] + i).checked_sub(shape.padding[0].0);
                                let column = (x * shape.stride[1] + j).checked_sub(shape.padding[1].0);
                                let (Some(row), Some(column)) = (row, column) else { continue };
                                if row < height && column < width {
                                    let input = ((n * shape.in_channels + c) * height + row) * width + column;
                                    let weight =
                                        ((o * shape.in_channels + c) * kernel_height + i) * kernel_width + j;
                                    visit(output, input, weight);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Errors are relative to the sum of the magnitudes, which is what rounding is proportional to.
#[track_caller]
fn assert_close(name: &str, found: &[f32], expected: &[(f64, f64)]) {
    for (i, (found, (sum, magnitude))) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - sum).abs();
        assert!(error <= 3e-6 * magnitude + 1e-12, "{name}[{i}]: {found} instead of {sum}");
    }
}

fn check_all(shape: &Conv2dShape) {
    let input = numbers(1, shape.inputs());
    let weight = numbers(2, shape.weights());
    let bias = numbers(3, shape.out_channels);
    let gradient = numbers(4, shape.outputs());
    let mut output = vec![(0.0, 0.0); shape.outputs()];
    let pixels = shape.out().map_or(1, |[height, width]| height * width);
    for (i, (sum, magnitude)) in output.iter_mut().enumerate() {
        let bias = f64::from(bias[i / pixels % shape.out_channels]);
        (*sum, *magnitude) = (bias, bias.abs());
    }
    let mut input_gradient = vec![(0.0, 0.0); shape.inputs()];
    let mut weight_gradient = vec![(0.0, 0.0); shape.weights()];
    products(shape, |o, i, w| {
        let add = |sum: &mut (f64, f64), a: f32, b: f32| {
            let product = f64::from(a) * f64::from(b);
            sum.0 += product;
            sum.1 += product.abs();
        };
        add(&mut output[o], input[i], weight[w]);
        add(&mut input_gradient[i], gradient[o], weight[w]);
        add(&mut weight_gradient[w], input[i], gradient[o]);
    });
    let mut bias_gradient = vec![(0.0, 0.0); shape.out_channels];
    for (i, gradient) in gradient.iter().enumerate() {
        let sum = &mut bias_gradient[i / pixels % shape.out_channels];
        sum.0 += f64::from(*gradient);
        sum.1 += f64::from(gradient.abs());
    }
    with_every_length(|| {
        // Whatever was there must be overwritten.
        let mut found = vec![f32::NAN; shape.outputs()];
        conv2d(shape, &input, &weight, Some(&bias), &mut found);
        assert_close("output", &found, &output);
        let mut found = vec![f32::NAN; shape.inputs()];
        conv2d_input_gradient(shape, &gradient, &weight, &mut found);
        assert_close("gradient of the input", &found, &input_gradient);
        let mut found = vec![f32::NAN; shape.weights()];
        conv2d_weight_gradient(shape, &input, &gradient, &mut found);
        assert_close("gradient of the weight", &found, &weight_gradient);
        let mut found = vec![f32::NAN; shape.out_channels];
        conv2d_bias_gradient(shape, &gradient, &mut found);
        assert_close("gradient of the bias", &found, &bias_gradient);
    });
}

fn shape(batch: usize, channels: [usize; 2], size: [usize; 2], kernel: usize, stride: usize) -> Conv2dShape {
    let [in_channels, out_channels] = channels;
    let padding = [(kernel / 2, kernel / 2); 2];
    Conv2dShape { batch, in_channels, out_channels, size, kernel: [kernel; 2], stride: [stride; 2], padding }
}

#[test]
fn the_shapes_of_a_unet_agree_with_plain_sums() {
    check_all(&shape(2, [4, 32], [32, 32], 3, 1));
    check_all(&shape(3, [32, 20], [16, 16], 3, 1));
    check_all(&shape(5, [40, 32], [8, 8], 3, 1));
    check_all(&shape(2, [33, 17], [16, 16], 3, 2));
    check_all(&shape(2, [70, 40], [16, 16], 1, 1));
    check_all(&shape(1, [3, 8], [8, 520], 3, 1));
    check_all(&Conv2dShape { padding: [(0, 1); 2], ..shape(2, [8, 8], [16, 16], 3, 2) });
}

#[test]
fn transformed_products_agree_with_plain_sums() {
    check_all(&shape(1, [16, 18], [32, 33], 3, 1));
    check_all(&shape(16, [17, 23], [8, 8], 3, 1));
    check_all(&shape(5, [32, 16], [15, 19], 3, 1));
    check_all(&Conv2dShape { padding: [(0, 2), (2, 1)], ..shape(2, [20, 40], [24, 24], 3, 1) });
}

#[test]
fn many_products_agree_with_plain_sums() {
    check_all(&shape(1, [300, 9], [4, 8], 3, 1));
}

#[test]
fn nothing_is_written_for_no_pictures_and_no_gradient_comes_from_them() {
    let shape = shape(0, [3, 5], [8, 8], 3, 1);
    conv2d(&shape, &[], &numbers(1, shape.weights()), None, &mut []);
    let mut gradient = vec![f32::NAN; shape.weights()];
    conv2d_weight_gradient(&shape, &[], &[], &mut gradient);
    assert!(gradient.iter().all(|g| *g == 0.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 24 } else { 96 }))]

    #[test]
    fn every_shape_agrees_with_plain_sums(
        batch in 1..4_usize,
        in_channels in 1..20_usize,
        out_channels in 1..20_usize,
        size in prop::array::uniform2(1..19_usize),
        kernel in prop::array::uniform2(1..5_usize),
        stride in prop::array::uniform2(1..4_usize),
        padding in prop::array::uniform2((0..4_usize, 0..4_usize)),
    ) {
        let shape = Conv2dShape { batch, in_channels, out_channels, size, kernel, stride, padding };
        prop_assume!(shape.out().is_some());
        check_all(&shape);
    }
}
