//! Image files and data sets: formats, damaged files, published layouts, real data where there is any.

mod fov;
mod hostile;
mod layouts;
mod read;
mod real;
