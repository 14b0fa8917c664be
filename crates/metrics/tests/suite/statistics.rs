//! Paired tests, intervals and summaries.

use venule_metrics::{Bootstrap, Interval, paired_permutation_test, summarize};

use crate::{assert_close, lines, numbers};

#[test]
fn exact_permutation_test_equals_scipy() {
    let (mut a, mut b, mut cases) = (Vec::new(), Vec::new(), 0);
    for (key, rest) in lines(include_str!("../fixtures/tests.txt")) {
        match key {
            "a" => a = numbers(rest),
            "b" => b = numbers(rest),
            "difference" => {
                let test = paired_permutation_test(&a, &b, 1 << 20, 0).unwrap();
                assert_close(Some(test.mean_difference), rest, 1e-12, key);
            }
            "p_value" => {
                let test = paired_permutation_test(&a, &b, 1 << 20, 0).unwrap();
                assert!(test.exact);
                assert_close(Some(test.p_value), rest, 1e-12, key);
                // Too few permutations for all patterns: random ones come near. Standard error √(p(1−p)/n).
                let few = (1 << a.len()) - 1;
                let random = paired_permutation_test(&a, &b, few, 11).unwrap();
                let error =
                    (test.p_value * (1.0 - test.p_value) / few as f64).sqrt() + 1.0 / few as f64;
                assert!(!random.exact && (random.p_value - test.p_value).abs() < 5.0 * error);
                cases += 1;
            }
            "mean" => {
                let summary = summarize(a.iter().copied().map(Some)).unwrap().unwrap();
                assert_close(Some(summary.mean), rest, 1e-12, key);
                assert_eq!(summary.count, a.len());
            }
            "std" => {
                let summary = summarize(a.iter().copied().map(Some)).unwrap().unwrap();
                assert_close(summary.std, rest, 1e-12, key);
            }
            _ => panic!("unknown key {key}"),
        }
    }
    assert_eq!(cases, 5);
}

#[test]
fn equal_systems_differ_by_chance_only() {
    let a = [0.81, 0.79, 0.83];
    let test = paired_permutation_test(&a, &a, 100, 0).unwrap();
    assert_eq!((test.mean_difference, test.p_value), (0.0, 1.0));
}

#[test]
fn bootstrap_of_the_mean_has_the_width_of_theory() {
    // 50 values 0 … 49: standard error of the mean √((50² − 1)/12 / 50) ≈ 2.0408, 95 % of it ±1.96 · 2.0408 = ±4.0.
    let values: Vec<f64> = (0..50).map(f64::from).collect();
    let bootstrap = Bootstrap {
        resamples: 20_000,
        ..Bootstrap::default()
    };
    let Interval {
        estimate,
        low,
        high,
    } = bootstrap.mean(&values).unwrap();
    assert_eq!(estimate, 24.5);
    assert!(
        (low - 20.5).abs() < 0.2 && (high - 28.5).abs() < 0.2,
        "{low} {high}"
    );
    assert_eq!(
        bootstrap.mean(&values).unwrap(),
        Interval {
            estimate,
            low,
            high
        },
        "same seed, same interval"
    );
    let other = Bootstrap {
        seed: 1,
        ..bootstrap
    }
    .mean(&values)
    .unwrap();
    assert_ne!(other.low, low, "another seed draws other images");
    let wider = Bootstrap {
        confidence: 0.99,
        ..bootstrap
    }
    .mean(&values)
    .unwrap();
    assert!(wider.low < low && wider.high > high);
}

#[test]
fn one_image_or_equal_images_have_no_spread() {
    let interval = Bootstrap::default().mean(&[0.5]).unwrap();
    assert_eq!(
        interval,
        Interval {
            estimate: 0.5,
            low: 0.5,
            high: 0.5
        }
    );
    let difference = Bootstrap::default()
        .mean_difference(&[0.75, 0.5], &[0.5, 0.25])
        .unwrap();
    assert_eq!(
        difference,
        Interval {
            estimate: 0.25,
            low: 0.25,
            high: 0.25
        }
    );
    assert_eq!(summarize([Some(0.5)]).unwrap().unwrap().std, None);
}

#[test]
fn undefined_statistics_stay_undefined() {
    let bootstrap = Bootstrap {
        resamples: 50,
        ..Bootstrap::default()
    };
    assert_eq!(bootstrap.statistic(3, |_| None).unwrap(), None);
    assert_eq!(summarize([None, None]).unwrap(), None);
    // Draws without image 0 are left out; all others give 1.
    let some = bootstrap
        .statistic(3, |drawn| drawn.contains(&0).then_some(1.0))
        .unwrap()
        .unwrap();
    assert_eq!(
        some,
        Interval {
            estimate: 1.0,
            low: 1.0,
            high: 1.0
        }
    );
}
