//! Working memory that is used again: the system clears every fresh page, which costs as much as a pass over it.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Longest vector of any instruction set, in numbers.
pub const LONGEST: usize = 16;

/// Buffers that are kept, per thread.
const KEPT: usize = 6;

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Numbers of any value, kept for the next who asks on this thread.
///
/// This is no function that calls another with the numbers, because what a closure does inside another function is not
/// compiled for the instruction set around it.
pub struct Scratch {
    buffer: Vec<f32>,
    len: usize,
}

impl Scratch {
    /// `len` numbers.
    pub fn new(len: usize) -> Self {
        let mut buffer = FREE.with_borrow_mut(|free| best_fit(free, len)).unwrap_or_default();
        if buffer.len() < len {
            buffer.resize(len, 0.0);
        }
        Self { buffer, len }
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.buffer[..self.len]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.buffer[..self.len]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        FREE.with_borrow_mut(|free| {
            if free.len() < KEPT {
                free.push(buffer);
            }
        });
    }
}

/// The smallest buffer that is large enough, or else the largest.
fn best_fit(free: &mut Vec<Vec<f32>>, len: usize) -> Option<Vec<f32>> {
    let fits = |buffer: &Vec<f32>| (buffer.len() < len, buffer.len().abs_diff(len));
    let best = (0..free.len()).min_by_key(|i| fits(&free[*i]))?;
    Some(free.swap_remove(best))
}
