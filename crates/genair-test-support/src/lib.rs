//! What whole-system tests stand on: [`lab`], a folder in which the real program runs. Fails by
//! panicking, as tests do. What every backbone must do is `genair-conformance`'s.

pub mod lab;
