//! From photographs to what a network sees: channels, filters, sizes, crops.

mod channel;
mod clahe;
mod crop;
mod dark_rim;
mod filter;
mod prepared;
mod prepared_set;
mod preprocess;
mod resize;
mod scale;
mod vesselness;
mod wiener;

pub(crate) use filter::{b_spline, window_sums};
pub(crate) use resize::check_size;

pub use channel::Channel;
pub use clahe::Clahe;
pub use crop::PixelBox;
pub use filter::gaussian_blur;
pub use prepared::{FovPolicy, Prepared};
pub use prepared_set::PreparedSet;
pub use preprocess::Preprocess;
pub use resize::{resize_mask, resize_plane};
pub use scale::Resize;
pub use vesselness::vesselness;
pub use wiener::wiener;
