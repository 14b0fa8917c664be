//! The workspace as a whole: who imports whom, the models, the two trainings, bad input, the finished segmenter.
#![forbid(unsafe_code)]

mod architecture;
mod bad_input;
mod models;
mod presets;
mod real_data;
mod scoring;
mod segmenter;
mod support;
mod training;
