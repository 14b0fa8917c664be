//! Vectors of `f32` at the width the processor has, chosen at run time; for WebAssembly and ARM when it is compiled.
//!
//! A kernel is one generic `#[inline(always)] unsafe fn kernel<S: Simd>(…)`; [`dispatch!`] compiles it once per level and
//! makes a safe function that runs the best one. `VENULE_SIMD=portable|avx2|avx512` lowers the level, for tests.

use std::sync::OnceLock;

/// Instruction sets the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Plain Rust, which the compiler vectorises for the target's base (SSE2).
    Portable,
    /// SIMD128 of WebAssembly.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Simd128,
    /// NEON of 64-bit ARM.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
fn detected() -> Level {
    Level::Simd128
}

#[cfg(target_arch = "aarch64")]
fn detected() -> Level {
    Level::Neon
}

#[cfg(not(any(
    target_arch = "aarch64",
    all(target_arch = "wasm32", target_feature = "simd128")
)))]
fn detected() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        if avx2 && avx512 {
            return Level::Avx512;
        }
        if avx2 {
            return Level::Avx2;
        }
    }
    Level::Portable
}

/// The level all kernels run at: the processor's, or a lower one asked for by `VENULE_SIMD`.
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        let wanted = match std::env::var("VENULE_SIMD").as_deref() {
            Ok("portable") => Level::Portable,
            Ok("avx2") => Level::Avx2,
            _ => Level::Avx512,
        };
        wanted.min(detected())
    })
}

/// What the registers hold while a kernel sums products: outputs by vectors, with room for the operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterTile {
    /// Outputs, each of which broadcasts its factor.
    pub outputs: usize,
    /// Vectors that every factor is multiplied with.
    pub vectors: usize,
    /// `f32` values per vector.
    pub lanes: usize,
}

/// The register tile of the level all kernels run at: 24 sums in 32 registers, 12 in 16. With one more factor in flight the
/// compiler would spill a sum, whose way through memory halves the speed.
pub fn register_tile() -> RegisterTile {
    let (outputs, vectors, lanes) = match level() {
        Level::Avx512 => (8, 3, 16),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Level::Simd128 => (6, 2, 4),
        #[cfg(target_arch = "aarch64")]
        Level::Neon => (8, 3, 4),
        Level::Avx2 | Level::Portable => (6, 2, 8),
    };
    RegisterTile {
        outputs,
        vectors,
        lanes,
    }
}

/// One vector of `f32` and its arithmetic.
///
/// # Safety
/// Every method may be called only where the processor has the implementing level's instructions; pointers must be valid
/// for the lanes read or written. They need no alignment.
pub trait Simd: Copy {
    /// The vector.
    type V: Copy;
    /// `f32` values per vector.
    const LANES: usize;
    /// Vectors that the processor holds at once.
    const REGISTERS: usize;
    /// All lanes `x`.
    unsafe fn splat(x: f32) -> Self::V;
    /// `LANES` values from `p`.
    unsafe fn load(p: *const f32) -> Self::V;
    /// `LANES` values to `p`.
    unsafe fn store(p: *mut f32, v: Self::V);
    /// The first `n < LANES` values from `p`, zeros behind.
    unsafe fn load_first(p: *const f32, n: usize) -> Self::V;
    /// The first `n < LANES` lanes to `p`.
    unsafe fn store_first(p: *mut f32, v: Self::V, n: usize);
    /// a + b.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// a − b.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// a · b.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// a / b.
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// a · b + c (fused where the processor can).
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Larger of each pair; `b` if either is NaN.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// Smaller of each pair; `b` if either is NaN.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// `b` where the lane of `a` is > 0, else 0.
    unsafe fn where_positive(a: Self::V, b: Self::V) -> Self::V;
    /// Nearest integer, ties to even, for |x| < 2²².
    unsafe fn round(a: Self::V) -> Self::V;
    /// 2ⁿ for integral n in −126 ..= 127.
    unsafe fn exp2_int(n: Self::V) -> Self::V;
    /// Sum of all lanes, in a fixed order.
    unsafe fn sum(a: Self::V) -> f32;
    /// Tells the processor that the value at `p`, which need not be valid, will be read soon.
    unsafe fn prefetch(p: *const f32);
    /// Of `4 · LANES` values from `p` every fourth: those that begin with the first, second, third and fourth.
    unsafe fn load_phases(p: *const f32) -> [Self::V; 4];
    /// The inverse of [`load_phases`](Self::load_phases).
    unsafe fn store_phases(p: *mut f32, phases: [Self::V; 4]);
    /// A square of `LANES` rows from `from`, `from_row` values apart, to `to` with rows and columns exchanged.
    unsafe fn transpose(from: *const f32, from_row: usize, to: *mut f32, to_row: usize);
}

