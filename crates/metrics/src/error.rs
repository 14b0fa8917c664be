use std::fmt;

/// Everything that can go wrong in this crate.
///
/// Its texts are written by hand: the crate depends on nothing.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// Two slices that belong together differ in length.
    LengthMismatch {
        /// The slice at fault.
        what: &'static str,
        /// Expected number of values.
        expected: usize,
        /// Number of values given.
        found: usize,
    },
    /// A map does not fill its width and height.
    ImageLength {
        /// Pixels per row.
        width: usize,
        /// Number of rows.
        height: usize,
        /// Number of values given.
        found: usize,
    },
    /// An image is beyond what 32-bit pixel indices or squared distances hold.
    ImageTooLarge {
        /// Pixels per row.
        width: usize,
        /// Number of rows.
        height: usize,
        /// The computation that cannot take it.
        what: &'static str,
    },
    /// A score at a valid pixel is NaN.
    NanScore {
        /// Position in the slice.
        index: usize,
    },
    /// A score at a valid pixel is no probability.
    NotAProbability {
        /// Position in the slice.
        index: usize,
        /// The score found there.
        value: f32,
    },
    /// A threshold is NaN.
    NanThreshold,
    /// Two accumulators with different settings cannot be merged.
    MergeMismatch {
        /// The setting that differs.
        what: &'static str,
        /// Its value here.
        left: String,
        /// Its value in the other accumulator.
        right: String,
    },
    /// A metric of one's own cannot be used.
    InvalidMetric {
        /// Its name.
        name: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// Class bounds are not finite and strictly rising.
    InvalidBounds {
        /// The bounds given.
        bounds: Vec<f32>,
    },
    /// A number of bins, resamples or permutations is out of range.
    CountOutOfRange {
        /// What is counted.
        what: &'static str,
        /// Smallest value allowed.
        minimum: usize,
        /// Largest value allowed.
        maximum: usize,
        /// The value given.
        found: usize,
    },
    /// A confidence level is not strictly between 0 and 1.
    InvalidConfidence {
        /// The level given.
        confidence: f64,
    },
    /// A value handed to a statistic is NaN or infinite.
    NotFinite {
        /// Position in the slice.
        index: usize,
        /// The value found there.
        value: f64,
    },
    /// A statistic over nothing was asked for.
    Empty {
        /// The statistic.
        what: &'static str,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LengthMismatch {
                what,
                expected,
                found,
            } => write!(
                f,
                "{what} has {found} values, but {expected} were expected; scores, targets and valid map must have one value per pixel"
            ),
            Self::ImageLength {
                width,
                height,
                found,
            } => write!(
                f,
                "an image of {width}x{height} pixels needs {width}*{height} values, but {found} came"
            ),
            Self::ImageTooLarge {
                width,
                height,
                what,
            } => write!(
                f,
                "an image of {width}x{height} pixels is too large for {what}; evaluate it in parts"
            ),
            Self::NanScore { index } => write!(
                f,
                "the score at index {index} is NaN; scores of valid pixels must be numbers"
            ),
            Self::NotAProbability { index, value } => write!(
                f,
                "the score at index {index} is {value}, but a probability in [0, 1] was expected; apply a sigmoid to logits first"
            ),
            Self::NanThreshold => write!(
                f,
                "the threshold is NaN; give a number, for probabilities in [0, 1]"
            ),
            Self::MergeMismatch { what, left, right } => write!(
                f,
                "cannot merge accumulators with different {what}: {left} and {right}; build both with the same arguments"
            ),
            Self::InvalidMetric { name, problem } => {
                write!(f, "the metric {name:?} cannot be used: {problem}")
            }
            Self::InvalidBounds { bounds } => write!(
                f,
                "width bounds must be finite, positive and strictly rising, but {bounds:?} came; for example [3, 5, 7]"
            ),
            Self::CountOutOfRange {
                what,
                minimum,
                maximum,
                found,
            } => write!(
                f,
                "{what} must lie in {minimum}..={maximum}, but {found} came"
            ),
            Self::InvalidConfidence { confidence } => write!(
                f,
                "the confidence level must lie strictly between 0 and 1, but {confidence} came; 0.95 is usual"
            ),
            Self::NotFinite { index, value } => write!(
                f,
                "the value at index {index} is {value}, but a finite number was expected; leave undefined scores out"
            ),
            Self::Empty { what } => write!(f, "{what} needs at least one value, but none came"),
        }
    }
}

impl std::error::Error for Error {}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
