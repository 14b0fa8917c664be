use std::cmp::Ordering;
use std::path::Path;

/// Compares paths as [`natural_order`] does, and where names look alike by their bytes.
pub(super) fn natural_paths(a: &Path, b: &Path) -> Ordering {
    natural_order(&a.to_string_lossy(), &b.to_string_lossy()).then_with(|| a.cmp(b))
}

/// Compares names with their numbers taken as numbers, so that `2` comes before `10`; ties are broken by bytes.
pub(super) fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    loop {
        let (part_a, after_a) = first_part(rest_a);
        let (part_b, after_b) = first_part(rest_b);
        if part_a.is_empty() || part_b.is_empty() {
            // Whichever ends first comes first.
            return part_a.cmp(part_b).then_with(|| a.cmp(b));
        }
        let order = match (number(part_a), number(part_b)) {
            // Without leading zeros the longer number is the greater: no overflow, however long.
            (Some(x), Some(y)) => x.len().cmp(&y.len()).then_with(|| x.cmp(y)),
            _ => part_a.cmp(part_b),
        };
        if order != Ordering::Equal {
            return order;
        }
        (rest_a, rest_b) = (after_a, after_b);
    }
}

/// Splits off the longest beginning that is all digits, or all others.
pub(super) fn first_part(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text
        .find(|c: char| c.is_ascii_digit() != digits)
        .unwrap_or(text.len());
    text.split_at(end)
}

/// Digits less their leading zeros; `None` if they are no digits.
fn number(part: &str) -> Option<&str> {
    part.starts_with(|c: char| c.is_ascii_digit())
        .then(|| part.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_ordered_as_numbers() {
        let mut names = ["10", "2", "1", "im2_b", "im2_a", "im10", "im2", "02"];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(
            names,
            ["1", "02", "2", "10", "im2", "im2_a", "im2_b", "im10"]
        );
    }
}
