//! Vessel segmentation models: decoders over any encoder, freezing, tiled inference.
