//! Retinal vessel segmentation with masked-autoencoder pretraining, on candle.
