//! What a written file computes is what the network computes.
#![forbid(unsafe_code)]

mod networks;
mod refusals;
#[cfg(feature = "tract")]
mod running;
#[cfg(feature = "tract")]
mod strangers;
mod written;
