//! Pointwise arithmetic of the fused pass, in blocks that the compiler turns into vector code.
//!
//! A block lives on the stack in first-level cache. Every loop runs over its whole length, also in
//! a last, shorter block, whose rest is marked invalid.

/// Pixels per block.
pub(super) const BLOCK: usize = 128;
/// Sums per image.
pub(super) const COLUMNS: usize = 9;
const LANES: usize = 8;

/// A value per pixel of a block.
pub(super) type Values = [f32; BLOCK];

/// The inputs of some pixels: slices of one length.
#[derive(Clone, Copy)]
pub(super) struct Pixels<'a> {
    pub logits: &'a [f32],
    pub target: &'a [f32],
    pub valid: Option<&'a [f32]>,
    pub thin: Option<&'a [f32]>,
}

impl<'a> Pixels<'a> {
    pub fn range(self, from: usize, to: usize) -> Self {
        Self {
            logits: &self.logits[from..to],
            target: &self.target[from..to],
            valid: self.valid.map(|map| &map[from..to]),
            thin: self.thin.map(|map| &map[from..to]),
        }
    }

    fn blocks(self) -> impl Iterator<Item = (usize, Pixels<'a>)> {
        let len = self.logits.len();
        (0..len)
            .step_by(BLOCK)
            .map(move |from| (from, self.range(from, (from + BLOCK).min(len))))
    }
}

/// e^−a for a ≥ 0, relative error below 3e-7; stays above 0 (a is cut at 87); NaN stays NaN.
#[inline(always)]
pub(super) fn exp_neg(a: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23: adding it rounds to an integer
    const LN2_HIGH: f32 = 355.0 / 512.0; // few bits, so that n · LN2_HIGH is exact
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let a = if a > 87.0 { 87.0 } else { a };
    let shifted = ROUND - a * std::f32::consts::LOG2_E;
    let n = shifted - ROUND;
    let r = (-a - n * LN2_HIGH) - n * LN2_LOW;
    // Taylor to degree 7: |r| ≤ ln2 / 2, so the next term is below 6e-9.
    let tail = 1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0));
    let poly = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * tail))));
    poly * f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000))
}

/// ln(1 + e) for e in [0, 1], relative error below 3e-7: 2·artanh(z), z = e / (2 + e) ≤ 1/3.
#[inline(always)]
pub(super) fn ln_1p(e: f32) -> f32 {
    let z = e / (2.0 + e);
    let y = z * z;
    let tail = 1.0 / 9.0 + y * (1.0 / 11.0 + y * (1.0 / 13.0 + y * (1.0 / 15.0)));
    let series = 1.0 + y * (1.0 / 3.0 + y * (1.0 / 5.0 + y * (1.0 / 7.0 + y * tail)));
    2.0 * z * series
}

/// What both passes need of each pixel; g and h are 0 where the pixel is invalid.
struct Block {
    g: Values,
    h: Values,
    p: Values,
    q: Values,
    softplus: Values,
    softplus_neg: Values,
    thin: Values,
}

impl Block {
    fn load(pixels: Pixels<'_>) -> Self {
        let len = pixels.logits.len();
        let mut x = [0.0; BLOCK];
        let mut g = [0.0; BLOCK];
        let mut w = [0.0; BLOCK];
        let mut thin = [0.0; BLOCK];
        x[..len].copy_from_slice(pixels.logits);
        g[..len].copy_from_slice(pixels.target);
        match pixels.valid {
            Some(valid) => w[..len].copy_from_slice(valid),
            None => w[..len].fill(1.0),
        }
        if let Some(map) = pixels.thin {
            thin[..len].copy_from_slice(map);
        }
        let mut block = Self {
            g,
            h: [0.0; BLOCK],
            p: [0.0; BLOCK],
            q: [0.0; BLOCK],
            softplus: [0.0; BLOCK],
            softplus_neg: [0.0; BLOCK],
            thin,
        };
        for i in 0..BLOCK {
            let keep = w[i] > 0.5;
            x[i] = if keep { x[i] } else { 0.0 };
            let g = if keep { block.g[i] } else { 0.0 };
            block.g[i] = g;
            block.h[i] = if keep { 1.0 } else { 0.0 } - g;
            block.thin[i] = if keep { block.thin[i] } else { 0.0 };
        }
        for (i, &x) in x.iter().enumerate() {
            let tail = exp_neg(x.abs());
            let large = 1.0 / (1.0 + tail);
            let small = tail * large;
            let log = ln_1p(tail);
            let up = x >= 0.0;
            block.p[i] = if up { large } else { small };
            block.q[i] = if up { small } else { large };
            block.softplus[i] = if up { x } else { 0.0 } + log;
            block.softplus_neg[i] = if up { 0.0 } else { -x } + log;
        }
        block
    }

    fn bce(&self, i: usize) -> f32 {
        self.g[i] * self.softplus_neg[i] + self.h[i] * self.softplus[i]
    }

    /// Slope of the cross entropy, p(1 − g) − (1 − p)g: exactly p − g, also where p is nearly g.
    fn bce_slope(&self, i: usize) -> f32 {
        self.p[i] * self.h[i] - self.q[i] * self.g[i]
    }

    fn missed(&self, i: usize) -> f32 {
        self.p[i] * self.h[i] + self.q[i] * self.g[i]
    }

