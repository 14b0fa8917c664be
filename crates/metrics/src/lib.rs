//! Segmentation metrics on plain slices: counts that accumulate, ratios computed once.
