use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use venule::data::{
    Dataset, DatasetSpec, FolderSet, FovPolicy, LabelValue, Layout, Reading, Resize, Split,
};

use super::run_file::unread;
use crate::Result;

/// A data set of a run, and what each of its splits is for.
///
/// It lies either in one folder of a known layout (`name` and `path`), or in plain folders of photographs (`images`), of
/// labels (`masks`) and of fields of view (`fovs`). Of plain folders the last fifth, of two images at least, is the split
/// `validation`, the rest is `train`, and there is no `test`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The name of its [`Layout`], such as `drive`. Default: `folder`.
    #[serde(default = "folder")]
    pub name: String,
    /// Its folder; a relative one is looked for from the working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// A plain folder of photographs, instead of `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
    /// The folder of their labels, paired by file name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masks: Option<PathBuf>,
    /// The folder of their fields of view. Default: none, so that they are detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fovs: Option<PathBuf>,
    /// The diameter in pixels to which its fields of view are brought, in place of `recipe.preprocess.resize`: for a camera whose
    /// vessels are wider or narrower for the size of the field of view than others'. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fov_diameter: Option<u32>,
    /// The values of its labels that count, such as `128`, `"128,0,0"`, or `[1, 2]` for arteries and veins. Default: whatever is meant
    /// where that is unambiguous.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "label_value::one_or_several"
    )]
    pub label_value: Vec<String>,
    /// Whether its labels may mark no pixel. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_empty_labels: bool,
    /// Whether its labels may mark more than half of the field of view. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_majority_labels: bool,
    /// Splits to fit weights on. Default: `["train"]`. `["train", "test"]` is for weights that are given away;
    /// `["without_fold:3"]` with `test = ["fold:3"]` and `validation = []` is a fold of leave-one-out.
    #[serde(default = "train")]
    pub train: Vec<String>,
    /// Splits to choose the epoch and the threshold on. Default: `["validation"]`.
    #[serde(default = "validation")]
    pub validation: Vec<String>,
    /// Splits to test on at the end. Default: `["test"]`.
    #[serde(default = "test")]
    pub test: Vec<String>,
}

/// What counts in labels, as a run file says it.
mod label_value {
    use serde::{Deserialize, Deserializer};

    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "a label value is a gray level (128), a colour (\"128,0,0\" or \"#800000\"), or a list of these"
    )]
    enum Given {
        Level(u16),
        Text(String),
        List(Vec<Self>),
    }

    impl Given {
        fn texts(self) -> Vec<String> {
            match self {
                Self::Level(level) => vec![level.to_string()],
                Self::Text(text) => vec![text],
                Self::List(list) => list.into_iter().flat_map(Self::texts).collect(),
            }
        }
    }

    pub(super) fn one_or_several<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<String>, D::Error> {
        Ok(Given::deserialize(deserializer)?.texts())
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn folder() -> String {
    "folder".to_owned()
}

fn train() -> Vec<String> {
    vec![Split::Train.name().to_owned()]
}

fn validation() -> Vec<String> {
    vec![Split::Validation.name().to_owned()]
}

fn test() -> Vec<String> {
    vec![Split::Test.name().to_owned()]
}

/// Which use of a data set is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To fit weights on.
    Train,
    /// To choose the epoch and the threshold on.
    Validation,
    /// To test on.
    Test,
}

impl Purpose {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// As a run file and the record of a run call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

impl From<&DatasetSpec> for DataConfig {
    fn from(spec: &DatasetSpec) -> Self {
        Self {
            name: spec.layout.name.to_owned(),
            path: Some(spec.path.clone()),
            images: None,
            test: test(),
            ..Self::plain(PathBuf::new(), None, None)
        }
    }
}

impl DataConfig {
    /// Plain folders of photographs, of their labels and of their fields of view, to train and validate on.
    pub fn plain(images: PathBuf, masks: Option<PathBuf>, fovs: Option<PathBuf>) -> Self {
        Self {
            name: folder(),
            path: None,
            images: Some(images),
            masks,
            fovs,
            fov_diameter: None,
            label_value: Vec::new(),
            allow_empty_labels: false,
            allow_majority_labels: false,
            train: train(),
            validation: validation(),
            test: Vec::new(),
        }
    }

