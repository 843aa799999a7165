//! The source this program was built from; `build.rs` asks git.

use genair_store::CodeRevision;

/// Git revision, or `unknown` without git.
pub const CODE_REVISION: &str = env!("GENAIR_CODE_REVISION");

/// Whether the tree differed from the revision when this program was built.
pub const CODE_DIRTY: bool = matches!(env!("GENAIR_CODE_DIRTY").as_bytes(), b"true");

/// How it differed; empty where it did not. At most a mebibyte.
const CODE_DIFF: &str = include_str!(concat!(env!("OUT_DIR"), "/code.diff"));

/// What a run's row says about this program.
pub fn code_revision() -> CodeRevision {
    CodeRevision {
        revision: CODE_REVISION.to_owned(),
        dirty: CODE_DIRTY,
        diff: (!CODE_DIFF.is_empty()).then(|| CODE_DIFF.to_owned()),
    }
}
