//! Masked autoencoder with a Vision Transformer encoder, for candle.
