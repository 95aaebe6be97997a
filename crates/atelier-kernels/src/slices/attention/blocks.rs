//! Matrices in the order in which products read them, and products of blocks.

use super::super::products::{Columns, PANEL, Packed, Products, many_rows};
use super::super::scratch::Scratch;
use super::super::simd::apart;
use super::Head;
use pulp::Simd;

/// Queries at once; a multiple of the rows of every tile.
pub const QUERIES: usize = 48;
/// Keys at once, so that the scores stay in the second cache; a multiple of every panel.
pub const KEYS: usize = 256;

/// `count` rows of `head` from `first` on.
#[inline(always)]
pub fn block(head: Head<'_>, first: usize, count: usize) -> [&[f32]; QUERIES] {
    let mut rows: [&[f32]; QUERIES] = [&[]; QUERIES];
    for (i, row) in rows.iter_mut().enumerate().take(count) {
        *row = head.row(first + i);
    }
    rows
}

/// The first `count` numbers of lines of `KEYS`.
#[inline(always)]
pub fn beginnings(numbers: &[f32], count: usize) -> [&[f32]; QUERIES] {
    let mut rows: [&[f32]; QUERIES] = [&[]; QUERIES];
    for (row, line) in rows.iter_mut().zip(numbers.chunks_exact(KEYS)) {
        *row = &line[..count];
    }
    rows
}

/// Columns of a panel.
pub const fn panel<S: Simd>() -> usize {
    PANEL * S::F32_LANES
}

/// A matrix whose columns are in panels, and of a panel the rows one after another.
pub struct Panels {
    numbers: Scratch,
    depth: usize,
}

impl Panels {
    /// The channels of the rows of `head` are the columns.
    #[inline(always)]
    pub fn of_channels<S: Simd>(head: Head<'_>, rows: usize) -> Self {
        let panel = panel::<S>();
        let mut numbers = Scratch::new(rows * head.channels.next_multiple_of(panel));
        for (index, panels) in numbers.chunks_exact_mut((rows * panel).max(1)).enumerate() {
            let first = index * panel;
            let count = panel.min(head.channels - first);
            for (row, target) in panels.chunks_exact_mut(panel).enumerate() {
                target[..count].copy_from_slice(&head.row(row)[first..first + count]);
                target[count..].fill(0.0);
            }
        }
        Self { numbers, depth: rows }
    }

    /// The rows of `head`, times `scale`, are the columns.
    #[inline(always)]
    pub fn of_rows<S: Simd>(head: Head<'_>, rows: usize, scale: f32) -> Self {
        let panel = panel::<S>();
        let mut numbers = Scratch::new(rows.next_multiple_of(panel) * head.channels);
        for (index, target) in numbers.chunks_exact_mut((head.channels * panel).max(1)).enumerate() {
            let first = index * panel;
            let count = panel.min(rows - first);
            for column in 0..panel {
                // Columns that are too many are zero.
                let row = if column < count { head.row(first + column) } else { &[] };
                let places = target[column..].iter_mut().step_by(panel);
                for (place, number) in places.zip(row.iter().map(|x| scale * x).chain(std::iter::repeat(0.0)))
                {
                    *place = number;
                }
            }
        }
        Self { numbers, depth: head.channels }
    }

    /// Rows `first..first + count` of panel `index`.
    #[inline(always)]
    pub fn get<S: Simd>(&self, index: usize, first: usize, count: usize) -> Packed<'_, S> {
        let panel = panel::<S>();
        let numbers = &self.numbers[(index * self.depth + first) * panel..][..count * panel];
        Packed(S::as_simd_f32s(numbers).0.as_chunks().0)
    }
}

/// Some columns of a matrix whose rows lie one after another.
#[derive(Clone, Copy)]
pub struct Lines<'a> {
    pub numbers: &'a [f32],
    pub stride: usize,
    pub first: usize,
    pub rows: usize,
}

impl<S: Simd> Columns<S, PANEL> for Lines<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    fn get(&self, k: usize) -> [S::f32s; PANEL] {
        let start = k * self.stride + self.first;
        let vectors = S::as_simd_f32s(&self.numbers[start..start + PANEL * S::F32_LANES]).0;
        std::array::from_fn(|j| vectors[j])
    }
}

/// `rows`, as long as there are `columns`, times these: added to or written to a panel of lines of `target` that are
/// `stride` numbers apart.
#[inline(always)]
pub fn multiply<S: Simd, const MANY: usize, const FEW: usize>(
    simd: S,
    rows: &[&[f32]],
    columns: impl Columns<S, PANEL>,
    target: &mut [f32],
    stride: usize,
    add: bool,
) {
    let many = many_rows::<MANY, FEW>(rows.len()).min(rows.len());
    let (first, last) = rows.split_at(many);
    for (index, rows) in first.chunks(MANY).enumerate() {
        tile::<S, MANY>(simd, rows, columns, &mut target[index * MANY * stride..], stride, add);
    }
    for (index, rows) in last.chunks(FEW).enumerate() {
        tile::<S, FEW>(simd, rows, columns, &mut target[(many + index * FEW) * stride..], stride, add);
    }
}

#[inline(always)]
fn tile<S: Simd, const ROWS: usize>(
    simd: S,
    rows: &[&[f32]],
    columns: impl Columns<S, PANEL>,
    target: &mut [f32],
    stride: usize,
    add: bool,
) {
    let panel = panel::<S>();
    // Rows that are too many repeat the last one and are not written.
    let all: [&[f32]; ROWS] = std::array::from_fn(|i| rows[i.min(rows.len() - 1)]);
    let mut sums = [[simd.splat_f32s(0.0); PANEL]; ROWS];
    if add {
        for (i, sums) in sums.iter_mut().enumerate().take(rows.len()) {
            sums.copy_from_slice(S::as_simd_f32s(&target[i * stride..][..panel]).0);
        }
    }
    let sums = apart(simd, Products { rows: all, columns, sums });
    for (i, sums) in sums.iter().enumerate().take(rows.len()) {
        S::as_mut_simd_f32s(&mut target[i * stride..][..panel]).0.copy_from_slice(sums);
    }
}
