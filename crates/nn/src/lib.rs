//! Differentiable neural-network operations, layers and a seeded parameter store for candle.
