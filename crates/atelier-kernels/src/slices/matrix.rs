//! Products of matrices.

use super::products::{Columns, PANEL, Packed, Products, TileOperation, dispatch_tiles, many_rows};
use super::scratch::Scratch;
use super::simd::{apart, load, store};
use super::threads;
use pulp::Simd;
use std::ops::Range;

/// Products at once, so that a panel of the second factor stays in the first cache.
const DEPTH: usize = 320;
/// Rows of the first factor at once, so that they stay in the second cache; a multiple of the rows of every tile.
const ROWS: usize = 192;
/// Products from which on a second thread is worth waking.
const TASK: usize = 1 << 17;

/// A matrix somewhere in memory.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// From the first number on.
    pub numbers: &'a [f32],
    /// From one row to the next.
    pub row: usize,
    /// From one column to the next.
    pub column: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` numbers one after another.
    pub fn rows(numbers: &'a [f32], columns: usize) -> Self {
        Self { numbers, row: columns, column: 1 }
    }

    /// The same matrix with rows for columns.
    pub fn transposed(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }

    /// `count` numbers of row `row` from `first` on, which lie together.
    fn line(&self, row: usize, first: usize, count: usize) -> &'a [f32] {
        debug_assert!(self.column == 1 || count < 2, "numbers of a row lie apart");
        &self.numbers[row * self.row + first..][..count]
    }

    /// Whether the numbers of a row lie together.
    fn has_lines(&self) -> bool {
        self.column == 1
    }
}

/// `[rows, depth]` times `[depth, columns]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProductShape {
    /// Rows of the first factor and of the product.
    pub rows: usize,
    /// Columns of the first factor and rows of the second.
    pub depth: usize,
    /// Columns of the second factor and of the product.
    pub columns: usize,
}

/// The product of `first` and `second`, plus `bias` `[columns]` in every row, in `result` `[rows, columns]`.
///
/// # Panics
///
/// If a slice has another length than `shape` says, or a matrix ends before it should.
pub fn product(
    shape: &ProductShape,
    first: Matrix<'_>,
    second: Matrix<'_>,
    bias: Option<&[f32]>,
    result: &mut [f32],
) {
    let ProductShape { rows, depth, columns } = *shape;
    assert_eq!(result.len(), rows * columns, "a product has another length than its shape says");
    assert_eq!(bias.map_or(columns, <[f32]>::len), columns, "a bias has another length than its shape says");
    if result.is_empty() {
        return;
    }
    let [rows_each, columns_each] = split(shape);
    let mut tasks = Vec::new();
    for (index, band) in result.chunks_mut(rows_each * columns).enumerate() {
        let first_row = index * rows_each;
        let rows = first_row..first_row + band.len() / columns;
        let begin = tasks.len();
        for start in (0..columns).step_by(columns_each) {
            let columns = start..columns.min(start + columns_each);
            tasks.push(Task { depth, first, second, bias, rows: rows.clone(), columns, result: Vec::new() });
        }
        for line in band.chunks_exact_mut(columns) {
            for (task, part) in tasks[begin..].iter_mut().zip(line.chunks_mut(columns_each)) {
                task.result.push(part);
            }
        }
    }
    threads::for_each(tasks, dispatch_tiles);
}

/// Rows and columns of one task.
fn split(shape: &ProductShape) -> [usize; 2] {
    let ProductShape { rows, depth, columns } = *shape;
    let threads = threads::count();
    let tasks = (rows * depth * columns / TASK).min(if threads == 1 { 1 } else { 4 * threads });
    if tasks < 2 {
        return [rows, columns];
    }
    // A task puts its columns in order once, so that many columns of few rows are less to do than the other way round.
    let panels = columns.div_ceil(32);
    if rows >= tasks * ROWS / 4 || panels < tasks {
        let bands = tasks.min(rows.div_ceil(24));
        let slices = tasks.div_ceil(bands).min(panels);
        [rows.div_ceil(bands).next_multiple_of(12), panels.div_ceil(slices) * 32]
    } else {
        [rows, panels.div_ceil(tasks) * 32]
    }
}

/// Some columns of some rows of the product.
struct Task<'a, 'b> {
    depth: usize,
    first: Matrix<'a>,
    second: Matrix<'a>,
    bias: Option<&'a [f32]>,
    rows: Range<usize>,
    columns: Range<usize>,
    /// The columns of each row.
    result: Vec<&'b mut [f32]>,
}

