//! Hand-made interleavings.
