//! The vectors of x86-64.

use std::arch::x86_64::*;

use super::Simd;

/// Eight lanes of AVX2 with FMA.
#[derive(Clone, Copy)]
pub struct Avx2;

#[inline(always)]
unsafe fn first(n: usize) -> __m256i {
    // SAFETY: AVX2 arithmetic on constants; the caller runs at that level.
    unsafe {
        let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), lane)
    }
}

/// Rows and columns exchanged in the two squares that four vectors have in their halves.
#[inline(always)]
unsafe fn squares(rows: [__m256; 4]) -> [__m256; 4] {
    // SAFETY: AVX shuffles; the caller runs at that level.
    unsafe {
        let pairs = [
            _mm256_castps_pd(_mm256_unpacklo_ps(rows[0], rows[1])),
            _mm256_castps_pd(_mm256_unpacklo_ps(rows[2], rows[3])),
            _mm256_castps_pd(_mm256_unpackhi_ps(rows[0], rows[1])),
            _mm256_castps_pd(_mm256_unpackhi_ps(rows[2], rows[3])),
        ];
        [
            _mm256_castpd_ps(_mm256_unpacklo_pd(pairs[0], pairs[1])),
            _mm256_castpd_ps(_mm256_unpackhi_pd(pairs[0], pairs[1])),
            _mm256_castpd_ps(_mm256_unpacklo_pd(pairs[2], pairs[3])),
            _mm256_castpd_ps(_mm256_unpackhi_pd(pairs[2], pairs[3])),
        ]
    }
}

/// Sixteen lanes of AVX-512.
#[derive(Clone, Copy)]
pub struct Avx512;

simd!(Avx2, __m256, 8, 16, {
    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        // SAFETY: level of the caller.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m256 {
        // SAFETY: eight readable values, by the caller.
        unsafe { _mm256_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m256) {
        // SAFETY: eight writable values, by the caller.
        unsafe { _mm256_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> __m256 {
        // SAFETY: masked lanes are not touched.
        unsafe { _mm256_maskload_ps(p, first(n)) }
    }
    #[inline(always)]
    unsafe fn store_first(p: *mut f32, v: __m256, n: usize) {
        // SAFETY: masked lanes are not touched.
        unsafe { _mm256_maskstore_ps(p, first(n), v) }
    }
    #[inline(always)]
    unsafe fn exp2_int(n: __m256) -> __m256 {
        // SAFETY: level of the caller.
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
        }
    }
    #[inline(always)]
    unsafe fn sum(a: __m256) -> f32 {
        // SAFETY: level of the caller.
        unsafe {
            let half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
            _mm_cvtss_f32(_mm_add_ss(pair, _mm_shuffle_ps::<1>(pair, pair)))
        }
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const f32) {
        // SAFETY: a hint, which no address makes fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn load_phases(p: *const f32) -> [__m256; 4] {
        // SAFETY: 32 readable values, by the caller.
        unsafe {
            let [a, b, c, d] = [0, 8, 16, 24].map(|place| _mm256_loadu_ps(p.add(place)));
            // Fours 0 and 4, 1 and 5, 2 and 6, 3 and 7.
            squares([
                _mm256_permute2f128_ps::<0x20>(a, c),
                _mm256_permute2f128_ps::<0x31>(a, c),
                _mm256_permute2f128_ps::<0x20>(b, d),
                _mm256_permute2f128_ps::<0x31>(b, d),
            ])
        }
    }
    #[inline(always)]
    unsafe fn store_phases(p: *mut f32, phases: [__m256; 4]) {
        // SAFETY: 32 writable values, by the caller.
        unsafe {
            let [a, b, c, d] = squares(phases);
            _mm256_storeu_ps(p, _mm256_permute2f128_ps::<0x20>(a, b));
            _mm256_storeu_ps(p.add(8), _mm256_permute2f128_ps::<0x20>(c, d));
            _mm256_storeu_ps(p.add(16), _mm256_permute2f128_ps::<0x31>(a, b));
            _mm256_storeu_ps(p.add(24), _mm256_permute2f128_ps::<0x31>(c, d));
        }
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        // SAFETY: eight rows of eight values on both sides, by the caller.
        unsafe {
            let mut rows = [_mm256_setzero_ps(); 8];
            for (y, row) in rows.iter_mut().enumerate() {
                *row = _mm256_loadu_ps(from.add(y * from_row));
            }
            let upper = squares([rows[0], rows[1], rows[2], rows[3]]);
            let lower = squares([rows[4], rows[5], rows[6], rows[7]]);
            for x in 0..4 {
                let low = _mm256_permute2f128_ps::<0x20>(upper[x], lower[x]);
                let high = _mm256_permute2f128_ps::<0x31>(upper[x], lower[x]);
                _mm256_storeu_ps(to.add(x * to_row), low);
                _mm256_storeu_ps(to.add((4 + x) * to_row), high);
            }
        }
    }
},
    add(a, b) = _mm256_add_ps(a, b);
    sub(a, b) = _mm256_sub_ps(a, b);
    mul(a, b) = _mm256_mul_ps(a, b);
    div(a, b) = _mm256_div_ps(a, b);
    fma(a, b, c) = _mm256_fmadd_ps(a, b, c);
    max(a, b) = _mm256_max_ps(a, b);
    min(a, b) = _mm256_min_ps(a, b);
    where_positive(a, b) = _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(a, _mm256_setzero_ps()), b);
    round(a) = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
);

