//! Convolution-side ops at the sizes of the `compact` preset (batches of four 256² crops) and of the `seed` decoder.
//!
//! Throughput counts floating-point operations of the convolutions (elements for the rest), so that "Gelem/s" reads as
//! GFLOP/s; `matmul` is candle's plain product to compare with. `training` is value and gradients together.

mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use support::{both, noise};
use venule::nn::{
    Norm, conv1x1, conv3x3, conv3x3_norm_relu, group_norm_relu, max_pool2x2, upsample2x,
    upsample2x_cat, upsample2x_cat_conv3x3_norm_relu,
};

fn convolution(c: &mut Criterion) {
    let square = noise(&[1024, 1024], 1);
    let flops = 2 * 1024 * 1024 * 1024;
    both(
        c,
        "matmul 1024x1024x1024",
        flops,
        &[square.clone(), square],
        |t| t[0].matmul(&t[1]),
    );
    for (batch, inputs, outputs, side) in [
        (4, 1, 16, 256),
        (4, 16, 16, 256),
        (4, 48, 16, 256),
        (4, 32, 32, 128),
        (4, 64, 64, 64),
        (4, 160, 96, 32),
        (4, 96, 32, 128),
        (1, 768, 128, 64),
    ] {
        let x = noise(&[batch, inputs, side, side], 1);
        let weight = noise(&[outputs, inputs, 3, 3], 2);
        let flops = 2 * 9 * batch * inputs * outputs * side * side;
        let name = format!("conv3x3 {batch}x{inputs}->{outputs} {side}x{side}");
        both(c, &name, flops, &[x, weight], |t| {
            conv3x3(&t[0], &t[1], None)
        });
    }
    let x = noise(&[4, 16, 256, 256], 1);
    let (elements, ramp) = (4 * 16 * 256 * 256, noise(&[16], 3));
    let weight = noise(&[1, 16, 1, 1], 2);
    both(
        c,
        "conv1x1 4x16->1 256x256",
        2 * elements,
        &[x.clone(), weight],
        |t| conv1x1(&t[0], &t[1], None),
    );
    let inputs = [
        x.clone(),
        noise(&[16, 16, 3, 3], 4),
        ramp.clone(),
        ramp.clone(),
    ];
    let flops = 2 * 9 * 16 * elements;
    both(
        c,
        "conv3x3_norm_relu 4x16->16 256x256",
        flops,
        &inputs,
        |t| {
            let norm = Norm {
                groups: 8,
                weight: &t[2],
                bias: &t[3],
                eps: 1e-5,
            };
            conv3x3_norm_relu(&t[0], &t[1], None, norm)
        },
    );
    let inputs = [x.clone(), ramp.clone(), ramp];
    both(c, "group_norm_relu 4x16 256x256", elements, &inputs, |t| {
        group_norm_relu(&t[0], 8, &t[1], &t[2], 1e-5)
    });
    both(
        c,
        "max_pool2x2 4x16 256x256",
        elements,
        std::slice::from_ref(&x),
        |t| max_pool2x2(&t[0]),
    );
    let half = noise(&[4, 16, 128, 128], 1);
    let pair = [noise(&[4, 32, 128, 128], 1), x];
    both(c, "upsample2x 4x16 128x128", elements, &[half], |t| {
        upsample2x(&t[0])
    });
    both(
        c,
        "upsample2x_cat 4x32 128x128, 16",
        3 * elements,
        &pair,
        |t| upsample2x_cat(&t[0], &t[1]),
    );
    let [coarse, fine] = pair;
    let (weight, ramp) = (noise(&[16, 48, 3, 3], 5), noise(&[16], 3));
    let inputs = [coarse, fine, weight, ramp.clone(), ramp];
    both(
        c,
        "upsample2x_cat_conv3x3_norm_relu 4x32 128x128, 16->16",
        3 * flops,
        &inputs,
        |t| {
            let norm = Norm {
                groups: 8,
                weight: &t[3],
                bias: &t[4],
                eps: 1e-5,
            };
            upsample2x_cat_conv3x3_norm_relu(&t[0], &t[1], &t[2], None, norm)
        },
    );
}

criterion_group!(benches, convolution);
criterion_main!(benches);
