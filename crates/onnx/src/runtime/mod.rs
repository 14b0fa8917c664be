//! Reading and running ONNX files.

mod check;
mod interface;
mod network;
mod scan;

pub use interface::Interface;
pub use network::OnnxNetwork;
