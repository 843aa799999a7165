//! Child processes and threads, the same for every crate that starts some. A child gets no secrets, is in a
//! group of its own that ends with it, is listened to without ever waiting for ever, and ends with its parent.

mod ask;
mod child;
mod command;
mod lines;
mod output;
mod parent;
mod thread;
mod worker;

pub use ask::{Reply, ReplyEnd, ask};
pub use child::Child;
pub use command::{command, keep_from_children};
pub use lines::{Heard, Lines};
pub use output::{Output, output};
pub use parent::end_with_parent;
pub use thread::{NoThread, PROCESS_HINT, REFUSED, is_refusal, spare_threads, spawn, spawn_scoped};
pub use worker::Worker;

/// What a program of ours ends with where the system refused it a thread, and the same may go well later:
/// `EX_TEMPFAIL` of sysexits.h.
pub const TRY_AGAIN: u8 = 75;
