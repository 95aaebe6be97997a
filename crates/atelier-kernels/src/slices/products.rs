//! Products of matrices in registers.

use super::simd::{Operation, dispatch};
use pulp::{Simd, WithSimd};

/// Vectors of a tile: with 6 rows of weights, 12 sums in 16 registers.
pub const PANEL: usize = 2;

/// Work in tiles of many rows, or of two thirds of it.
pub trait TileOperation {
    /// Does it; to be inlined.
    fn run<S: Simd, const MANY: usize, const FEW: usize>(self, simd: S);
}

/// Runs `operation` with the widest vectors that this processor has, in tiles that its registers allow.
pub fn dispatch_tiles<O: TileOperation>(operation: O) {
    dispatch(Tiles(operation));
}

struct Tiles<O>(O);

impl<O: TileOperation> WithSimd for Tiles<O> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // In tests, the length of the vectors stands for the instruction set that has them.
        let tested = |lanes| cfg!(test) && S::F32_LANES == lanes;
        if cfg!(target_arch = "wasm32") || tested(4) {
            // Half of the registers go into products that are not fused with the sums. Where they are, larger tiles are
            // slower all the same: browsers keep some registers for themselves.
            self.0.run::<S, 3, 2>(simd);
        } else if S::REGISTER_COUNT >= 32 || tested(16) {
            self.0.run::<S, 12, 8>(simd);
        } else {
            self.0.run::<S, 6, 4>(simd);
        }
    }
}

/// How many of `count` rows are in tiles of many rows, so that few rows are left over or a multiple of few.
#[inline(always)]
pub fn many_rows<const MANY: usize, const FEW: usize>(count: usize) -> usize {
    let even = count.next_multiple_of(MANY - FEW);
    let few = [0, 2, 1][even % MANY / (MANY - FEW)];
    even.saturating_sub(few * FEW) / MANY * MANY
}

/// The second factor: some vectors for each weight of an output channel.
pub trait Columns<S: Simd, const VECTORS: usize>: Copy {
    /// How many weights.
    fn len(&self) -> usize;

    /// The vectors of weight `k`.
    fn get(&self, k: usize) -> [S::f32s; VECTORS];
}

/// Vectors that were copied together.
#[derive(Clone, Copy)]
pub struct Packed<'a, S: Simd>(pub &'a [[S::f32s; PANEL]]);

impl<S: Simd, const VECTORS: usize> Columns<S, VECTORS> for Packed<'_, S> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn get(&self, k: usize) -> [S::f32s; VECTORS] {
        std::array::from_fn(|j| self.0[k][j])
    }
}

/// `sums + rows * columns`: the innermost loop, a function of its own so that all registers are its own.
pub struct Products<'a, S: Simd, T, const ROWS: usize, const VECTORS: usize> {
    pub rows: [&'a [f32]; ROWS],
    pub columns: T,
    pub sums: [[S::f32s; VECTORS]; ROWS],
}

impl<S: Simd, T, const ROWS: usize, const VECTORS: usize> Operation<S> for Products<'_, S, T, ROWS, VECTORS>
where
    T: Columns<S, VECTORS>,
{
    type Output = [[S::f32s; VECTORS]; ROWS];

    #[inline(always)]
    fn run(self, simd: S) -> Self::Output {
        let Self { mut rows, columns, mut sums } = self;
        let depth = columns.len();
        for row in &mut rows {
            *row = &row[..depth];
        }
        for k in 0..depth {
            let columns = columns.get(k);
            for (row, sums) in rows.iter().zip(&mut sums) {
                let weight = simd.splat_f32s(row[k]);
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = simd.mul_add_e_f32s(weight, column, *sum);
                }
            }
        }
        sums
    }
}