/// eˣ, relative error about 1e-7; 0 below −87.3, clamped above 88; NaN of NaN.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
pub unsafe fn exp<S: Simd>(x: S::V) -> S::V {
    // SAFETY: only arithmetic of the caller's level.
    unsafe {
        // In this order `min` and `max` keep a NaN.
        let clamped = S::max(S::splat(-87.3), S::min(S::splat(88.0), x));
        let n = S::round(S::mul(clamped, S::splat(std::f32::consts::LOG2_E)));
        // ln 2 in two parts keeps the reduced argument exact (Cody & Waite).
        let r = S::fma(n, S::splat(-0.693_359_4), clamped);
        let r = S::fma(n, S::splat(2.121_944_4e-4), r);
        let mut p = S::splat(1.987_569_1e-4);
        p = S::fma(p, r, S::splat(1.398_199_9e-3));
        p = S::fma(p, r, S::splat(8.333_452e-3));
        p = S::fma(p, r, S::splat(4.166_579_6e-2));
        p = S::fma(p, r, S::splat(1.666_666_5e-1));
        p = S::fma(p, r, S::splat(5e-1));
        let value = S::fma(S::mul(r, r), p, S::add(r, S::splat(1.0)));
        let value = S::mul(value, S::exp2_int(n));
        S::sub(value, S::where_positive(S::sub(S::splat(-87.3), x), value))
    }
}

/// Eight lanes of plain Rust.
#[derive(Clone, Copy)]
pub struct Portable;

