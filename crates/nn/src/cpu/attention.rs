//! Multi-head attention over a joint projection (B, T, [q|k|v][head][D]) without a stored T×T matrix.
//!
//! A task takes a block of queries of one head and holds their scores in scratch memory as [key][query]: matrix products
//! then read q, k and v in place, and the softmax runs along vector lanes with no sum across them.

use rayon::prelude::*;

use super::lanes::{load, sweep};
use super::matmul::{View, matmul};
use super::scratch::with_scratch;
use super::simd::{Simd, dispatch, exp};

/// Sizes of one attention call.
#[derive(Clone, Copy)]
pub struct Sizes {
    /// B.
    pub batch: usize,
    /// T.
    pub tokens: usize,
    /// Heads per token.
    pub heads: usize,
    /// D, values per head.
    pub depth: usize,
}

/// Queries handled together at most.
const BLOCK: usize = 192;
/// Queries that one tile of the matrix product takes.
const TILE: usize = 64;
/// Scores held at once, to stay in the second-level cache.
const HELD: usize = 384 * 1024;
/// Widest vector.
const WIDE: usize = 16;

#[derive(Clone, Copy)]
struct Target(*mut f32);
// SAFETY: tasks write disjoint parts, as each use says.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// # Safety
    /// `offset` must lie inside the allocation.
    unsafe fn at(self, offset: usize) -> *mut f32 {
        // SAFETY: by the caller.
        unsafe { self.0.add(offset) }
    }
}

impl Sizes {
    fn width(self) -> usize {
        self.heads * self.depth
    }

    fn scale(self) -> f32 {
        1.0 / (self.depth as f32).sqrt()
    }

    /// Queries per task when `matrices` score matrices are held; depends on the sizes alone.
    fn block(self, matrices: usize) -> usize {
        let fitting = HELD / matrices / self.tokens / TILE * TILE;
        fitting.clamp(TILE, BLOCK).min(self.tokens)
    }

    /// Where head `head` of sample `sample` begins in a row-major (B, T, row) tensor.
    fn start(self, sample: usize, head: usize, row: usize) -> usize {
        sample * self.tokens * row + head * self.depth
    }
}

/// The result (B, T, C) and, per (sample, head, query), the logarithm of the sum of exponentials of the scaled scores.
pub fn attention(qkv: &[f32], sizes: Sizes) -> (Vec<f32>, Vec<f32>) {
    let Sizes {
        batch,
        tokens,
        heads,
        depth,
    } = sizes;
    let (width, row) = (sizes.width(), 3 * sizes.width());
    assert_eq!(qkv.len(), batch * tokens * row);
    let block = sizes.block(1);
    let blocks = tokens.div_ceil(block);
    let mut out = Vec::with_capacity(batch * tokens * width);
    let mut lse = vec![0.0; batch * heads * tokens];
    let target = Target(out.as_mut_ptr());
    let sums: Vec<&mut [f32]> = lse
        .chunks_mut(tokens)
        .flat_map(|head| head.chunks_mut(block))
        .collect();
    sums.into_par_iter().enumerate().for_each(|(task, lse)| {
        let (pair, first) = (task / blocks, task % blocks * block);
        let (sample, head) = (pair / heads, pair % heads);
        let q = &qkv[sizes.start(sample, head, row)..];
        let (k, v) = (&q[width..], &q[2 * width..]);
        let (count, line) = (lse.len(), lse.len().next_multiple_of(WIDE));
        // SAFETY: the views stay inside qkv and out; this task alone writes the rows first .. first + count of its head.
        with_aligned(line * tokens + line, |scores| unsafe {
            let (scores, inverse) = scores.split_at_mut(line * tokens);
            score(q, k, (row, first), (count, line), sizes, scores, false);
            softmax(scores, inverse, lse, sizes.scale());
            let out = target.at(sizes.start(sample, head, width) + first * width);
            matmul(
                (count, depth, tokens),
                View::rows(out, width),
                false,
                View::rows(scores.as_ptr(), line).t(),
                View::rows(v.as_ptr(), row),
                false,
            );
            for (i, factor) in inverse[..count].iter().enumerate() {
                let out = std::slice::from_raw_parts_mut(out.add(i * width), depth);
                out.iter_mut().for_each(|value| *value *= factor);
            }
        });
    });
    // SAFETY: every (sample, head, query) was written by its task.
    unsafe { out.set_len(batch * tokens * width) };
    (out, lse)
}

