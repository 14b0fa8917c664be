//! A server that finds the vessels in photographs that are posted to it: an example of `venule` in a service.
//!
//! - `POST /segment`, the body a photograph: JSON or a PNG, as `Accept` says. `?kind=mask|probability|overlay`, `?threshold=0.4`.
//! - `GET /healthz`: how many photographs are worked on and wait.
//!
//! It answers within bounds: of an upload's bytes and time, of photographs at work and waiting, of connections. Who goes away is not
//! worked for: the segmentation ends between two tiles. When it is stopped it answers what it has begun.
#![forbid(unsafe_code)]

mod app;
mod asked;
mod failure;
mod options;
mod serve;
mod work;

pub use app::{Server, router};
pub use failure::Failure;
pub use options::Options;
pub use serve::serve;
