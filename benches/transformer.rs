//! Transformer ops at the sizes of the `seed` preset (image 512, patch 16, width 768, 8 heads).
//!
//! Throughput counts floating-point operations of the matrix products (elements for the rest), so that "Gelem/s" reads as
//! GFLOP/s; `matmul` is candle's plain product to compare with. `training` is value and gradients together.

mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use support::{both, noise};
use venule::nn::{attention_qkv, gelu, layer_norm, linear, linear_gelu};

const TOKENS: usize = 1025;
const WIDTH: usize = 768;
const HIDDEN: usize = 3072;
const HEADS: usize = 8;

fn transformer(c: &mut Criterion) {
    let x = noise(&[1, TOKENS, WIDTH], 1);
    let weight = noise(&[HIDDEN, WIDTH], 2);
    let bias = noise(&[HIDDEN], 3);
    let flops = 2 * TOKENS * WIDTH * HIDDEN;
    let all = [x.clone(), weight.clone(), bias];
    let rows = x.squeeze(0).unwrap();
    both(c, "matmul 1025x768x3072", flops, &[rows, weight], |t| {
        t[0].matmul(&t[1].t()?)
    });
    both(c, "linear 1025x768x3072", flops, &all, |t| {
        linear(&t[0], &t[1], Some(&t[2]))
    });
    both(c, "linear_gelu 1025x768x3072", flops, &all, |t| {
        linear_gelu(&t[0], &t[1], Some(&t[2]))
    });

    let qkv = noise(&[1, TOKENS, 3 * WIDTH], 4);
    both(
        c,
        "attention_qkv 1025x768 heads 8",
        4 * TOKENS * TOKENS * WIDTH,
        &[qkv],
        |t| attention_qkv(&t[0], HEADS),
    );
    let qkv = noise(&[2, 1333, 3 * 192], 5);
    both(
        c,
        "attention_qkv 2x1333x192 heads 6",
        8 * 1333 * 1333 * 192,
        &[qkv],
        |t| attention_qkv(&t[0], 6),
    );

    let norm = [x, noise(&[WIDTH], 6), noise(&[WIDTH], 7)];
    both(c, "layer_norm 1025x768", TOKENS * WIDTH, &norm, |t| {
        layer_norm(&t[0], &t[1], &t[2], 1e-6)
    });
    let hidden = noise(&[1, TOKENS, HIDDEN], 8);
    both(c, "gelu 1025x3072", TOKENS * HIDDEN, &[hidden], |t| {
        gelu(&t[0])
    });
}

criterion_group!(benches, transformer);
criterion_main!(benches);