/// The gradient for qkv, from the forward pass's result and log-sums and the result's gradient.
///
/// Scores are computed again, block by block. One task owns one head of one sample, so that sums over queries have a fixed
/// order.
pub fn attention_backward(
    qkv: &[f32],
    out: &[f32],
    lse: &[f32],
    grad: &[f32],
    sizes: Sizes,
) -> Vec<f32> {
    let Sizes {
        batch,
        tokens,
        heads,
        depth,
    } = sizes;
    let (width, row) = (sizes.width(), 3 * sizes.width());
    assert_eq!(qkv.len(), batch * tokens * row);
    assert!(out.len() == batch * tokens * width && grad.len() == out.len());
    assert_eq!(lse.len(), batch * heads * tokens);
    let block = sizes.block(2);
    // With fewer heads than threads the products inside a head share the rest; their sums stay the same.
    let parallel = batch * heads < rayon::current_num_threads();
    let mut dqkv = Vec::with_capacity(qkv.len());
    let target = Target(dqkv.as_mut_ptr());
    (0..batch * heads).into_par_iter().for_each(|pair| {
        let (sample, head) = (pair / heads, pair % heads);
        let start = sizes.start(sample, head, row);
        let q = &qkv[start..];
        let (k, v) = (&q[width..], &q[2 * width..]);
        let plain = sizes.start(sample, head, width);
        let (out, grad) = (&out[plain..], &grad[plain..]);
        let lse = &lse[pair * tokens..][..tokens];
        let widest = block.next_multiple_of(WIDE);
        with_aligned(2 * widest * tokens + 2 * widest, |scratch| {
            for first in (0..tokens).step_by(block) {
                let count = block.min(tokens - first);
                let line = count.next_multiple_of(WIDE);
                let (p, rest) = scratch.split_at_mut(line * tokens);
                let (ds, rest) = rest.split_at_mut(line * tokens);
                let (shift, delta) = rest.split_at_mut(widest);
                shift[..count].copy_from_slice(&lse[first..][..count]);
                shift[count..].fill(0.0);
                delta.fill(0.0);
                for (i, delta) in delta[..count].iter_mut().enumerate() {
                    let at = (first + i) * width;
                    dot(&out[at..][..depth], &grad[at..][..depth], delta);
                }
                let grads = View::rows(grad[first * width..].as_ptr(), width);
                let (p_view, ds_view) =
                    (View::rows(p.as_ptr(), line), View::rows(ds.as_ptr(), line));
                let add = first > 0;
                // SAFETY: the views stay inside the tensors; this task alone writes its head's columns of dqkv.
                unsafe {
                    let dq = View::rows(target.at(start + first * row), row);
                    let dk = View::rows(target.at(start + width), row);
                    let dv = View::rows(target.at(start + 2 * width), row);
                    score(q, k, (row, first), (count, line), sizes, p, parallel);
                    // dP = dO Vᵀ, as [key][query]
                    matmul(
                        (tokens, count, depth),
                        View::rows(ds.as_mut_ptr(), line),
                        false,
                        View::rows(v.as_ptr(), row),
                        grads.t(),
                        parallel,
                    );
                    softmax_backward(p, ds, &shift[..line], &delta[..line], sizes.scale());
                    // dV += Pᵀ dO; dK += dSᵀ Q; dQ = dS K
                    matmul((tokens, depth, count), dv, add, p_view, grads, parallel);
                    let queries = View::rows(q[first * row..].as_ptr(), row);
                    matmul((tokens, depth, count), dk, add, ds_view, queries, parallel);
                    let keys = View::rows(k.as_ptr(), row);
                    matmul(
                        (count, depth, tokens),
                        dq,
                        false,
                        ds_view.t(),
                        keys,
                        parallel,
                    );
                }
            }
        });
    });
    // SAFETY: every task has written all columns of its head.
    unsafe { dqkv.set_len(qkv.len()) };
    dqkv
}