    /// m^γ of every pixel.
    fn powers(&self, gamma: f32) -> Values {
        let mut powers = [1.0; BLOCK];
        if gamma == 2.0 {
            for (i, power) in powers.iter_mut().enumerate() {
                let m = self.missed(i);
                *power = m * m;
            }
        } else if gamma != 0.0 {
            for (i, power) in powers.iter_mut().enumerate() {
                *power = self.missed(i).powf(gamma);
            }
        }
        powers
    }
}

/// Adds the sums over `pixels`, in `f64`, in an order that depends on nothing but their number.
pub(super) fn forward(pixels: Pixels<'_>, gamma: Option<f32>) -> [f64; COLUMNS] {
    let mut lanes = [[0.0f64; LANES]; COLUMNS];
    for (_, pixels) in pixels.blocks() {
        let b = Block::load(pixels);
        add(&mut lanes[0], &each(|i| b.g[i] + b.h[i]));
        add(&mut lanes[1], &b.g);
        add(&mut lanes[2], &each(|i| b.p[i] * (b.g[i] + b.h[i])));
        add(&mut lanes[3], &each(|i| b.p[i] * b.g[i]));
        add(&mut lanes[4], &each(|i| b.g[i] * b.softplus_neg[i]));
        add(&mut lanes[5], &each(|i| b.h[i] * b.softplus[i]));
        if pixels.thin.is_some() {
            add(&mut lanes[6], &each(|i| b.thin[i] * b.bce(i)));
        }
        if let Some(gamma) = gamma {
            let powers = b.powers(gamma);
            add(&mut lanes[7], &each(|i| b.g[i] * powers[i] * b.bce(i)));
            add(&mut lanes[8], &each(|i| b.h[i] * powers[i] * b.bce(i)));
        }
    }
    lanes.map(|lane| lane.iter().sum())
}

/// Writes the gradient of Σ slope·sum with respect to each logit.
pub(super) fn backward(
    pixels: Pixels<'_>,
    gamma: Option<f32>,
    slopes: &[f32; COLUMNS],
    gradient: &mut [f32],
) {
    // Σ1 and Σg, the first two, do not depend on the logits.
    let &[
        _,
        _,
        predicted,
        overlap,
        positive,
        negative,
        thin,
        focal_positive,
        focal_negative,
    ] = slopes;
    for (from, pixels) in pixels.blocks() {
        let b = Block::load(pixels);
        let mut values = each(|i| {
            let region = predicted * (b.g[i] + b.h[i]) + overlap * b.g[i];
            b.p[i] * b.q[i] * region + negative * b.h[i] * b.p[i] - positive * b.g[i] * b.q[i]
        });
        if pixels.thin.is_some() {
            for (i, value) in values.iter_mut().enumerate() {
                *value += thin * b.thin[i] * b.bce_slope(i);
            }
        }
        if let Some(gamma) = gamma {
            let powers = b.powers(gamma);
            for (i, value) in values.iter_mut().enumerate() {
                // d m^γ = γ·m^γ · (1 − 2g)·p·q / m; m is 0 only where the pixel is invalid.
                let m = b.missed(i).max(f32::MIN_POSITIVE);
                let power_slope =
                    gamma * powers[i] * ((b.h[i] - b.g[i]) * b.p[i] * b.q[i] / m) * b.bce(i);
                let weight = focal_positive * b.g[i] + focal_negative * b.h[i];
                *value += weight * (powers[i] * b.bce_slope(i) + power_slope);
            }
        }
        let len = pixels.logits.len();
        gradient[from..from + len].copy_from_slice(&values[..len]);
    }
}

#[inline(always)]
fn each(value: impl Fn(usize) -> f32) -> Values {
    let mut values = [0.0; BLOCK];
    for (i, slot) in values.iter_mut().enumerate() {
        *slot = value(i);
    }
    values
}

#[inline(always)]
fn add(lanes: &mut [f64; LANES], values: &Values) {
    for group in values.chunks_exact(LANES) {
        for (lane, &value) in lanes.iter_mut().zip(group) {
            *lane += f64::from(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every 997th bit pattern of the range against `f64`.
    fn worst(from: f32, to: f32, ours: fn(f32) -> f32, exact: fn(f64) -> f64) -> f64 {
        (from.to_bits()..=to.to_bits())
            .step_by(997)
            .map(f32::from_bits)
            .map(|x| (f64::from(ours(x)) / exact(f64::from(x)) - 1.0).abs())
            .fold(0.0, f64::max)
    }

    #[test]
    fn exponential_is_accurate_to_a_few_ulp() {
        let error = worst(1e-30, 86.9, exp_neg, |a| (-a).exp());
        assert!(error < 3e-7, "{error:e}");
        assert_eq!(exp_neg(0.0), 1.0);
    }

    #[test]
    fn exponential_stays_positive_and_keeps_nan() {
        assert!(exp_neg(1e4) > 0.0 && exp_neg(1e4) < 1e-37);
        assert!(exp_neg(f32::NAN).is_nan());
    }

    #[test]
    fn logarithm_is_accurate_to_a_few_ulp() {
        let error = worst(1e-30, 1.0, ln_1p, f64::ln_1p);
        assert!(error < 3e-7, "{error:e}");
        assert_eq!(ln_1p(0.0), 0.0);
    }
}
