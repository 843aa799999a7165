//! The whole system through its command: real binary, real workers, real plugins, real database.
//!
//! Each module is one promise of the README. Data are made up, folders temporary; no network.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod archetypes;
mod axes;
mod causes;
mod composing;
mod configurations;
mod crashes;
mod database;
mod exports;
mod full_disk;
mod hostile_plugins;
mod importing;
mod inputs;
mod kills;
mod limits;
mod load;
mod lost_database;
mod measured;
mod output;
mod plugins;
mod process_limits;
mod provenance;
mod reading;
mod repeatability;
mod reports;
mod searching;
mod stages;
mod sweeping;
mod terminal;
mod upkeep;
mod watching;