/// q kᵀ of queries `first .. first + count` as [key][query], `line` values from key to key; the padding is zero.
///
/// # Safety
/// `q` and `k` begin at a head and hold all its tokens, `row` apart; `scores` holds tokens · line values.
unsafe fn score(
    q: &[f32],
    k: &[f32],
    (row, first): (usize, usize),
    (count, line): (usize, usize),
    sizes: Sizes,
    scores: &mut [f32],
    parallel: bool,
) {
    let Sizes { tokens, depth, .. } = sizes;
    if count < line {
        for padding in scores.chunks_exact_mut(line) {
            padding[count..].fill(0.0);
        }
    }
    // SAFETY: by the caller.
    unsafe {
        matmul(
            (tokens, count, depth),
            View::rows(scores.as_mut_ptr(), line),
            false,
            View::rows(k.as_ptr(), row),
            View::rows(q[first * row..].as_ptr(), row).t(),
            parallel,
        );
    }
}

/// `length` scratch values that begin at a cache line.
fn with_aligned<T>(length: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    with_scratch(length + WIDE, |scratch| {
        let skip = scratch.as_ptr().align_offset(64).min(WIDE);
        work(&mut scratch[skip..][..length])
    })
}

/// Turns scores [key][query] into e^(scale · (s − largest of the query)); `inverse` gets 1 / Σ, `lse` the log-sum.
#[inline(always)]
unsafe fn softmax_kernel<S: Simd>(
    scores: &mut [f32],
    inverse: &mut [f32],
    lse: &mut [f32],
    scale: f32,
) {
    let line = inverse.len();
    assert!(line > 0 && line.is_multiple_of(S::LANES));
    let keys = scores.len() / line;
    // SAFETY: `line` is a multiple of every vector's width, and every access is below keys · line.
    unsafe {
        let mut i = 0;
        while i + 4 * S::LANES <= line {
            softmax_strip::<S, 4>(
                scores.as_mut_ptr().add(i),
                line,
                keys,
                scale,
                &mut inverse[i..],
                lse,
                i,
            );
            i += 4 * S::LANES;
        }
        while i < line {
            softmax_strip::<S, 1>(
                scores.as_mut_ptr().add(i),
                line,
                keys,
                scale,
                &mut inverse[i..],
                lse,
                i,
            );
            i += S::LANES;
        }
    }
}
dispatch! {
    fn softmax(scores: &mut [f32], inverse: &mut [f32], lse: &mut [f32], scale: f32) = softmax_kernel
}

/// # Safety
/// As [`Simd`]; N vectors readable and writable at `scores` + j · line for every key j.
#[inline(always)]
unsafe fn softmax_strip<S: Simd, const N: usize>(
    scores: *mut f32,
    line: usize,
    keys: usize,
    scale: f32,
    inverse: &mut [f32],
    lse: &mut [f32],
    first: usize,
) {
    // SAFETY: by the caller.
    unsafe {
        let mut largest = [S::splat(f32::NEG_INFINITY); N];
        for key in 0..keys {
            let at = scores.add(key * line);
            for (lane, largest) in largest.iter_mut().enumerate() {
                *largest = S::max(*largest, S::load(at.add(lane * S::LANES)));
            }
        }
        let factor = S::splat(scale);
        let shift = largest.map(|v| S::mul(v, factor));
        let mut sum = [S::splat(0.0); N];
        for key in 0..keys {
            let at = scores.add(key * line);
            for lane in 0..N {
                let at = at.add(lane * S::LANES);
                let value = exp::<S>(S::sub(S::mul(S::load(at), factor), shift[lane]));
                S::store(at, value);
                sum[lane] = S::add(sum[lane], value);
            }
        }
        let mut shifts = [0f32; WIDE];
        for lane in 0..N {
            let inverse = &mut inverse[lane * S::LANES..][..S::LANES];
            S::store(shifts.as_mut_ptr(), shift[lane]);
            S::store(inverse.as_mut_ptr(), sum[lane]);
            for (i, value) in inverse.iter_mut().enumerate() {
                if let Some(lse) = lse.get_mut(first + lane * S::LANES + i) {
                    *lse = shifts[i] + value.ln();
                }
                *value = value.recip();
            }
        }
    }
}

