//! Sweeps over slices by whole vectors with one shorter last step.

use super::simd::Simd;

/// Runs a block for `$i` = 0, LANES, … below `$total` with `$n` values left for that step: LANES, or fewer in the last.
macro_rules! sweep {
    ($S:ident, $total:expr, |$i:ident, $n:ident| $body:block) => {{
        let total: usize = $total;
        let mut $i = 0;
        while $i + $S::LANES <= total {
            let $n = $S::LANES;
            $body
            $i += $S::LANES;
        }
        if $i < total {
            let $n = total - $i;
            $body
        }
    }};
}
pub(crate) use sweep;

/// The first `n ≤ LANES` values, zeros behind.
///
/// # Safety
/// As [`Simd`], `n` values readable.
#[inline(always)]
pub unsafe fn load<S: Simd>(p: *const f32, n: usize) -> S::V {
    // SAFETY: the caller vouches for n values.
    unsafe {
        if n == S::LANES {
            S::load(p)
        } else {
            S::load_first(p, n)
        }
    }
}

/// The first `n ≤ LANES` lanes to memory.
///
/// # Safety
/// As [`Simd`], `n` values writable.
#[inline(always)]
pub unsafe fn store<S: Simd>(p: *mut f32, v: S::V, n: usize) {
    // SAFETY: the caller vouches for n values.
    unsafe {
        if n == S::LANES {
            S::store(p, v);
        } else {
            S::store_first(p, v, n);
        }
    }
}

/// `v` with all but the first `n ≤ LANES` lanes zero.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
pub unsafe fn keep<S: Simd>(v: S::V, n: usize) -> S::V {
    const ONES: [f32; 16] = [1.0; 16];
    if n == S::LANES {
        return v;
    }
    // SAFETY: n < LANES ≤ 16 constants are read.
    unsafe { S::where_positive(S::load_first(ONES.as_ptr(), n), v) }
}