    /// Photographs without labels, in a folder and those below it, for pretraining.
    pub fn unlabelled(path: PathBuf) -> Self {
        Self {
            name: "unlabelled".to_owned(),
            path: Some(path),
            images: None,
            validation: Vec::new(),
            ..Self::plain(PathBuf::new(), None, None)
        }
    }

    /// The same data to test on, all of it.
    #[must_use]
    pub fn for_test(self) -> Self {
        Self {
            train: Vec::new(),
            validation: Vec::new(),
            test: vec![Split::All.name().to_owned()],
            ..self
        }
    }

    fn splits(&self, purpose: Purpose) -> &[String] {
        match purpose {
            Purpose::Train => &self.train,
            Purpose::Validation => &self.validation,
            Purpose::Test => &self.test,
        }
    }

    /// Where it lies.
    fn root(&self) -> &Path {
        let root = self.images.as_ref().or(self.path.as_ref());
        root.map_or(Path::new(""), PathBuf::as_path)
    }

    /// Checks names, and that the data set is said to lie in one place.
    fn validate(&self) -> Result<()> {
        let layout: Layout = self.name.parse()?;
        for split in Purpose::ALL.iter().flat_map(|p| self.splits(*p)) {
            let _: Split = split.parse()?;
        }
        if let Some(pixels) = self.fov_diameter {
            Resize::FovDiameter(pixels as f32).validate()?;
        }
        self.reading()?;
        let plain = self.masks.is_some() || self.fovs.is_some();
        let reason = match (&self.path, &self.images) {
            (Some(_), None) if !plain => return Ok(()),
            (None, Some(_)) if layout.name == folder() => return Ok(()),
            (None, Some(_)) => "plain folders of images have the name 'folder'",
            (Some(_), _) => "path and images exclude each other; masks and fovs go with images",
            (None, None) => "it needs a path, or images and masks",
        };
        Err(unread(format!("data set '{}': {reason}", self.name)))
    }

    /// How its files are read.
    ///
    /// # Errors
    /// If a label value is none.
    pub fn reading(&self) -> Result<Reading> {
        let values = self.label_value.iter().map(|text| text.parse());
        let values = values.collect::<Result<Vec<LabelValue>, _>>()?;
        Ok(Reading::default()
            .label_values(values)
            .allow_empty(self.allow_empty_labels)
            .allow_majority(self.allow_majority_labels))
    }