/// From scores `p` and dP in `ds`: p = e^(scale · s − lse), ds = p (dP − delta) scale; all [key][query].
#[inline(always)]
unsafe fn softmax_backward_kernel<S: Simd>(
    p: &mut [f32],
    ds: &mut [f32],
    lse: &[f32],
    delta: &[f32],
    scale: f32,
) {
    let line = lse.len().min(delta.len());
    assert!(line > 0 && line.is_multiple_of(S::LANES));
    for (p, ds) in p.chunks_exact_mut(line).zip(ds.chunks_exact_mut(line)) {
        let (p, ds) = (p.as_mut_ptr(), ds.as_mut_ptr());
        // SAFETY: `line` is a multiple of every vector's width.
        unsafe {
            let scale = S::splat(scale);
            let mut i = 0;
            while i < line {
                let shift = S::load(lse.as_ptr().add(i));
                let value = exp::<S>(S::sub(S::mul(S::load(p.add(i)), scale), shift));
                S::store(p.add(i), value);
                let slope = S::sub(S::load(ds.add(i)), S::load(delta.as_ptr().add(i)));
                S::store(ds.add(i), S::mul(S::mul(value, scale), slope));
                i += S::LANES;
            }
        }
    }
}
dispatch! {
    fn softmax_backward(p: &mut [f32], ds: &mut [f32], lse: &[f32], delta: &[f32], scale: f32) = softmax_backward_kernel
}

#[inline(always)]
unsafe fn dot_kernel<S: Simd>(a: &[f32], b: &[f32], sum: &mut f32) {
    let n = a.len().min(b.len());
    // SAFETY: the sweep stays within the shorter slice.
    unsafe {
        let mut total = S::splat(0.0);
        sweep!(S, n, |i, n| {
            let a = load::<S>(a.as_ptr().add(i), n);
            total = S::fma(a, load::<S>(b.as_ptr().add(i), n), total);
        });
        *sum = S::sum(total);
    }
}
dispatch! { fn dot(a: &[f32], b: &[f32], sum: &mut f32) = dot_kernel }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::Portable;

    fn ramp(n: usize, step: f32) -> Vec<f32> {
        (0..n).map(|i| 3.0 * (i as f32 * step).sin()).collect()
    }

    fn close(a: &[f32], b: &[f32]) {
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() <= 3e-6 * (1.0 + b.abs()), "{a} and {b}");
        }
    }

    #[test]
    fn softmax_columns_sum_to_one_at_every_level() {
        let (line, keys, queries) = (80, 13, 70);
        let scores = ramp(line * keys, 0.37);
        let run = |best: bool| {
            let mut weights = scores.clone();
            let (mut inverse, mut lse) = (vec![0.0; line], vec![0.0; queries]);
            let (w, i, l) = (&mut weights, &mut inverse, &mut lse);
            if best {
                softmax(w, i, l, 0.5);
            } else {
                // SAFETY: plain Rust runs everywhere.
                unsafe { softmax_kernel::<Portable>(w, i, l, 0.5) };
            }
            for query in 0..line {
                let sum: f32 = (0..keys).map(|key| weights[key * line + query]).sum();
                assert!((sum * inverse[query] - 1.0).abs() < 1e-6);
            }
            (weights, lse)
        };
        let (best, plain) = (run(true), run(false));
        close(&best.0, &plain.0);
        close(&best.1, &plain.1);
        for (query, lse) in best.1.iter().enumerate() {
            let terms = (0..keys).map(|key| (0.5 * f64::from(scores[key * line + query])).exp());
            assert!((f64::from(*lse) - terms.sum::<f64>().ln()).abs() < 1e-6);
        }

        let (shift, delta) = (ramp(line, 0.2), ramp(line, 0.9));
        let back = |best: bool| {
            let (mut p, mut ds) = (scores.clone(), ramp(line * keys, 0.53));
            if best {
                softmax_backward(&mut p, &mut ds, &shift, &delta, 0.5);
            } else {
                // SAFETY: plain Rust runs everywhere.
                unsafe {
                    softmax_backward_kernel::<Portable>(&mut p, &mut ds, &shift, &delta, 0.5)
                };
            }
            (p, ds)
        };
        let (best, plain) = (back(true), back(false));
        close(&best.0, &plain.0);
        close(&best.1, &plain.1);
    }
}
