//! The slow tests of the whole system: kills, load, full disks, few processes, hostile plugins, lost databases and
//! large input. They take minutes, and mostly wait for processes.
//!
//! They are a target of their own so that `just test --fast` can leave them out.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod crashes;
mod full_disk;
mod hostile_plugins;
mod kills;
mod limits;
mod load;
mod lost_database;
mod measured;
mod process_limits;
mod repeatability;