impl TileOperation for Task<'_, '_> {
    #[inline(always)]
    fn run<S: Simd, const MANY: usize, const FEW: usize>(mut self, simd: S) {
        let panel = PANEL * S::F32_LANES;
        // In parts of about the same size.
        let blocks = self.depth.div_ceil(DEPTH).max(1);
        let depth = self.depth.div_ceil(blocks).max(1);
        let width = self.columns.len().next_multiple_of(panel);
        let mut packed = Scratch::new(depth * width);
        let mut lines = Scratch::new(if self.first.has_lines() { 0 } else { ROWS * depth });
        for block in 0..blocks {
            let depths = block * depth..self.depth.min((block + 1) * depth);
            let mut panels = packed.chunks_exact_mut((depths.len() * panel).max(1));
            for first in self.columns.clone().step_by(panel) {
                let columns = first..self.columns.end.min(first + panel);
                pack(self.second, &depths, &columns, panel, panels.next().unwrap_or_default());
            }
            for start in (0..self.result.len()).step_by(ROWS) {
                let count = ROWS.min(self.result.len() - start);
                let mut rows: [&[f32]; ROWS] = [&[]; ROWS];
                if self.first.has_lines() {
                    for (i, row) in rows.iter_mut().enumerate().take(count) {
                        *row = self.first.line(self.rows.start + start + i, depths.start, depths.len());
                    }
                } else {
                    gather(self.first, self.rows.start + start, count, &depths, &mut lines);
                    for (row, line) in
                        rows.iter_mut().zip(lines.chunks_exact(depths.len().max(1))).take(count)
                    {
                        *row = line;
                    }
                }
                let panels = packed.chunks_exact((depths.len() * panel).max(1));
                for (index, packed) in panels.enumerate() {
                    let column = index * panel;
                    if column >= self.columns.len() {
                        break;
                    }
                    let columns = Packed::<S>(S::as_simd_f32s(packed).0.as_chunks().0);
                    let target = Target {
                        start,
                        columns: column..self.columns.len().min(column + panel),
                        add: block > 0,
                    };
                    self.panel::<S, MANY, FEW>(simd, &rows[..count], columns, &target);
                }
            }
        }
    }
}

