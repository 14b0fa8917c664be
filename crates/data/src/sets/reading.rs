use crate::{LabelCheck, LabelValue, MaskRule, ReadOptions};

/// How the files of a data set are read where they leave a choice, and which oddities of its labels are meant.
///
/// ```
/// use venule_data::{FolderSet, LabelValue, Reading, SampleFiles};
/// let files = vec![SampleFiles::unlabelled("1", "1.png")];
/// // Arteries are 1, veins 2, and some photographs show neither.
/// let classes = vec![LabelValue::Gray(1), LabelValue::Gray(2)];
/// let reading = Reading::default().label_values(classes).allow_empty(true);
/// let set = FolderSet::from_files(files).with_reading(&reading);
/// assert_eq!(set.files()[0].reading, reading);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// Which pixels of a label count.
    pub labels: MaskRule,
    /// Which oddities of a label are meant.
    pub allowed: LabelCheck,
    /// How photographs are read.
    pub photographs: ReadOptions,
}

impl Reading {
    /// With labels of which these values count; none: whatever is meant.
    #[must_use]
    pub fn label_values(mut self, values: Vec<LabelValue>) -> Self {
        self.labels = match values.is_empty() {
            true => MaskRule::AsMeant,
            false => MaskRule::Values(values),
        };
        self
    }

    /// Whether a label may mark no pixel.
    #[must_use]
    pub fn allow_empty(mut self, allow: bool) -> Self {
        self.allowed.allow_empty = allow;
        self
    }

    /// Whether a label may mark more than half of the field of view.
    #[must_use]
    pub fn allow_majority(mut self, allow: bool) -> Self {
        self.allowed.allow_majority = allow;
        self
    }

    /// With the page of a TIFF, counted from 1.
    #[must_use]
    pub fn page(mut self, page: Option<usize>) -> Self {
        self.photographs.page = page;
        self
    }
}
