use std::path::PathBuf;

use crate::LeftOut;

/// Everything that can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Pixel data does not fill its width and height.
    #[error("a raster of {width}x{height} pixels needs {width}*{height} values, but {length} came")]
    RasterLength {
        /// Pixels per row.
        width: usize,
        /// Number of rows.
        height: usize,
        /// Number of values given.
        length: usize,
    },
    /// Two maps that belong together differ in size.
    #[error("{what} has size {}x{}, but {}x{} (width x height) was expected; image, label and field of view must have one size{}", found.0, found.1, expected.0, expected.1, turned(*expected, *found))]
    SizeMismatch {
        /// The map at fault.
        what: String,
        /// Expected (width, height).
        expected: (usize, usize),
        /// Found (width, height).
        found: (usize, usize),
    },
    /// A file or folder could not be opened, read or written.
    #[error("cannot access {}: {source}; check that the path exists and is readable", path.display())]
    Io {
        /// The path at fault.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A colour image where a map of gray values was expected.
    #[error("{} is a colour image, but a map of probabilities is gray; save the prediction as 8- or 16-bit gray values", path.display())]
    NotGray {
        /// The file.
        path: PathBuf,
    },
    /// A prediction shows nothing, and holds something where it is transparent.
    #[error("{} is bright where it is transparent and black where it is not, so which pixels are meant cannot be told; save the prediction as gray values without alpha", path.display())]
    HiddenPrediction {
        /// The file.
        path: PathBuf,
    },
    /// A data set was asked for a sample that it does not have.
    #[error("sample {index} was asked for, but the data set has {len}; count from 0")]
    IndexOutOfRange {
        /// The index asked for.
        index: usize,
        /// Number of samples there are.
        len: usize,
    },
    /// A setting is outside what it may be.
    #[error("{field} is {found}, but must be {expected}")]
    InvalidConfig {
        /// The setting or argument, usually as `Type::field`.
        field: &'static str,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A field of view is so small that enlarging it to the network's scale would show nothing.
    #[error(
        "the field of view is {diameter:.1} pixels wide, but the network sees it {wanted} pixels wide; that is more than 16 times as much, or makes the photograph larger than 67 million pixels: use a larger photograph, another field of view, or another size"
    )]
    SmallFieldOfView {
        /// Its equivalent diameter in pixels.
        diameter: f64,
        /// The diameter it was to be brought to.
        wanted: f32,
    },
    /// A field of view holds no pixel, so nothing can be standardised or trained on.
    #[error(
        "the field of view of '{id}' holds no pixel; give another mask, or choose detection or the full frame explicitly"
    )]
    EmptyFieldOfView {
        /// The image at fault.
        id: String,
    },
    /// A field of view was required, and the sample has none.
    #[error(
        "sample '{id}' has no field of view; supply one, or choose detection or the full frame explicitly"
    )]
    MissingFieldOfView {
        /// The sample at fault.
        id: String,
    },
    /// A label that marks nothing, or more than half of the field of view.
    #[error(
        "the label of '{id}' marks {vessels} of {pixels} pixels in the field of view as vessel, but 8 to 14 % are usual; check that the right file is paired with the image and that black and white are not exchanged, drop the label, or allow it (`Sample::allowed`)"
    )]
    UnusableLabel {
        /// The sample at fault.
        id: String,
        /// Vessel pixels in the field of view.
        vessels: usize,
        /// Pixels in the field of view.
        pixels: usize,
    },
    /// An image or weight map holds NaN or an infinity.
    #[error(
        "the {what} of '{id}' holds a value that is not finite; check the file and its preprocessing"
    )]
    NotFinite {
        /// `"image"` or `"weights"`.
        what: &'static str,
        /// The sample at fault.
        id: String,
    },
    /// A batch of no samples was asked for.
    #[error("a batch needs at least one sample, but none came")]
    EmptyBatch,
    /// Some samples of a batch have a map that others lack.
    #[error(
        "sample '{id}' differs from the first of its batch in having or lacking {what}; a batch needs it in all samples or in none"
    )]
    MixedBatch {
        /// `"a label"`, `"weights"` or `"colour channels"`.
        what: &'static str,
        /// The first sample that differs.
        id: String,
    },
    /// An image could not be encoded as PNG.
    #[error("cannot encode the image for {}: {source}", path.display())]
    Encode {
        /// Where it was to be written.
        path: PathBuf,
        /// The cause.
        source: image::ImageError,
    },
    /// Code that a loader thread called panicked.
    #[error(
        "making an example of sample {index} panicked on a loader thread; the message is on standard error"
    )]
    WorkerPanic {
        /// The sample's index in its data set.
        index: usize,
    },
    /// No file name of a folder follows the pattern given.
    #[error("no file name in {} follows the pattern '{pattern}'; the first is '{example}'", path.display())]
    NoneOfPattern {
        /// The folder.
        path: PathBuf,
        /// The pattern.
        pattern: String,
        /// The first image's name without extension.
        example: String,
    },
    /// A path that should be a file is a folder, a device or a pipe.
    #[error("{} is not a regular file; an image file was expected", path.display())]
    NotAFile {
        /// The path at fault.
        path: PathBuf,
    },
    /// A file is larger, or unpacks to more, than is read.
    #[error("{} holds more than {limit} bytes (after unpacking, if it is gzip), the most that is read; scale the image down", path.display())]
    FileTooLarge {
        /// The file at fault.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file's first bytes are those of no readable image format.
    #[error("{} is not an image in a readable format (it begins with {begins}); PNG, JPEG, TIFF, GIF, BMP or PNM, plain or gzipped, was expected", path.display())]
    UnknownFormat {
        /// The file at fault.
        path: PathBuf,
        /// What its first bytes are.
        begins: String,
    },
    /// An image file is damaged, or of a kind that the decoder does not know.
    #[error("cannot decode {} as {format}: {reason}; replace the file, or save it anew as 8-bit PNG", path.display())]
    Decode {
        /// The file at fault.
        path: PathBuf,
        /// The format found by content, e.g. `"JPEG"`.
        format: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// An image has more pixels than are read, or none.
    #[error("{} has {width}x{height} pixels, but 1 to {limit} in all were expected", path.display())]
    PixelCount {
        /// The file at fault.
        path: PathBuf,
        /// Pixels per row.
        width: u32,
        /// Number of rows.
        height: u32,
        /// Most pixels read.
        limit: u64,
    },
    /// A file is known, and not read.
    #[error("{} is {what}, which is not read: {remedy}", path.display())]
    UnreadFormat {
        /// The file at fault.
        path: PathBuf,
        /// What it is, and what contradicts its name.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A TIFF holds several photographs, or several maps.
    #[error("{} holds {photographs} {} to a file of its own", path.display(), several(sizes, *is_map))]
    SeveralPages {
        /// The file at fault.
        path: PathBuf,
        /// Number of photographs.
        photographs: usize,
        /// Pages and sizes of the first of them.
        sizes: String,
        /// Whether a map was expected, whose page cannot be chosen.
        is_map: bool,
    },
    /// A page was asked for that a file does not have.
    #[error("{} has no page {page}; it has {pages}, counted from 1", path.display())]
    NoPage {
        /// The file.
        path: PathBuf,
        /// The page asked for.
        page: usize,
        /// Number of pages there are.
        pages: usize,
    },
    /// Which pixels of a mask are marked cannot be told.
    #[error("cannot tell which pixels of mask {} are marked: {reason} ({values}); store marked pixels as 255 and all others as 0, or say which values count (`--label-value`)", path.display())]
    AmbiguousMask {
        /// The file at fault.
        path: PathBuf,
        /// Why.
        reason: &'static str,
        /// The values found, with numbers of pixels.
        values: String,
    },
    /// No pixel of a mask has a value that was said to count.
    #[error("no pixel of mask {} has a value that counts ({wanted}); it holds {values}: name one of these (`--label-value`)", path.display())]
    LabelValueAbsent {
        /// The file at fault.
        path: PathBuf,
        /// The values asked for.
        wanted: String,
        /// The values found, with numbers of pixels.
        values: String,
    },
    /// A label marks nothing in the field of view.
    #[error("label {} marks none of {pixels} pixels in the field of view; check that it is the right file, or say that labels may be empty (`--allow-empty-labels`)", path.display())]
    EmptyLabel {
        /// The file at fault.
        path: PathBuf,
        /// Pixels in the field of view.
        pixels: usize,
    },
    /// A label marks most of the field of view.
    #[error("label {} marks {vessels} of {pixels} pixels in the field of view ({:.1} %), but vessels cover 8 to 14 %: are black and white exchanged? Store vessels white on black, or say that labels may mark most (`--allow-majority-labels`)", path.display(), 100.0 * *vessels as f64 / (*pixels).max(1) as f64)]
    MajorityLabel {
        /// The file at fault.
        path: PathBuf,
        /// Pixels marked in the field of view.
        vessels: usize,
        /// Pixels in the field of view.
        pixels: usize,
    },
    /// A mask of the field of view marks the border.
    #[error("field of view {} holds the four corners and not the centre ({marked} of {pixels} pixels): are black and white exchanged? Store the retina white on black, or leave the mask out", path.display())]
    InvertedFieldOfView {
        /// The file at fault.
        path: PathBuf,
        /// Pixels marked.
        marked: usize,
        /// Pixels in all.
        pixels: usize,
    },
    /// A mask of the field of view marks nothing.
    #[error("field of view {} marks no pixel; give another mask, or leave it out", path.display())]
    EmptyFieldOfViewMask {
        /// The file at fault.
        path: PathBuf,
    },
    /// Predictions are written in another range than their samples'.
    #[error("the greatest value of all predictions in {} is {greatest} of {maximum} (in {}), so no pixel could pass half of white; store probabilities from 0 to {maximum}, or masks of two values", folder.display(), file.display())]
    PredictionRange {
        /// The folder at fault.
        folder: PathBuf,
        /// The file with the greatest value.
        file: PathBuf,
        /// That value.
        greatest: u32,
        /// The greatest value that samples can hold.
        maximum: u32,
    },
    /// One prediction is written in another range than those beside it.
    #[error("prediction {} reaches only {greatest} of {maximum}, as {what} does, while others in {} reach white or near it: no pixel of it could pass half of white; store it in the scale of the others, or all black if it marks nothing", file.display(), folder.display())]
    PredictionOfOtherScale {
        /// The file at fault.
        file: PathBuf,
        /// Its folder.
        folder: PathBuf,
        /// Its greatest value.
        greatest: u32,
        /// The greatest value that its samples can hold.
        maximum: u32,
        /// What its values look like.
        what: &'static str,
    },
    /// A map carries an orientation that its photograph is not known to share.
    #[error("{} carries orientation {orientation} (EXIF, or TIFF tag 274), {}: whether its pixels fit as shown or as stored cannot be told; save it upright without the tag, or remove the tag if it was drawn over the stored pixels", map.display(), match photograph {
        Some(photograph) => format!("which its photograph {} does not", photograph.display()),
        None => "which is not applied to a map read by itself".to_owned(),
    })]
    TurnedMap {
        /// The label, field of view or prediction.
        map: PathBuf,
        /// Its orientation, 2 to 8.
        orientation: u8,
        /// The photograph beside which it was read, if any.
        photograph: Option<PathBuf>,
    },
    /// A photograph was turned or mirrored by its EXIF orientation, and its map may not be.
    #[error("EXIF orientation {orientation} turned or mirrored photograph {}, and {} carries none: whether it fits the picture as shown or as stored cannot be told; save the photograph upright without the tag, or remove the tag if the map was drawn over the stored pixels", photograph.display(), map.display())]
    TurnedPhotograph {
        /// The photograph.
        photograph: PathBuf,
        /// Its orientation, 2 to 8.
        orientation: u8,
        /// The label, field of view or prediction.
        map: PathBuf,
    },
    /// A folder lacks a part of its data set's layout.
    #[error("{} is not a folder; {expected}", path.display())]
    MissingFolder {
        /// The folder that should exist.
        path: PathBuf,
        /// The layout expected and the remedy.
        expected: String,
    },
    /// A folder has no image file.
    #[error("no {} found in {}{}; put images there or choose another folder", if left_out.iter().any(|left| left.reason.is_mask()) { "photograph" } else { "image file" }, path.display(), LeftOut::list(left_out, 8))]
    NoImages {
        /// The folder at fault.
        path: PathBuf,
        /// What it holds instead.
        left_out: Vec<LeftOut>,
    },
    /// A file has no partner in another folder.
    #[error("{} (id '{id}') has no partner in {}; add the missing file, remove this one, or name both alike", file.display(), folder.display())]
    MissingPartner {
        /// The file without a partner.
        file: PathBuf,
        /// Its id by the pairing rule.
        id: String,
        /// The folder searched.
        folder: PathBuf,
    },
    /// The files of two folders do not pair one to one by any of the documented rules.
    #[error("cannot pair {} with {}: {reason}; name each pair alike, e.g. 'a.jpg' and 'a.png' or 'a.jpg' and 'a_mask.png'", images.display(), partners.display())]
    Unpaired {
        /// The folder of images.
        images: PathBuf,
        /// The folder of masks.
        partners: PathBuf,
        /// The first file that has no partner, or several.
        reason: String,
    },
    /// Two files of one folder, or two samples of joined sets, have the same id, or a photograph comes twice.
    #[error("{} and {} have the same id '{id}'; rename, remove or leave out one", first.display(), second.display())]
    AmbiguousId {
        /// The id.
        id: String,
        /// One file.
        first: PathBuf,
        /// The other file.
        second: PathBuf,
    },
    /// A data set has no sample in the split asked for.
    #[error("{dataset} at {} has no {split} sample: {reason}", path.display())]
    EmptySplit {
        /// The data set's name.
        dataset: &'static str,
        /// The folder.
        path: PathBuf,
        /// The split asked for.
        split: &'static str,
        /// The rule of the split and the remedy.
        reason: String,
    },
    /// A fold that a data set does not have.
    #[error("there is no {fold}; {}", match images {
        Some(images) => format!("the data set has {images} images, so fold:1 to fold:{images}"),
        None => "a fold has a number from 1, such as fold:3 or without_fold:3".to_owned(),
    })]
    NoFold {
        /// The fold asked for.
        fold: String,
        /// Number of images there are, if a data set was looked at.
        images: Option<usize>,
    },
    /// A name that none of the known data sets or splits has.
    #[error("unknown {what} '{found}'; expected one of {expected}{}", suggestion.as_ref().map(|name| format!("; did you mean '{name}'?")).unwrap_or_default())]
    UnknownName {
        /// `"data set"` or `"split"`.
        what: &'static str,
        /// The name given.
        found: String,
        /// The names there are.
        expected: String,
        /// The closest of them.
        suggestion: Option<&'static str>,
    },
    /// A layout of that name is there already, or the name is none.
    #[error("a data set layout '{name}' cannot be added: {reason}")]
    UnusableLayout {
        /// The name.
        name: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Two samples of a data set have one id.
    #[error(
        "samples {first} and {second} (counted from 0) of the data set have the same id '{id}'; give each its own"
    )]
    DuplicateId {
        /// The id.
        id: String,
        /// Index of the first.
        first: usize,
        /// Index of the second.
        second: usize,
    },
    /// What a data set of the caller's own reports.
    #[error("{what} failed: {source}")]
    Custom {
        /// What was being done, with the sample's name where there is one.
        what: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A data set was not given as NAME=PATH.
    #[error(
        "data set '{found}' is not of the form NAME=PATH, e.g. drive=data/DRIVE; names: {names}"
    )]
    InvalidSpec {
        /// The text given.
        found: String,
        /// The names there are.
        names: String,
    },
    /// No field of view can be seen in a photograph.
    #[error(
        "no field of view found: {reason}; cut off what surrounds the retina, pass a mask of the field of view, or choose the full frame explicitly"
    )]
    FieldOfViewNotFound {
        /// What was seen instead.
        reason: String,
    },
    /// A sample cannot be used, for a reason that its file does not say.
    #[error("{id}: {error}")]
    Sample {
        /// The sample at fault.
        id: String,
        /// What is wrong with it.
        error: Box<Error>,
    },
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] venule_file::Error),
    /// A tensor could not be made.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// What was expected instead of several pictures in one file, up to the remedy.
