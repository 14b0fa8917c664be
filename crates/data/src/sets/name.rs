use crate::{Error, Result};

/// Finds what a name stands for among `known` (name, value) pairs; case, `-` and blanks do not count.
pub(super) fn lookup<T: Copy>(
    what: &'static str,
    found: &str,
    known: &[(&'static str, T)],
) -> Result<T> {
    let name = found.trim().to_lowercase().replace(['-', ' '], "_");
    if let Some((_, value)) = known.iter().find(|(known, _)| *known == name) {
        return Ok(*value);
    }
    let closest = known
        .iter()
        .map(|(known, _)| (edits(&name, known), *known))
        .min();
    Err(Error::UnknownName {
        what,
        found: found.to_owned(),
        expected: list(known),
        // More edits than half of the name make it another word.
        suggestion: closest
            .filter(|(edits, known)| 2 * edits <= known.len())
            .map(|(_, known)| known),
    })
}

/// The names, separated by commas.
pub(super) fn list<T>(known: &[(&'static str, T)]) -> String {
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

/// Levenshtein distance in bytes, of at most the first 64 bytes.
fn edits(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let (a, b) = (&a[..a.len().min(64)], &b[..b.len().min(64)]);
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::edits;

    #[test]
    fn edit_distance_counts_insertions_deletions_and_replacements() {
        assert_eq!(edits("", "abc"), 3);
        // k -> s, e -> i, and g at the end.
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("drvie", "drive"), 2);
    }
}
