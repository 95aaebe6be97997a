//! Convolutions of pictures and their gradients.

use super::scratch::Scratch;
use super::simd::sum;

mod forward;
mod geometry;
mod regions;
mod weight;
mod winograd;

use forward::{Bias, Forward};
use geometry::Geometry;
use pulp::{Simd, WithSimd};
use weight::WeightGradient;

/// The shape of a convolution (`torch.nn.functional.conv2d` without groups and dilation).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv2dShape {
    /// Pictures.
    pub batch: usize,
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Height and width of the input.
    pub size: [usize; 2],
    /// Height and width of the kernel, both positive.
    pub kernel: [usize; 2],
    /// Pixels from one place of the kernel to the next: down, right; both positive.
    pub stride: [usize; 2],
    /// Zeros around the input: rows above and below it, columns left and right of it.
    pub padding: [(usize, usize); 2],
}

impl Conv2dShape {
    /// Height and width of the output: none if the kernel is larger than the padded input.
    pub fn out(&self) -> Option<[usize; 2]> {
        let places = |i: usize| {
            let (before, after) = self.padding[i];
            Some((self.size[i] + before + after).checked_sub(self.kernel[i])? / self.stride[i] + 1)
        };
        Some([places(0)?, places(1)?])
    }

    /// As the kernels see it.
    fn geometry(&self) -> Geometry {
        Geometry {
            channels: self.in_channels,
            size: self.size,
            spread: [1, 1],
            kernel: self.kernel,
            stride: self.stride,
            offset: self.padding.map(|(before, _)| before as isize),
            out: self.out().unwrap_or_default(),
        }
        .flattened()
    }

    /// The gradient of the input is a convolution too, of the gradient of the output spread out by the strides.
    fn transposed(&self) -> Geometry {
        Geometry {
            channels: self.out_channels,
            size: self.out().unwrap_or_default(),
            spread: self.stride,
            kernel: self.kernel,
            stride: [1, 1],
            offset: [0, 1].map(|i| self.kernel[i] as isize - 1 - self.padding[i].0 as isize),
            out: self.size,
        }
        .flattened()
    }

    fn outputs(&self) -> usize {
        self.batch * self.out_channels * self.out().map_or(0, |[height, width]| height * width)
    }

    fn inputs(&self) -> usize {
        self.batch * self.in_channels * self.size[0] * self.size[1]
    }

    fn weights(&self) -> usize {
        self.out_channels * self.in_channels * self.kernel[0] * self.kernel[1]
    }
}

/// The convolution of `input` `[batch, in_channels, height, width]` with `weight` `[out_channels, in_channels, kernel
/// height, kernel width]`, plus `bias` `[out_channels]`, or `[batch, out_channels]` for one of every picture, in `output`
/// `[batch, out_channels, height, width]`.
///
/// # Panics
///
/// If a slice has another length than `shape` says.
pub fn conv2d(shape: &Conv2dShape, input: &[f32], weight: &[f32], bias: Option<&[f32]>, output: &mut [f32]) {
    check("input", input.len(), shape.inputs());
    check("weight", weight.len(), shape.weights());
    check("output", output.len(), shape.outputs());
    let out_channels = shape.out_channels;
    let bias = bias.map(|numbers| {
        let expected = if numbers.len() == out_channels { out_channels } else { shape.batch * out_channels };
        check("bias", numbers.len(), expected);
        Bias { numbers, out_channels }
    });
    Forward { geometry: &shape.geometry(), input, weight, bias }.run(out_channels, output);
}

/// The gradient with respect to the input of [`conv2d`], in `result` `[batch, in_channels, height, width]`, where
/// `gradient` is that of the output.
///
/// # Panics
///
/// If a slice has another length than `shape` says.
pub fn conv2d_input_gradient(shape: &Conv2dShape, gradient: &[f32], weight: &[f32], result: &mut [f32]) {
    check("gradient", gradient.len(), shape.outputs());
    check("weight", weight.len(), shape.weights());
    check("result", result.len(), shape.inputs());
    let mut turned = Scratch::new(weight.len());
    turn(shape, weight, &mut turned);
    let geometry = shape.transposed();
    Forward { geometry: &geometry, input: gradient, weight: &turned, bias: None }
        .run(shape.in_channels, result);
}

/// The gradient with respect to the weight of [`conv2d`], in `result` `[out_channels, in_channels, kernel height, kernel
/// width]`, where `gradient` is that of the output.
///
/// # Panics
///
/// If a slice has another length than `shape` says.
pub fn conv2d_weight_gradient(shape: &Conv2dShape, input: &[f32], gradient: &[f32], result: &mut [f32]) {
    check("input", input.len(), shape.inputs());
    check("gradient", gradient.len(), shape.outputs());
    check("result", result.len(), shape.weights());
    let geometry = shape.geometry();
    WeightGradient { geometry: &geometry, input, gradient, out_channels: shape.out_channels }.run(result);
}

/// The gradient with respect to the bias of [`conv2d`], in `result` `[out_channels]`, or `[batch, out_channels]` where every
/// picture has its own: the sum of the gradient of each output channel.
///
/// # Panics
///
/// If a slice has another length than `shape` says.
pub fn conv2d_bias_gradient(shape: &Conv2dShape, gradient: &[f32], result: &mut [f32]) {
    check("gradient", gradient.len(), shape.outputs());
    if result.len() != shape.out_channels {
        check("result", result.len(), shape.batch * shape.out_channels);
    }
    result.fill(0.0);
    let pixels = shape.out().map_or(0, |[height, width]| height * width);
    super::simd::dispatch(Sums { gradient, pixels, result });
}

/// Adds the pixels of each channel to its sum.
struct Sums<'a> {
    gradient: &'a [f32],
    pixels: usize,
    result: &'a mut [f32],
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for channels in self.gradient.chunks_exact((self.result.len() * self.pixels).max(1)) {
            for (total, plane) in self.result.iter_mut().zip(channels.chunks_exact(self.pixels)) {
                *total += sum(simd, plane);
            }
        }
    }
}

/// The weights of the convolution that gives the gradient of the input: `[in_channels, out_channels, kernel height,
/// kernel width]`, turned by half a circle.
fn turn(shape: &Conv2dShape, weight: &[f32], turned: &mut [f32]) {
    let kernel = shape.kernel[0] * shape.kernel[1];
    if weight.is_empty() {
        return;
    }
    for (output, weights) in weight.chunks_exact(shape.in_channels * kernel).enumerate() {
        for (input, weights) in weights.chunks_exact(kernel).enumerate() {
            let target = &mut turned[(input * shape.out_channels + output) * kernel..][..kernel];
            for (target, weight) in target.iter_mut().rev().zip(weights) {
                *target = *weight;
            }
        }
    }
}

fn check(name: &str, found: usize, expected: usize) {
    assert_eq!(found, expected, "the {name} of a convolution has another length than its shape says");
}

#[cfg(test)]
mod tests;
