//! Attention whose scores are never stored as a whole, and its gradients (Dao et al., "FlashAttention", arXiv 2205.14135;
//! the sums over blocks of keys after Milakov and Gimelshein, arXiv 1805.02867).

mod blocks;
mod forward;
mod gradients;

pub use forward::attention;
pub use gradients::{AttentionGradients, attention_gradients};

/// The shape of an attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionShape {
    /// Sequences.
    pub batch: usize,
    /// Attentions beside each other.
    pub heads: usize,
    /// Length of what asks.
    pub queries: usize,
    /// Length of what is asked; positive.
    pub keys: usize,
    /// Channels of queries and keys, of one head.
    pub channels: usize,
    /// Channels of values and output, of one head.
    pub value_channels: usize,
    /// Multiplies the products of queries and keys.
    pub scale: f32,
}

/// Numbers `[batch, heads, length, channels]` somewhere in memory, those of one row next to each other.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// From the first row on.
    pub numbers: &'a [f32],
    /// From one sequence, head and row to the next.
    pub strides: [usize; 3],
}

impl<'a> Rows<'a> {
    /// Rows of `heads` heads of `channels` channels that lie as `[batch, length, heads, channels]`.
    pub fn interleaved(numbers: &'a [f32], length: usize, heads: usize, channels: usize) -> Self {
        Self { numbers, strides: [length * heads * channels, channels, heads * channels] }
    }

    /// One head of one sequence.
    fn head(self, batch: usize, head: usize, channels: usize) -> Head<'a> {
        let [of_batch, of_head, stride] = self.strides;
        let start = (batch * of_batch + head * of_head).min(self.numbers.len());
        Head { numbers: &self.numbers[start..], stride, channels }
    }
}

/// The rows of one head.
#[derive(Clone, Copy)]
struct Head<'a> {
    numbers: &'a [f32],
    stride: usize,
    channels: usize,
}

impl<'a> Head<'a> {
    fn row(self, index: usize) -> &'a [f32] {
        &self.numbers[index * self.stride..][..self.channels]
    }
}

#[cfg(test)]
mod tests;
