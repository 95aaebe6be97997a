//! Attention.

#[cfg(feature = "flex")]
mod extension;

use burn::tensor::{Tensor, activation, module, ops::AttentionModuleOptions};

/// `softmax(scale query keyᵀ + bias) value` ("Attention Is All You Need", equation 1), of `[batch, heads, length,
/// channels]`; `bias` broadcasts to `[batch, heads, queries, keys]`. Returns `[batch, heads, queries, value channels]`.
///
/// Without a bias, on the processor, no scores are stored, forward or backward; with one, or elsewhere, gradients need the
/// scores. A score that is not a number may give any weight: only values that are none are sure to be seen in the result.
///
/// # Panics
///
/// If the shapes do not fit together, or there are no keys.
pub fn attention(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    scale: f64,
    bias: Option<Tensor<4>>,
) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if bias.is_none() && [&query, &key, &value].into_iter().all(crate::flex::has_kernels) {
        return extension::attention(query, key, value, scale);
    }
    if [&query, &key, &value].into_iter().chain(&bias).all(|tensor| !tensor.is_autodiff()) {
        let options = AttentionModuleOptions { scale: Some(scale), ..AttentionModuleOptions::default() };
        let shape = [query.dims()[0], query.dims()[1], query.dims()[2], key.dims()[2]];
        return module::attention(query, key, value, None, bias.map(|bias| bias.expand(shape)), options);
    }
    // The scale belongs to the scores, but the query is the smaller tensor.
    let scores = (query * scale).matmul(key.transpose());
    let scores = match bias {
        Some(bias) => scores + bias,
        None => scores,
    };
    activation::softmax(scores, 3).matmul(value)
}
