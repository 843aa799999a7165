//! What tests share: the conformance suite that every backbone passes, and a lab for whole-system
//! tests. Fails by panicking, as tests do.

pub mod lab;
