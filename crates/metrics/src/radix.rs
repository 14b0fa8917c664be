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

/// Sorts keys in rising order: least-significant-digit radix sort, three passes of 11 bits.
pub(crate) fn sort(keys: &mut Vec<u32>) {
    if keys.len() < SMALL {
        keys.sort_unstable();
        return;
    }
    let digit = |key: u32, pass: usize| (key >> (DIGIT * pass as u32)) as usize & (BUCKETS - 1);
    let mut histograms = [[0usize; BUCKETS]; PASSES];
    for &key in keys.iter() {
        for (pass, histogram) in histograms.iter_mut().enumerate() {
            histogram[digit(key, pass)] += 1;
        }
    }
    let mut other = vec![0; keys.len()];
    for (pass, histogram) in histograms.iter().enumerate() {
        if histogram.contains(&keys.len()) {
            continue; // all keys share this digit
        }
        let mut starts = [0usize; BUCKETS];
        let mut start = 0;
        for (slot, &count) in starts.iter_mut().zip(histogram) {
            *slot = start;
            start += count;
        }
        for &key in keys.iter() {
            let slot = &mut starts[digit(key, pass)];
            other[*slot] = key;
            *slot += 1;
        }
        std::mem::swap(keys, &mut other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn radix_sort_equals_the_standard_one(
            mut keys in prop_oneof![
                proptest::collection::vec(any::<u32>(), 0..3 * SMALL),
                proptest::collection::vec(1000u32..1100, SMALL..2 * SMALL),
            ]
        ) {
            let mut expected = keys.clone();
            expected.sort_unstable();
            sort(&mut keys);
            prop_assert_eq!(keys, expected);
        }
    }
}
