use std::fmt;
use std::sync::Arc;

use crate::order::Order;
use crate::table::Source;
use crate::{BuiltIn, Comparison, Metric, Result};

/// A metric of an evaluator: a row of the built-in table, or one that was added.
#[derive(Clone)]
pub(crate) enum Column {
    BuiltIn(&'static BuiltIn),
    Added(Arc<dyn Metric>),
}

impl Column {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::BuiltIn(row) => row.name,
            Self::Added(metric) => metric.name(),
        }
    }

    /// The counts of an image; none for a metric of the order of the pixels.
    pub(crate) fn count(&self, image: &Comparison<'_>) -> Result<Vec<u128>> {
        match self {
            Self::Added(metric) => metric.count(image),
            Self::BuiltIn(row) => match row.source {
                Source::Counts { count, .. } => count(image),
                Source::Ranking(_) => Ok(Vec::new()),
            },
        }
    }

    /// The value of these sums and of the order of the same pixels.
    pub(crate) fn value(&self, sums: &[u128], order: &Order<'_>) -> Option<f64> {
        match self {
            Self::Added(metric) => metric.value(sums),
            Self::BuiltIn(row) => match row.source {
                Source::Counts { value, .. } => value(sums),
                Source::Ranking(ranking) => ranking.value(order),
            },
        }
    }
}

/// A metric is known by its name.
impl fmt::Debug for Column {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}