simd!(Avx512, __m512, 16, 32, {
    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        // SAFETY: level of the caller.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m512 {
        // SAFETY: sixteen readable values, by the caller.
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m512) {
        // SAFETY: sixteen writable values, by the caller.
        unsafe { _mm512_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> __m512 {
        // SAFETY: masked lanes are not touched.
        unsafe { _mm512_maskz_loadu_ps(((1u32 << n) - 1) as __mmask16, p) }
    }
    #[inline(always)]
    unsafe fn store_first(p: *mut f32, v: __m512, n: usize) {
        // SAFETY: masked lanes are not touched.
        unsafe { _mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as __mmask16, v) }
    }
    #[inline(always)]
    unsafe fn exp2_int(n: __m512) -> __m512 {
        // SAFETY: level of the caller.
        unsafe {
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
        }
    }
    #[inline(always)]
    unsafe fn sum(a: __m512) -> f32 {
        // SAFETY: level of the caller.
        unsafe { _mm512_reduce_add_ps(a) }
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const f32) {
        // SAFETY: a hint, which no address makes fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn load_phases(p: *const f32) -> [__m512; 4] {
        // SAFETY: 64 readable values, by the caller.
        unsafe {
            let [a, b, c, d] = [0, 16, 32, 48].map(|place| _mm512_loadu_ps(p.add(place)));
            // Of two vectors the first two phases, eight values each, and the last two.
            let first = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
            let last = _mm512_setr_epi32(2, 6, 10, 14, 18, 22, 26, 30, 3, 7, 11, 15, 19, 23, 27, 31);
            let (front, back) = (
                [_mm512_permutex2var_ps(a, first, b), _mm512_permutex2var_ps(a, last, b)],
                [_mm512_permutex2var_ps(c, first, d), _mm512_permutex2var_ps(c, last, d)],
            );
            [
                _mm512_shuffle_f32x4::<0x44>(front[0], back[0]),
                _mm512_shuffle_f32x4::<0xee>(front[0], back[0]),
                _mm512_shuffle_f32x4::<0x44>(front[1], back[1]),
                _mm512_shuffle_f32x4::<0xee>(front[1], back[1]),
            ]
        }
    }
    #[inline(always)]
    unsafe fn store_phases(p: *mut f32, [a, b, c, d]: [__m512; 4]) {
        // SAFETY: 64 writable values, by the caller.
        unsafe {
            // Pairs of the first two phases and of the last two, eight at a time, then fours.
            let front = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let back = _mm512_add_epi32(front, _mm512_set1_epi32(8));
            let upper = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
            let lower = _mm512_add_epi64(upper, _mm512_set1_epi64(4));
            for (half, pairs) in [front, back].into_iter().enumerate() {
                let first = _mm512_castps_pd(_mm512_permutex2var_ps(a, pairs, b));
                let last = _mm512_castps_pd(_mm512_permutex2var_ps(c, pairs, d));
                for (quarter, fours) in [upper, lower].into_iter().enumerate() {
                    let fours = _mm512_permutex2var_pd(first, fours, last);
                    _mm512_storeu_ps(p.add(32 * half + 16 * quarter), _mm512_castpd_ps(fours));
                }
            }
        }
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        // SAFETY: sixteen rows of sixteen values on both sides, by the caller.
        unsafe {
            let mut rows = [_mm512_setzero_ps(); 16];
            for (y, row) in rows.iter_mut().enumerate() {
                *row = _mm512_loadu_ps(from.add(y * from_row));
            }
            // Pairs of rows, then fours, each within the quarters of a vector.
            let mut fours = [_mm512_setzero_ps(); 16];
            for (rows, fours) in rows.chunks_exact(4).zip(fours.chunks_exact_mut(4)) {
                let pairs = [
                    _mm512_castps_pd(_mm512_unpacklo_ps(rows[0], rows[1])),
                    _mm512_castps_pd(_mm512_unpacklo_ps(rows[2], rows[3])),
                    _mm512_castps_pd(_mm512_unpackhi_ps(rows[0], rows[1])),
                    _mm512_castps_pd(_mm512_unpackhi_ps(rows[2], rows[3])),
                ];
                fours[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(pairs[0], pairs[1]));
                fours[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(pairs[0], pairs[1]));
                fours[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(pairs[2], pairs[3]));
                fours[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(pairs[2], pairs[3]));
            }
            // Then quarters: 0x88 takes the even ones of two vectors, 0xdd the odd ones.
            for x in 0..4 {
                let (a, b) = (fours[x], fours[4 + x]);
                let (c, d) = (fours[8 + x], fours[12 + x]);
                let (upper, lower) = (
                    _mm512_shuffle_f32x4::<0x88>(a, b),
                    _mm512_shuffle_f32x4::<0x88>(c, d),
                );
                _mm512_storeu_ps(to.add(x * to_row), _mm512_shuffle_f32x4::<0x88>(upper, lower));
                _mm512_storeu_ps(to.add((8 + x) * to_row), _mm512_shuffle_f32x4::<0xdd>(upper, lower));
                let (upper, lower) = (
                    _mm512_shuffle_f32x4::<0xdd>(a, b),
                    _mm512_shuffle_f32x4::<0xdd>(c, d),
                );
                _mm512_storeu_ps(to.add((4 + x) * to_row), _mm512_shuffle_f32x4::<0x88>(upper, lower));
                _mm512_storeu_ps(to.add((12 + x) * to_row), _mm512_shuffle_f32x4::<0xdd>(upper, lower));
            }
        }
    }
},
    add(a, b) = _mm512_add_ps(a, b);
    sub(a, b) = _mm512_sub_ps(a, b);
    mul(a, b) = _mm512_mul_ps(a, b);
    div(a, b) = _mm512_div_ps(a, b);
    fma(a, b, c) = _mm512_fmadd_ps(a, b, c);
    max(a, b) = _mm512_max_ps(a, b);
    min(a, b) = _mm512_min_ps(a, b);
    where_positive(a, b) = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, _mm512_setzero_ps()), b);
    round(a) = _mm512_roundscale_ps::<0>(a);
);
