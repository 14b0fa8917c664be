//! The vectors of WebAssembly. There is no choice at run time: a module with such instructions does not load where they are missing.

use std::arch::wasm32::*;

use super::Simd;

/// Four lanes of SIMD128.
#[derive(Clone, Copy)]
pub struct Simd128;

/// Rows and columns exchanged.
#[inline(always)]
fn square([a, b, c, d]: [v128; 4]) -> [v128; 4] {
    let front = |a, b| i32x4_shuffle::<0, 4, 1, 5>(a, b);
    let back = |a, b| i32x4_shuffle::<2, 6, 3, 7>(a, b);
    let pairs = [front(a, b), front(c, d), back(a, b), back(c, d)];
    [
        i64x2_shuffle::<0, 2>(pairs[0], pairs[1]),
        i64x2_shuffle::<1, 3>(pairs[0], pairs[1]),
        i64x2_shuffle::<0, 2>(pairs[2], pairs[3]),
        i64x2_shuffle::<1, 3>(pairs[2], pairs[3]),
    ]
}

impl Simd for Simd128 {
    type V = v128;
    const LANES: usize = 4;
    const REGISTERS: usize = 16;
    #[inline(always)]
    unsafe fn splat(x: f32) -> v128 {
        f32x4_splat(x)
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> v128 {
        // SAFETY: four readable values, by the caller.
        unsafe { v128_load(p.cast()) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: v128) {
        // SAFETY: four writable values, by the caller.
        unsafe { v128_store(p.cast(), v) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> v128 {
        // SAFETY: reads only the first n values.
        unsafe {
            match n {
                0 => f32x4_splat(0.0),
                1 => v128_load32_zero(p.cast()),
                2 => v128_load64_zero(p.cast()),
                _ => v128_load32_lane::<2>(v128_load64_zero(p.cast()), p.add(2).cast()),
            }
        }
    }
    #[inline(always)]
    unsafe fn store_first(p: *mut f32, v: v128, n: usize) {
        // SAFETY: writes only the first n values.
        unsafe {
            match n {
                0 => {}
                1 => v128_store32_lane::<0>(v, p.cast()),
                2 => v128_store64_lane::<0>(v, p.cast()),
                _ => {
                    v128_store64_lane::<0>(v, p.cast());
                    v128_store32_lane::<2>(v, p.add(2).cast());
                }
            }
        }
    }
    #[inline(always)]
    unsafe fn add(a: v128, b: v128) -> v128 {
        f32x4_add(a, b)
    }
    #[inline(always)]
    unsafe fn sub(a: v128, b: v128) -> v128 {
        f32x4_sub(a, b)
    }
    #[inline(always)]
    unsafe fn mul(a: v128, b: v128) -> v128 {
        f32x4_mul(a, b)
    }
    #[inline(always)]
    unsafe fn div(a: v128, b: v128) -> v128 {
        f32x4_div(a, b)
    }
    #[inline(always)]
    unsafe fn fma(a: v128, b: v128, c: v128) -> v128 {
        f32x4_add(f32x4_mul(a, b), c)
    }
    // `pmax` and `pmin` give their first operand where either is NaN.
    #[inline(always)]
    unsafe fn max(a: v128, b: v128) -> v128 {
        f32x4_pmax(b, a)
    }
    #[inline(always)]
    unsafe fn min(a: v128, b: v128) -> v128 {
        f32x4_pmin(b, a)
    }
    #[inline(always)]
    unsafe fn where_positive(a: v128, b: v128) -> v128 {
        v128_and(f32x4_gt(a, f32x4_splat(0.0)), b)
    }
    #[inline(always)]
    unsafe fn round(a: v128) -> v128 {
        f32x4_nearest(a)
    }
    #[inline(always)]
    unsafe fn exp2_int(n: v128) -> v128 {
        // The sum with 1.5 · 2²³ has n in its lowest bits; what stands above them is shifted out.
        let bits = f32x4_add(n, f32x4_splat(12_582_912.0));
        i32x4_shl(i32x4_add(bits, i32x4_splat(127)), 23)
    }
    #[inline(always)]
    unsafe fn sum(a: v128) -> f32 {
        let pair = f32x4_add(a, i64x2_shuffle::<1, 0>(a, a));
        f32x4_extract_lane::<0>(pair) + f32x4_extract_lane::<1>(pair)
    }
    #[inline(always)]
    unsafe fn prefetch(_: *const f32) {}
    #[inline(always)]
    unsafe fn load_phases(p: *const f32) -> [v128; 4] {
        // SAFETY: sixteen readable values, by the caller.
        square([0, 4, 8, 12].map(|place| unsafe { Self::load(p.add(place)) }))
    }
    #[inline(always)]
    unsafe fn store_phases(p: *mut f32, phases: [v128; 4]) {
        for (row, values) in square(phases).into_iter().enumerate() {
            // SAFETY: sixteen writable values, by the caller.
            unsafe { Self::store(p.add(4 * row), values) }
        }
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        // SAFETY: four rows of four values on both sides, by the caller.
        unsafe {
            let rows = [0, 1, 2, 3].map(|y| Self::load(from.add(y * from_row)));
            for (x, values) in square(rows).into_iter().enumerate() {
                Self::store(to.add(x * to_row), values);
            }
        }
    }
}
