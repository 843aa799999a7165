//! The engine worker that runs a sentence encoder.
