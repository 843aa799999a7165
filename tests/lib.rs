//! Whole-system tests live in this package; see `architecture.rs` and `cli/main.rs`.
