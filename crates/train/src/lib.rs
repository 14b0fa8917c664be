//! Optimizers, schedules, checkpoints and a training loop, generic over model, loss and data.