impl Task<'_, '_> {
    /// The products of some rows with one panel.
    #[inline(always)]
    fn panel<S: Simd, const MANY: usize, const FEW: usize>(
        &mut self,
        simd: S,
        rows: &[&[f32]],
        columns: Packed<'_, S>,
        target: &Target,
    ) {
        let many = many_rows::<MANY, FEW>(rows.len()).min(rows.len());
        for start in (0..many).step_by(MANY) {
            self.tile::<S, MANY>(simd, &rows[start..many], columns, target, start);
        }
        for start in (many..rows.len()).step_by(FEW) {
            self.tile::<S, FEW>(simd, &rows[start..], columns, target, start);
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const TILE: usize>(
        &mut self,
        simd: S,
        rows: &[&[f32]],
        columns: impl Columns<S, PANEL>,
        target: &Target,
        start: usize,
    ) {
        let count = TILE.min(rows.len());
        // Rows that are too many repeat the last one and are not written.
        let all: [&[f32]; TILE] = std::array::from_fn(|i| rows[i.min(count - 1)]);
        let mut sums = [[simd.splat_f32s(0.0); PANEL]; TILE];
        let parts = |j: usize| {
            let first = (target.columns.start + j * S::F32_LANES).min(target.columns.end);
            first..target.columns.end.min(first + S::F32_LANES)
        };
        if target.add {
            for (i, sums) in sums.iter_mut().enumerate().take(count) {
                let line = &self.result[target.start + start + i];
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = load(simd, &line[parts(j)]);
                }
            }
        } else if let Some(bias) = self.bias {
            let bias = &bias[self.columns.clone()];
            let bias = std::array::from_fn(|j| load(simd, &bias[parts(j)]));
            sums = [bias; TILE];
        }
        let sums = apart(simd, Products { rows: all, columns, sums });
        for (i, sums) in sums.iter().enumerate().take(count) {
            let line = &mut self.result[target.start + start + i];
            for (j, sum) in sums.iter().enumerate() {
                store(simd, &mut line[parts(j)], *sum);
            }
        }
    }
}

/// Where in a task's result a panel goes.
struct Target {
    /// The first row.
    start: usize,
    columns: Range<usize>,
    /// Whether it is added to what is there.
    add: bool,
}

/// Some columns of some rows, in lines of `panel` numbers; columns that are too many are zero.
#[inline(always)]
fn pack(matrix: Matrix<'_>, rows: &Range<usize>, columns: &Range<usize>, panel: usize, packed: &mut [f32]) {
    let lines = packed.chunks_exact_mut(panel);
    if matrix.has_lines() {
        for (line, row) in lines.zip(rows.clone()) {
            let numbers = matrix.line(row, columns.start, columns.len());
            if let [numbers] = numbers.as_chunks::<16>().0
                && let [line] = line.as_chunks_mut::<16>().0
            {
                *line = *numbers;
            } else {
                line[..numbers.len()].copy_from_slice(numbers);
                line[numbers.len()..].fill(0.0);
            }
        }
        return;
    }
    // Each column of the panel is a line of the transposed matrix.
    let across = matrix.transposed();
    if columns.len() < panel {
        packed.fill(0.0);
    }
    for (column, index) in columns.clone().enumerate() {
        let places = packed[column..].iter_mut().step_by(panel);
        if across.has_lines() {
            for (place, number) in places.zip(across.line(index, rows.start, rows.len())) {
                *place = *number;
            }
        } else {
            for (place, row) in places.zip(rows.clone()) {
                *place = matrix.numbers[row * matrix.row + index * matrix.column];
            }
        }
    }
}

/// `count` rows from `first` on, some columns of each, one after another.
#[inline(always)]
fn gather(matrix: Matrix<'_>, first: usize, count: usize, columns: &Range<usize>, lines: &mut [f32]) {
    let length = columns.len();
    for (index, column) in columns.clone().enumerate() {
        let start = first * matrix.row + column * matrix.column;
        let places = lines[index..].iter_mut().step_by(length).take(count);
        if matrix.row == 0 {
            // All rows are the same.
            places.for_each(|place| *place = matrix.numbers[start]);
        } else {
            let numbers = matrix.numbers[start..].iter().step_by(matrix.row);
            places.zip(numbers).for_each(|(place, number)| *place = *number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simd::tests::{numbers, with_every_length};
    use super::*;
    use proptest::prelude::*;

    fn check(shape: &ProductShape, [first_across, second_across, biased]: [bool; 3]) {
        let ProductShape { rows, depth, columns } = *shape;
        let (a, b, bias) = (numbers(1, rows * depth), numbers(2, depth * columns), numbers(3, columns));
        let matrix = |numbers, lines, columns, across| {
            if across { Matrix::rows(numbers, lines).transposed() } else { Matrix::rows(numbers, columns) }
        };
        let first = matrix(a.as_slice(), rows, depth, first_across);
        let second = matrix(b.as_slice(), depth, columns, second_across);
        let bias = biased.then_some(bias.as_slice());
        let at = |m: Matrix<'_>, i: usize, j: usize| f64::from(m.numbers[i * m.row + j * m.column]);
        with_every_length(|| {
            let mut result = vec![f32::NAN; rows * columns];
            product(shape, first, second, bias, &mut result);
            for (index, found) in result.iter().enumerate() {
                let (i, j) = (index / columns, index % columns);
                let (mut sum, mut magnitude) = (bias.map_or(0.0, |bias| f64::from(bias[j])), 1.0);
                for k in 0..depth {
                    let term = at(first, i, k) * at(second, k, j);
                    sum += term;
                    magnitude += term.abs();
                }
                // Rounding is proportional to what is summed.
                let error = (f64::from(*found) - sum).abs();
                assert!(error <= 1e-6 * magnitude, "[{i}, {j}]: {found} instead of {sum} in {shape:?}");
            }
        });
    }

    #[test]
    fn products_larger_than_every_block_agree_with_plain_sums() {
        for [rows, depth, columns] in [[1, 1, 1], [400, 700, 50], [13, 330, 200], [2, 64, 513], [200, 3, 3]] {
            check(&ProductShape { rows, depth, columns }, [false, false, true]);
            check(&ProductShape { rows, depth, columns }, [true, true, false]);
        }
    }

    #[test]
    fn rows_may_be_repeated() {
        let first = Matrix { numbers: &[1.0, 2.0, 3.0, 4.0], row: 0, column: 2 };
        let shape = ProductShape { rows: 2, depth: 2, columns: 1 };
        let mut result = [f32::NAN; 2];
        product(&shape, first, Matrix::rows(&[1.0, 10.0], 1), None, &mut result);
        assert_eq!(result, [31.0, 31.0]);
    }

    #[test]
    fn a_product_without_depth_is_the_bias() {
        let shape = ProductShape { rows: 2, depth: 0, columns: 2 };
        let mut result = [f32::NAN; 4];
        product(&shape, Matrix::rows(&[], 0), Matrix::rows(&[], 2), Some(&[1.0, 2.0]), &mut result);
        assert_eq!(result, [1.0, 2.0, 1.0, 2.0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn products_agree_with_plain_sums(
            rows in 1..60_usize,
            depth in 1..90_usize,
            columns in 1..90_usize,
            options: [bool; 3],
        ) {
            check(&ProductShape { rows, depth, columns }, options);
        }
    }
}
