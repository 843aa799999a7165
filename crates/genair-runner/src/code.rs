//! The source this program was built from; `build.rs` asks git.

/// Git revision, or `unknown` without git.
pub const CODE_REVISION: &str = env!("GENAIR_CODE_REVISION");

/// Whether tracked files differed from the revision when this program was built.
pub const CODE_DIRTY: bool = matches!(env!("GENAIR_CODE_DIRTY").as_bytes(), b"true");
