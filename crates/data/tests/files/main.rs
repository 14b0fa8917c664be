//! Image files and data sets: formats, damaged files, published layouts, real data where there is any.

mod as_downloaded;
#[cfg(target_os = "linux")]
mod bombs;
mod build;
mod checked;
#[cfg(feature = "dicom")]
mod dicom;
mod folders;
mod fov;
mod fuzzed;
mod hostile;
mod labels;
mod layouts;
#[cfg(target_os = "linux")]
mod loader_memory;
mod maps;
#[cfg(target_os = "linux")]
mod memory;
mod photographs;
mod read;
mod real;
mod replay;
mod shapes;
#[cfg(feature = "webp")]
mod webp;
