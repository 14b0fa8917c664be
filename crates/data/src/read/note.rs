use std::fmt;

/// What is worth saying of a photograph or a map that was read, beyond its pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// Pages of a TIFF that are no photographs of their own were passed over.
    PagesPassedOver {
        /// The page that was read, counted from 1.
        page: usize,
        /// Number of pages.
        pages: usize,
        /// The others: page, and what it is.
        others: Vec<(usize, String)>,
    },
    /// One page of several photographs was read, as the caller asked.
    PageChosen {
        /// The page, counted from 1.
        page: usize,
        /// Number of pages.
        pages: usize,
    },
    /// Gray pages of a TIFF were put together as the channels of one photograph, as the file says.
    ChannelsJoined {
        /// Number of pages.
        pages: usize,
    },
    /// The samples use fewer bits than the file stores, and were stretched by their own depth.
    Stretched {
        /// Bits that samples have.
        bits: u32,
        /// The greatest of them.
        greatest: u32,
    },
    /// The EXIF orientation turned or mirrored the photograph.
    Turned {
        /// The orientation, 2 to 8.
        orientation: u8,
    },
    /// The file holds several JPEG pictures, of a stereo camera or one that keeps depth, and the first was read.
    FirstPicture {
        /// Number of pictures.
        pictures: usize,
    },
    /// One picture of an animation was read: the first, or a still one.
    FirstFrame {
        /// Number of pictures that move.
        frames: usize,
        /// Whether the one that was read is none of them: the default image of an animated PNG can stand apart.
        apart: bool,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PagesPassedOver {
                page,
                pages,
                others,
            } => {
                write!(f, "page {page} of {pages} was read; passed over:")?;
                for (at, (other, what)) in others.iter().take(4).enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma} page {other} ({what})")?;
                }
                match others.len() {
                    0..=4 => Ok(()),
                    more => write!(f, " and {} more", more - 4),
                }
            }
            Self::PageChosen { page, pages } => write!(f, "page {page} of {pages} was read"),
            Self::ChannelsJoined { pages } => write!(
                f,
                "its {pages} gray pages were put together as the channels of one photograph, as the file says"
            ),
            Self::Stretched { bits, greatest } => write!(
                f,
                "its brightest sample is {greatest} of 65535, so it is read as {bits}-bit data"
            ),
            Self::Turned { orientation } => write!(
                f,
                "EXIF orientation {orientation} {} it; maps drawn over the stored pixels do not fit",
                match orientation {
                    2 | 4 => "mirrored",
                    5 | 7 => "turned and mirrored",
                    _ => "turned",
                }
            ),
            Self::FirstPicture { pictures } => {
                write!(
                    f,
                    "it holds {pictures} JPEG pictures; the first was read (`--page` chooses another)"
                )
            }
            Self::FirstFrame {
                frames,
                apart: false,
            } => write!(
                f,
                "it is an animation; the first of its {frames} pictures was read"
            ),
            Self::FirstFrame {
                frames,
                apart: true,
            } => {
                let plural = if *frames == 1 { "" } else { "s" };
                write!(
                    f,
                    "it is an animation of {frames} picture{plural}; its default image, which is none of them, was read"
                )
            }
        }
    }
}
