use std::fmt;
use std::str::FromStr;

/// A part of the photographs: of every `count` one, beginning with the `index`-th.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Counted from 1.
    index: usize,
    count: usize,
}

impl Shard {
    /// Whether the photograph of this place in the list, counted from 0, is of it.
    pub fn holds(self, place: usize) -> bool {
        place % self.count == self.index - 1
    }
}

impl Default for Shard {
    /// All photographs.
    fn default() -> Self {
        Self { index: 1, count: 1 }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    /// Reads `2/8`.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse::<usize>().ok();
        let parts = text.split_once('/');
        let parts = parts.and_then(|(index, count)| Some((number(index)?, number(count)?)));
        match parts {
            None => Err("write I/N: the second of eight shards is 2/8".to_owned()),
            Some((_, 0)) => Err("there must be at least one shard: 1/1 is everything".to_owned()),
            Some((0, count)) => Err(format!("shards are counted from 1: the first is 1/{count}")),
            Some((index, count)) if index > count => Err(format!(
                "there is no shard {index} of {count}: the last is {count}/{count}"
            )),
            Some((index, count)) => Ok(Self { index, count }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_photograph_is_in_one_shard() {
        for count in 1..6 {
            for place in 0..20 {
                let shards = (1..=count).map(|index| format!("{index}/{count}"));
                let holding = shards.filter(|text| text.parse::<Shard>().unwrap().holds(place));
                assert_eq!(holding.count(), 1, "{place} of {count}");
            }
        }
        assert!((0..20).all(|place| Shard::default().holds(place)));
    }

    #[test]
    fn what_is_no_shard_is_refused_with_what_is_right() {
        for (text, words) in [
            ("0/4", "the first is 1/4"),
            ("5/4", "the last is 4/4"),
            ("1/0", "at least one shard"),
            ("a", "2/8"),
            ("1/b", "2/8"),
            ("-1/4", "2/8"),
            ("", "2/8"),
        ] {
            let error = text.parse::<Shard>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
