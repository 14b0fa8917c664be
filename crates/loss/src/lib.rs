//! Segmentation losses on logits with valid-pixel maps, for candle.