fn several(sizes: &str, is_map: bool) -> String {
    match is_map {
        true => format!("pictures ({sizes}), but a map has one; save the one that is meant"),
        false => format!(
            "photographs ({sizes}), but one was expected; choose one by its page (`--page 1`), or save each"
        ),
    }
}

/// What two sizes that are each other's transpose hint at.
fn turned(expected: (usize, usize), found: (usize, usize)) -> &'static str {
    match found == (expected.1, expected.0) && found != expected {
        true => {
            " (width and height are exchanged: the photograph's EXIF orientation may have turned it, while the other file has none; store both upright)"
        }
        false => "",
    }
}

impl Error {
    /// An error of the caller's own, such as of a [`Dataset`](crate::Dataset) that reads what this crate does not.
    ///
    /// ```
    /// let error = venule_data::Error::custom("loading '01' from the archive", "no such entry");
    /// assert_eq!(error.to_string(), "loading '01' from the archive failed: no such entry");
    /// ```
    pub fn custom(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Custom {
            what: what.into(),
            source: source.into(),
        }
    }

    /// The same, naming the sample where it only speaks of a photograph or its field of view.
    pub fn of_sample(self, id: &str) -> Self {
        match self {
            Self::FieldOfViewNotFound { .. } | Self::SmallFieldOfView { .. } => Self::Sample {
                id: id.to_owned(),
                error: Box::new(self),
            },
            Self::EmptyFieldOfView { .. } => Self::EmptyFieldOfView { id: id.to_owned() },
            other => other,
        }
    }
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
