//! Golden values of scikit-learn, scikit-image, SciPy and torch (`../fixtures/generate.py`), brute-force twins,
//! identities, and what bad input does.

mod bad_input;
mod identities;
mod masks;
mod scores;
mod statistics;
mod twins;

/// The lines of a fixture as (key, rest), without comments.
fn lines(fixture: &str) -> impl Iterator<Item = (&str, &str)> {
    let kept = fixture
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    kept.map(|line| line.split_once(' ').unwrap_or((line, "")))
}

fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace()
        .map(|value| value.parse().unwrap())
        .collect()
}

#[track_caller]
fn assert_close(found: Option<f64>, expected: &str, tolerance: f64, what: &str) {
    let expected: f64 = expected.parse().unwrap();
    let found = found.unwrap_or_else(|| panic!("{what} is undefined, {expected} was expected"));
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: {found}, expected {expected}"
    );
}
