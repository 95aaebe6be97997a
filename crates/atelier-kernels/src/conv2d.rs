//! Convolutions of pictures.

#[cfg(feature = "flex")]
mod extension;

use burn::tensor::{Tensor, module, ops::ConvOptions};

/// How a kernel goes over a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dOptions {
    /// Pixels from one place to the next: down, right; both positive.
    pub stride: [usize; 2],
    /// Zeros around the picture: rows above and below it, columns left and right of it.
    pub padding: [(usize, usize); 2],
}

/// `x` `[batch, in_channels, height, width]` convolved with `weight` `[out_channels, in_channels, kernel height, kernel
/// width]`, plus `bias` `[out_channels]` (`torch.nn.functional.conv2d`): `[batch, out_channels, height, width]`.
///
/// # Panics
///
/// If the channels of `x` and `weight` differ, or the kernel is larger than the padded picture.
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, options: Conv2dOptions) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if crate::flex::has_kernels(&x)
        && crate::flex::has_kernels(&weight)
        && bias.as_ref().is_none_or(crate::flex::has_kernels)
    {
        return extension::conv2d(x, weight, bias, options);
    }
    composed(x, weight, bias, options)
}

/// As [`conv2d`], plus `bias` `[batch, out_channels]`, one for every picture.
///
/// # Panics
///
/// As [`conv2d`], or if there are not as many biases as pictures and channels.
pub fn conv2d_biased_by_picture(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<2>,
    options: Conv2dOptions,
) -> Tensor<4> {
    assert_eq!(bias.dims(), [x.dims()[0], weight.dims()[0]], "biases by picture and output channel");
    #[cfg(feature = "flex")]
    if crate::flex::has_kernels(&x) && crate::flex::has_kernels(&weight) && crate::flex::has_kernels(&bias) {
        return extension::conv2d(x, weight, Some(bias), options);
    }
    composed(x, weight, None, options) + bias.unsqueeze_dims::<4>(&[2, 3])
}

/// The same of burn's own operations.
fn composed(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, options: Conv2dOptions) -> Tensor<4> {
    let Conv2dOptions { stride, padding } = options;
    let [.., height, width] = weight.dims();
    if [height, width] == [1, 1] && stride == [1, 1] && padding == [(0, 0); 2] {
        let output = mix_channels(x, weight);
        return match bias {
            Some(bias) => output + bias.unsqueeze_dims::<4>(&[0, 2, 3]),
            None => output,
        };
    }
    module::conv2d(x, weight, bias, ConvOptions::new_with_padding(stride, padding, [1, 1], 1))
}

/// A 1x1 convolution with `weight` `[out_channels, in_channels, 1, 1]`, as a product of matrices: burn's gradient of a
/// convolution's weights costs three times as much, as it is made for large kernels.
fn mix_channels(x: Tensor<4>, weight: Tensor<4>) -> Tensor<4> {
    let [batch, in_channels, height, width] = x.dims();
    let [out_channels, ..] = weight.dims();
    let pixels = x.reshape([batch, in_channels, height * width]);
    let product = weight.reshape([1, out_channels, in_channels]).matmul(pixels);
    product.reshape([batch, out_channels, height, width])
}
