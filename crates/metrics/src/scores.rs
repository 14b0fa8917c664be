/// The values of all metrics on one image, or on all images pooled, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    entries: Vec<(&'static str, Option<f64>)>,
}

impl Scores {
    pub(crate) fn new(entries: Vec<(&'static str, Option<f64>)>) -> Self {
        Self { entries }
    }

    /// The value of a metric, for example `"f1"`; `None` where it is undefined, and for a name that [`names`](Self::names) does not
    /// hold.
    pub fn get(&self, name: &str) -> Option<f64> {
        let mut entries = self.entries();
        entries.find(|(key, _)| *key == name)?.1
    }

    /// Names and values: the rows of [`METRICS`](crate::METRICS), then the added metrics.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, Option<f64>)> + '_ {
        self.entries.iter().copied()
    }

    /// The names of [`entries`](Self::entries).
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.entries().map(|(name, _)| name)
    }

    /// The values of [`entries`](Self::entries).
    pub fn values(&self) -> impl Iterator<Item = Option<f64>> + '_ {
        self.entries().map(|(_, value)| value)
    }
}