#[inline(always)]
fn zip(a: [f32; 8], b: [f32; 8], f: impl Fn(f32, f32) -> f32) -> [f32; 8] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl Simd for Portable {
    type V = [f32; 8];
    const LANES: usize = 8;
    const REGISTERS: usize = 16;
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; 8]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        // SAFETY: the caller vouches for eight readable values; arrays of f32 read unaligned.
        unsafe { p.cast::<[f32; 8]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        // SAFETY: the caller vouches for eight writable values.
        unsafe { p.cast::<[f32; 8]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self::V {
        // SAFETY: reads only the first n values.
        std::array::from_fn(|i| if i < n { unsafe { *p.add(i) } } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn store_first(p: *mut f32, v: Self::V, n: usize) {
        for (i, value) in v.into_iter().enumerate().take(n) {
            // SAFETY: writes only the first n values.
            unsafe { *p.add(i) = value }
        }
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    unsafe fn where_positive(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| if a > 0.0 { b } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn round(a: Self::V) -> Self::V {
        // 1.5 · 2²³: the sum has no fraction bits left.
        a.map(|x| (x + 12_582_912.0) - 12_582_912.0)
    }
    #[inline(always)]
    unsafe fn exp2_int(n: Self::V) -> Self::V {
        n.map(|n| f32::from_bits((((n as i32) + 127) as u32) << 23))
    }
    #[inline(always)]
    unsafe fn sum(a: Self::V) -> f32 {
        ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
    }
    #[inline(always)]
    unsafe fn prefetch(_: *const f32) {}
    #[inline(always)]
    unsafe fn load_phases(p: *const f32) -> [Self::V; 4] {
        // SAFETY: the caller vouches for 32 readable values.
        std::array::from_fn(|k| std::array::from_fn(|i| unsafe { *p.add(4 * i + k) }))
    }
    #[inline(always)]
    unsafe fn store_phases(p: *mut f32, phases: [Self::V; 4]) {
        for (k, phase) in phases.into_iter().enumerate() {
            for (i, value) in phase.into_iter().enumerate() {
                // SAFETY: the caller vouches for 32 writable values.
                unsafe { *p.add(4 * i + k) = value }
            }
        }
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        for y in 0..8 {
            for x in 0..8 {
                // SAFETY: the caller vouches for eight rows of eight values on both sides.
                unsafe { *to.add(x * to_row + y) = *from.add(y * from_row + x) }
            }
        }
    }
}

/// Implements [`Simd`] for vectors whose instructions are unsafe to call: what is written out, and lane arithmetic in one expression each.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! simd {
    ($name:ident, $vector:ty, $lanes:expr, $registers:expr, { $($body:tt)* }, $($method:ident($($arg:ident),+) = $call:expr;)*) => {
        impl Simd for $name {
            type V = $vector;
            const LANES: usize = $lanes;
            const REGISTERS: usize = $registers;
            $($body)*
            $(
                #[inline(always)]
                unsafe fn $method($($arg: Self::V),+) -> Self::V {
                    // SAFETY: lane arithmetic of the level the caller runs at.
                    unsafe { $call }
                }
            )*
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

#[cfg(target_arch = "aarch64")]
mod neon;

#[cfg(target_arch = "aarch64")]
pub use neon::Neon;

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub use wasm::Simd128;

/// Makes a safe function that runs a generic kernel at the processor's level.
///
/// `dispatch! { /// doc … fn name(args) = kernel }` needs `#[inline(always)] unsafe fn kernel<S: Simd>(args)`; the kernel's
/// only safety condition beyond its arguments must be the level.
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $kernel:ident) => {
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                unsafe fn avx512($($arg: $ty),*) {
                    // SAFETY: this function is entered only at that level.
                    unsafe { $kernel::<$crate::cpu::simd::Avx512>($($arg),*) }
                }
                #[target_feature(enable = "avx2,fma")]
                unsafe fn avx2($($arg: $ty),*) {
                    // SAFETY: this function is entered only at that level.
                    unsafe { $kernel::<$crate::cpu::simd::Avx2>($($arg),*) }
                }
                match $crate::cpu::simd::level() {
                    // SAFETY: `level` has found these instructions.
                    $crate::cpu::simd::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: `level` has found these instructions.
                    $crate::cpu::simd::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::cpu::simd::Level::Portable => {}
                }
            }
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            if $crate::cpu::simd::level() == $crate::cpu::simd::Level::Simd128 {
                // SAFETY: the whole module is compiled for these instructions.
                return unsafe { $kernel::<$crate::cpu::simd::Simd128>($($arg),*) };
            }
            #[cfg(target_arch = "aarch64")]
            if $crate::cpu::simd::level() == $crate::cpu::simd::Level::Neon {
                // SAFETY: all processors of this architecture have these instructions.
                return unsafe { $kernel::<$crate::cpu::simd::Neon>($($arg),*) };
            }
            // SAFETY: plain Rust runs everywhere.
            unsafe { $kernel::<$crate::cpu::simd::Portable>($($arg),*) }
        }
    };
}
pub(crate) use dispatch;

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(always)]
    unsafe fn exp_kernel<S: Simd>(values: &mut [f32]) {
        for chunk in values.chunks_mut(S::LANES) {
            let n = chunk.len();
            // SAFETY: loads and stores stay within the chunk.
            unsafe {
                if n == S::LANES {
                    S::store(chunk.as_mut_ptr(), exp::<S>(S::load(chunk.as_ptr())));
                } else {
                    let v = exp::<S>(S::load_first(chunk.as_ptr(), n));
                    S::store_first(chunk.as_mut_ptr(), v, n);
                }
            }
        }
    }
    dispatch! { fn exp_in_place(values: &mut [f32]) = exp_kernel }

    fn check(run: impl Fn(&mut [f32])) {
        let xs: Vec<f32> = (-8700..8800).map(|i| i as f32 * 0.01).collect();
        let mut ys = xs.clone();
        run(&mut ys);
        for (&x, &y) in xs.iter().zip(&ys) {
            let exact = f64::from(x).exp();
            assert!(
                (f64::from(y) - exact).abs() <= 3e-7 * exact,
                "exp({x}) = {y}"
            );
        }
        let mut edge = [-1e4, -88.0, f32::NEG_INFINITY, 0.0];
        run(&mut edge);
        assert_eq!(edge, [0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn exp_matches_f64_at_every_level() {
        check(exp_in_place);
        // SAFETY: plain Rust.
        check(|v| unsafe { exp_kernel::<Portable>(v) });
    }

    #[inline(always)]
    unsafe fn transpose_kernel<S: Simd>(from: &[f32], row: usize, to: &mut [f32]) {
        assert!(from.len() == S::LANES * row && to.len() == S::LANES * row && row >= S::LANES);
        // SAFETY: both sides hold LANES rows of at least LANES values.
        unsafe { S::transpose(from.as_ptr(), row, to.as_mut_ptr(), row) }
    }
    dispatch! { fn transpose_square(from: &[f32], row: usize, to: &mut [f32]) = transpose_kernel }

    fn check_transpose(lanes: usize, run: impl Fn(&[f32], usize, &mut [f32])) {
        let row = lanes + 3;
        let from: Vec<f32> = (0..lanes * row).map(|i| i as f32).collect();
        let mut to = vec![-1.0; lanes * row];
        run(&from, row, &mut to);
        for (place, value) in to.iter().enumerate() {
            let (y, x) = (place / row, place % row);
            let expected = if x < lanes { from[x * row + y] } else { -1.0 };
            assert_eq!(*value, expected, "row {y}, column {x}");
        }
    }

    #[test]
    fn a_transposed_square_has_rows_and_columns_exchanged() {
        check_transpose(register_tile().lanes, transpose_square);
        // SAFETY: plain Rust.
        check_transpose(8, |from, row, to| unsafe {
            transpose_kernel::<Portable>(from, row, to)
        });
    }

    #[inline(always)]
    unsafe fn phases_kernel<S: Simd>(from: &[f32], phases: &mut [f32], back: &mut [f32]) {
        assert!([from.len(), phases.len(), back.len()] == [4 * S::LANES; 3]);
        // SAFETY: each side holds four vectors.
        unsafe {
            let found = S::load_phases(from.as_ptr());
            for (phase, target) in found.into_iter().zip(phases.chunks_exact_mut(S::LANES)) {
                S::store(target.as_mut_ptr(), phase);
            }
            S::store_phases(back.as_mut_ptr(), found);
        }
    }
    dispatch! { fn phases(from: &[f32], phases: &mut [f32], back: &mut [f32]) = phases_kernel }

    fn check_phases(lanes: usize, run: impl Fn(&[f32], &mut [f32], &mut [f32])) {
        let from: Vec<f32> = (0..4 * lanes).map(|i| i as f32).collect();
        let (mut phases, mut back) = (vec![-1.0; 4 * lanes], vec![-1.0; 4 * lanes]);
        run(&from, &mut phases, &mut back);
        for (place, value) in phases.iter().enumerate() {
            assert_eq!(*value, from[4 * (place % lanes) + place / lanes], "{place}");
        }
        assert_eq!(back, from);
    }

    #[test]
    fn phases_are_every_fourth_value_and_go_back_to_their_places() {
        check_phases(register_tile().lanes, phases);
        // SAFETY: plain Rust.
        check_phases(8, |from, found, back| unsafe {
            phases_kernel::<Portable>(from, found, back)
        });
    }
}
