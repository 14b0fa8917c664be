//! The vectors of 64-bit ARM, all of whose processors have them.

use std::arch::aarch64::*;

use super::Simd;

/// Four lanes of NEON.
#[derive(Clone, Copy)]
pub struct Neon;

/// Rows and columns exchanged.
#[inline(always)]
unsafe fn square([a, b, c, d]: [float32x4_t; 4]) -> [float32x4_t; 4] {
    // SAFETY: NEON shuffles; the caller runs at that level.
    unsafe {
        let low = [
            vreinterpretq_f64_f32(vtrn1q_f32(a, b)),
            vreinterpretq_f64_f32(vtrn2q_f32(a, b)),
        ];
        let high = [
            vreinterpretq_f64_f32(vtrn1q_f32(c, d)),
            vreinterpretq_f64_f32(vtrn2q_f32(c, d)),
        ];
        [
            vreinterpretq_f32_f64(vtrn1q_f64(low[0], high[0])),
            vreinterpretq_f32_f64(vtrn1q_f64(low[1], high[1])),
            vreinterpretq_f32_f64(vtrn2q_f64(low[0], high[0])),
            vreinterpretq_f32_f64(vtrn2q_f64(low[1], high[1])),
        ]
    }
}

simd!(Neon, float32x4_t, 4, 32, {
    #[inline(always)]
    unsafe fn splat(x: f32) -> float32x4_t {
        // SAFETY: level of the caller.
        unsafe { vdupq_n_f32(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> float32x4_t {
        // SAFETY: four readable values, by the caller.
        unsafe { vld1q_f32(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: float32x4_t) {
        // SAFETY: four writable values, by the caller.
        unsafe { vst1q_f32(p, v) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> float32x4_t {
        // SAFETY: reads only the first n values.
        unsafe {
            match n {
                0 => vdupq_n_f32(0.0),
                1 => vld1q_lane_f32::<0>(p, vdupq_n_f32(0.0)),
                2 => vcombine_f32(vld1_f32(p), vdup_n_f32(0.0)),
                _ => {
                    let pair = vcombine_f32(vld1_f32(p), vdup_n_f32(0.0));
                    vld1q_lane_f32::<2>(p.add(2), pair)
                }
            }
        }
    }
    #[inline(always)]
    unsafe fn store_first(p: *mut f32, v: float32x4_t, n: usize) {
        // SAFETY: writes only the first n values.
        unsafe {
            match n {
                0 => {}
                1 => vst1q_lane_f32::<0>(p, v),
                2 => vst1_f32(p, vget_low_f32(v)),
                _ => {
                    vst1_f32(p, vget_low_f32(v));
                    vst1q_lane_f32::<2>(p.add(2), v);
                }
            }
        }
    }
    #[inline(always)]
    unsafe fn exp2_int(n: float32x4_t) -> float32x4_t {
        // SAFETY: level of the caller.
        unsafe {
            let exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent))
        }
    }
    #[inline(always)]
    unsafe fn sum(a: float32x4_t) -> f32 {
        // SAFETY: level of the caller.
        unsafe { vaddvq_f32(a) }
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const f32) {
        // SAFETY: a hint, which no address makes fault.
        unsafe {
            std::arch::asm!("prfm pldl1keep, [{p}]", p = in(reg) p, options(nostack, readonly, preserves_flags));
        }
    }
    #[inline(always)]
    unsafe fn load_phases(p: *const f32) -> [float32x4_t; 4] {
        // SAFETY: sixteen readable values, by the caller.
        let phases = unsafe { vld4q_f32(p) };
        [phases.0, phases.1, phases.2, phases.3]
    }
    #[inline(always)]
    unsafe fn store_phases(p: *mut f32, [a, b, c, d]: [float32x4_t; 4]) {
        // SAFETY: sixteen writable values, by the caller.
        unsafe { vst4q_f32(p, float32x4x4_t(a, b, c, d)) }
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        // SAFETY: four rows of four values on both sides, by the caller.
        unsafe {
            let rows = [
                vld1q_f32(from),
                vld1q_f32(from.add(from_row)),
                vld1q_f32(from.add(2 * from_row)),
                vld1q_f32(from.add(3 * from_row)),
            ];
            for (x, values) in square(rows).into_iter().enumerate() {
                vst1q_f32(to.add(x * to_row), values);
            }
        }
    }
},
    add(a, b) = vaddq_f32(a, b);
    sub(a, b) = vsubq_f32(a, b);
    mul(a, b) = vmulq_f32(a, b);
    div(a, b) = vdivq_f32(a, b);
    fma(a, b, c) = vfmaq_f32(c, a, b);
    // `vmaxq` and `vminq` would give NaN where either is NaN.
    max(a, b) = vbslq_f32(vcgtq_f32(a, b), a, b);
    min(a, b) = vbslq_f32(vcltq_f32(a, b), a, b);
    where_positive(a, b) = vbslq_f32(vcgtzq_f32(a), b, vdupq_n_f32(0.0));
    round(a) = vrndnq_f32(a);
);
