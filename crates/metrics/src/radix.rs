//! Sorting of f32 scores through order-preserving u32 keys.

/// A key that orders as the number does; −0 and +0 get one key. The number must not be NaN.
pub(crate) fn key_of(score: f32) -> u32 {
    // Adding +0 turns −0 into +0 and leaves every other number as it is.
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 0 {
        bits | 1 << 31
    } else {
        !bits
    }
}

/// The number behind a key.
pub(crate) fn score_of(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 {
        key & !(1 << 31)
    } else {
        !key
    })
}

const DIGIT: u32 = 11;
const BUCKETS: usize = 1 << DIGIT;
const PASSES: usize = 3;
/// Below this the histograms cost more than comparing.
const SMALL: usize = 2048;
/// Beyond this a second copy of the keys is too much memory (64 MiB).
const LARGE: usize = 1 << 24;

fn digit(key: u32, pass: usize) -> usize {
    (key >> (DIGIT * pass as u32)) as usize & (BUCKETS - 1)
}

/// Sorts keys in rising order. Up to [`LARGE`] keys a second copy is made; more are first parted in place by their leading
/// digit, and the copy is then as large as the largest part.
pub(crate) fn sort(keys: &mut [u32]) {
    sort_beyond(keys, LARGE);
}

fn sort_beyond(keys: &mut [u32], large: usize) {
    let mut buffer = Vec::new();
    if keys.len() <= large {
        return sort_by_digits(keys, PASSES, &mut buffer);
    }
    let ends = part_by_leading_digit(keys);
    let mut start = 0;
    for end in ends {
        sort_by_digits(&mut keys[start..end], PASSES - 1, &mut buffer);
        start = end;
    }
}

/// Moves every key to the part of its leading digit, in place (American flag sort); returns where the parts end.
fn part_by_leading_digit(keys: &mut [u32]) -> [usize; BUCKETS] {
    let leading = |key: u32| digit(key, PASSES - 1);
    let mut ends = [0usize; BUCKETS];
    for &key in keys.iter() {
        ends[leading(key)] += 1;
    }
    let mut heads = [0usize; BUCKETS];
    let mut total = 0;
    for (head, end) in heads.iter_mut().zip(&mut ends) {
        *head = total;
        total += *end;
        *end = total;
    }
    for part in 0..BUCKETS {
        while heads[part] < ends[part] {
            let mut key = keys[heads[part]];
            while leading(key) != part {
                let home = leading(key);
                std::mem::swap(&mut key, &mut keys[heads[home]]);
                heads[home] += 1;
            }
            keys[heads[part]] = key;
            heads[part] += 1;
        }
    }
    ends
}

/// Least-significant-digit radix sort by the lowest `passes` digits of 11 bits.
fn sort_by_digits(keys: &mut [u32], passes: usize, buffer: &mut Vec<u32>) {
    if keys.len() < SMALL {
        keys.sort_unstable();
        return;
    }
    let mut histograms = [[0usize; BUCKETS]; PASSES];
    for &key in keys.iter() {
        for (pass, histogram) in histograms.iter_mut().take(passes).enumerate() {
            histogram[digit(key, pass)] += 1;
        }
    }
    let length = keys.len();
    // A digit that all keys share needs no pass.
    let differs = |histogram: &[usize; BUCKETS]| !histogram.contains(&length);
    if !histograms.iter().take(passes).any(differs) {
        return;
    }
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    let (mut from, mut to, mut swapped) = (keys, &mut buffer[..length], false);
    for (pass, histogram) in histograms.iter().take(passes).enumerate() {
        if !differs(histogram) {
            continue;
        }
        let mut starts = [0usize; BUCKETS];
        let mut start = 0;
        for (slot, &count) in starts.iter_mut().zip(histogram) {
            *slot = start;
            start += count;
        }
        for &key in from.iter() {
            let slot = &mut starts[digit(key, pass)];
            to[*slot] = key;
            *slot += 1;
        }
        (from, to, swapped) = (to, from, !swapped);
    }
    if swapped {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix64;

    #[test]
    fn keys_order_as_numbers_do() {
        let rising = [
            f32::NEG_INFINITY,
            -2.5,
            -1e-45,
            0.0,
            1e-45,
            0.5,
            1.0,
            f32::INFINITY,
        ];
        for pair in rising.windows(2) {
            assert!(key_of(pair[0]) < key_of(pair[1]), "{pair:?}");
        }
        for score in rising {
            assert_eq!(score_of(key_of(score)), score);
        }
        assert_eq!(key_of(-0.0), key_of(0.0));
    }

    #[test]
    fn radix_sort_equals_the_standard_one() {
        let mut random = SplitMix64::new(1);
        for case in 0..256 {
            let length = random.below(3 * SMALL as u64) as usize;
            // All of 32 bits, and few keys that share their high digits.
            let (low, span) = if case % 2 == 0 {
                (0, 1 << 32)
            } else {
                (1000, 100)
            };
            let mut keys: Vec<u32> = (0..length)
                .map(|_| low + random.below(span) as u32)
                .collect();
            let mut expected = keys.clone();
            expected.sort_unstable();
            let mut parted = keys.clone();
            sort(&mut keys);
            assert_eq!(keys, expected);
            // As more keys than are copied whole.
            sort_beyond(&mut parted, SMALL / 2);
            assert_eq!(parted, expected);
        }
    }
}
