//! Whole-system tests live in this crate; see `architecture.rs` and `cli/`.
