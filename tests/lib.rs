//! Whole-system tests live in this package; see `architecture.rs`, `cli/main.rs` and `stress/main.rs`.
