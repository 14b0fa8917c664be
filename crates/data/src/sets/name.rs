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
    // Beyond that no name is near, and the distance is quadratic.
    let name: String = name.chars().take(64).collect();
    let closest = known
        .iter()
        .map(|(known, _)| (strsim::levenshtein(&name, known), *known))
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
