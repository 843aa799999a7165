//! The whole system through its command: real binary, real workers, real plugins, real database.
//!
//! Each module is one promise of the README. Data are made up, folders temporary; no network.

mod archetypes;
mod composing;
mod crashes;
mod database;
mod exports;
mod full_disk;
mod importing;
mod inputs;
mod kills;
mod limits;
mod load;
mod measured;
mod plugins;
mod provenance;
mod repeatability;
mod reports;
mod searching;
mod sweeping;
mod upkeep;
mod watching;
