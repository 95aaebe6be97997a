//! Memory that is used again: the system clears every fresh page, which costs as much as a pass over it.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Longest vector of any instruction set, in numbers.
pub const LONGEST: usize = 16;

/// Fewer numbers are as quickly had from the allocator.
pub const SMALLEST: usize = 1 << 12;
/// How many numbers are kept at the most: 64 MiB.
const KEPT: usize = 1 << 24;

/// Buffers that nobody uses, those that were given back last at the end.
struct Free {
    buffers: Vec<Vec<f32>>,
    numbers: usize,
}

static FREE: Mutex<Free> = Mutex::new(Free { buffers: Vec::new(), numbers: 0 });

fn free() -> MutexGuard<'static, Free> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `len` numbers of any value, in a buffer that may be a quarter larger.
pub fn take(len: usize) -> Vec<f32> {
    let found = if len < SMALLEST { None } else { free().best_fit(len) };
    let mut buffer = found.unwrap_or_default();
    if buffer.capacity() < len {
        return vec![0.0; len];
    }
    buffer.resize(len, 0.0);
    buffer
}

/// Keeps `buffer` for the next who takes one.
pub fn give(buffer: Vec<f32>) {
    if buffer.capacity() < SMALLEST || buffer.capacity() > KEPT {
        return;
    }
    let mut free = free();
    free.numbers += buffer.capacity();
    free.buffers.push(buffer);
    while free.numbers > KEPT {
        let oldest = free.buffers.remove(0);
        free.numbers -= oldest.capacity();
    }
}

impl Free {
    /// The smallest buffer that is large enough, and not much too large.
    fn best_fit(&mut self, len: usize) -> Option<Vec<f32>> {
        let fits = |buffer: &Vec<f32>| (len..=len + len / 4).contains(&buffer.capacity());
        let indices = (0..self.buffers.len()).rev().filter(|i| fits(&self.buffers[*i]));
        let best = indices.min_by_key(|i| self.buffers[*i].capacity())?;
        let buffer = self.buffers.remove(best);
        self.numbers -= buffer.capacity();
        Some(buffer)
    }
}

/// Numbers of any value, given back in the end.
///
/// This is no function that calls another with the numbers, because what a closure does inside another function is not
/// compiled for the instruction set around it.
pub struct Scratch(Vec<f32>);

impl Scratch {
    /// `len` numbers.
    pub fn new(len: usize) -> Self {
        Self(take(len))
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_if_they_fit() {
        // A length that no other test uses.
        let len = 7_654_321;
        let mut buffer = vec![0.0; len];
        buffer[0] = 3.0;
        give(buffer);
        assert_eq!(take(len / 2)[0], 0.0, "much too large for this");
        let again = take(len - 1);
        assert_eq!((again.len(), again[0]), (len - 1, 3.0));
        give(again);
        let whole = take(len);
        assert_eq!((whole.len(), whole[0], whole[len - 1]), (len, 3.0, 0.0));
    }
}
