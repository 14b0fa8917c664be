//! Matrix products of strided views, by the `gemm` crate.

use gemm::Parallelism;

/// A matrix in memory: element (r, c) lies at `start + r · row + c · col`.
#[derive(Clone, Copy)]
pub struct View<P> {
    /// Element (0, 0).
    pub start: P,
    /// Step to the next row.
    pub row: usize,
    /// Step to the next column.
    pub col: usize,
}

impl<P> View<P> {
    /// Rows one behind the other, `row` values apart.
    pub fn rows(start: P, row: usize) -> Self {
        Self { start, row, col: 1 }
    }

    /// The same values with rows and columns exchanged.
    pub fn t(self) -> Self {
        Self {
            start: self.start,
            row: self.col,
            col: self.row,
        }
    }
}

/// dst (m, n) = lhs (m, k) · rhs (k, n), plus the old dst if `add`. The result does not depend on the number of threads.
///
/// # Safety
/// All elements of the three views are inside live allocations, initialised (dst only if `add`), those of dst distinct,
/// and nobody else writes to any of them meanwhile.
pub unsafe fn matmul(
    (m, n, k): (usize, usize, usize),
    dst: View<*mut f32>,
    add: bool,
    lhs: View<*const f32>,
    rhs: View<*const f32>,
    parallel: bool,
) {
    let threads = if parallel {
        Parallelism::Rayon(0)
    } else {
        Parallelism::None
    };
    // SAFETY: by the caller. gemm computes alpha · dst + beta · lhs · rhs and leaves dst unread if told so.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.start,
            dst.col as isize,
            dst.row as isize,
            add,
            lhs.start,
            lhs.col as isize,
            lhs.row as isize,
            rhs.start,
            rhs.col as isize,
            rhs.row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            threads,
        );
    }
}
