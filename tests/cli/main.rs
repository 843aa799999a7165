//! The whole system through its command: real binary, real workers, real plugins, real database.
//!
//! Each module is one promise of the README. Data are made up, folders temporary; no network.

mod archetypes;
mod crashes;
mod database;
mod inputs;
mod plugins;
mod repeatability;
mod sweeping;