    fn files(&self, split: Split) -> Result<FolderSet> {
        let Some(images) = &self.images else {
            let spec = DatasetSpec {
                layout: self.name.parse()?,
                path: self.root().to_owned(),
            };
            return Ok(spec.files(split)?);
        };
        let all = FolderSet::new(images, self.masks.clone(), self.fovs.clone())?;
        let files = match split {
            Split::All | Split::Fold(_) | Split::WithoutFold(_) => all.fold(split)?,
            Split::Train | Split::Validation => all.train_part(split),
            _ => FolderSet::from_files(Vec::new()),
        };
        match files.is_empty() {
            false => Ok(files),
            true => Err(venule::data::Error::EmptySplit {
                dataset: "folder",
                path: images.clone(),
                split: split.name(),
                reason: "of plain folders the last fifth, of two images at least, is 'validation', the rest 'train', and everything 'all'".to_owned(),
            }
            .into()),
        }
    }
}

/// The files of the data sets' splits that serve a purpose. Those of training and validation are named by their data set, `drive_21`;
/// those of a test only where several sets are joined.
pub(crate) fn files(data: &[DataConfig], purpose: Purpose) -> Result<FolderSet> {
    let mut sets = Vec::new();
    for Named { name, data, .. } in named(data, purpose)? {
        for split in data.splits(purpose) {
            let split = split.parse()?;
            let mut files = data.files(split)?.with_fov_diameter(data.fov_diameter);
            files = files.with_reading(&data.reading()?);
            // An image of the test part may have the number of another.
            if purpose != Purpose::Test && split == Split::Test {
                files = files.with_id_prefix("test_");
            }
            sets.push((name.clone(), files));
        }
    }
    let one = sets.windows(2).all(|pair| pair[0].0 == pair[1].0);
    if let (true, Some((name, _))) = (one && purpose != Purpose::Test, sets.first()) {
        let prefix = format!("{name}_");
        return Ok(FolderSet::join_named(sets)?.with_id_prefix(&prefix));
    }
    Ok(FolderSet::join_named(sets)?)
}

/// The photographs that serve to train without labels; with `skip_unreadable` the errors of those left out beside them.
pub(crate) fn unlabelled(
    data: &[DataConfig],
    skip_unreadable: bool,
    fov: FovPolicy,
) -> Result<(FolderSet, Vec<venule::data::Error>)> {
    let photographs = files(data, Purpose::Train)?.without_labels();
    Ok(match skip_unreadable {
        true => photographs.without_unusable(|sample| fov.resolve(sample).map(drop)),
        false => (photographs, Vec::new()),
    })
}

/// A data set with a name of its own: that of its layout, but `hrf-2` for the second folder of one layout.
struct Named<'a> {
    name: String,
    layout: Layout,
    data: &'a DataConfig,
}

/// The data sets that serve a purpose. Their names are the same for every purpose.
fn named(data: &[DataConfig], purpose: Purpose) -> Result<Vec<Named<'_>>> {
    let mut named: Vec<Named> = Vec::new();
    for data in data {
        let layout: Layout = data.name.parse()?;
        let alike: BTreeMap<&Path, &str> = named
            .iter()
            .filter(|other| other.layout == layout)
            .map(|other| (other.data.root(), other.name.as_str()))
            .collect();
        let name = match (alike.get(data.root()), alike.len()) {
            (Some(name), _) => (*name).to_owned(),
            (None, 0) => layout.name.to_owned(),
            (None, before) => format!("{layout}-{}", before + 1),
        };
        named.push(Named { name, layout, data });
    }
    named.retain(|named| !named.data.splits(purpose).is_empty());
    Ok(named)
}

/// More than any machine has: 1 TiB.
const MAX_CACHE_MIB: usize = 1 << 20;

/// The bytes of a cache.
pub(crate) fn cache_bytes(mib: usize) -> Result<usize> {
    match mib {
        ..=MAX_CACHE_MIB => Ok(mib.saturating_mul(1 << 20)),
        _ => Err(venule::Error::Config {
            field: "cache_mib",
            value: mib.to_string(),
            expected: "a cache takes 0 (nothing is kept) to 1048576 MiB",
        }
        .into()),
    }
}

/// Checks each data set.
pub(crate) fn validate(data: &[DataConfig]) -> Result<()> {
    data.iter().try_for_each(DataConfig::validate)
}

/// Checks that no split serves two purposes: what was trained on proves nothing in a test.
pub(crate) fn validate_purposes(data: &[DataConfig]) -> Result<()> {
    let mut uses: Vec<(&DataConfig, Split, Purpose)> = Vec::new();
    for data in data {
        for purpose in Purpose::ALL {
            for split in data.splits(purpose) {
                uses.push((data, split.parse()?, purpose));
            }
        }
    }
    for (index, (data, split, purpose)) in uses.iter().enumerate() {
        for (other, other_split, other_purpose) in &uses[..index] {
            if data.root() == other.root() && split.overlaps(*other_split) {
                return Err(unread(format!(
                    "{split} of {} serves {}, and {other_split} of it serves {}; each image may serve once",
                    data.root().display(),
                    purpose.name(),
                    other_purpose.name()
                )));
            }
        }
    }
    Ok(())
}
