//! From the results database to the paper: tables by a declarative report, statistics, and export.
//!
//! Reads a database through `genair-store`, never writes to it, and prints nothing. Every number of a
//! report comes from the database; what must not be compared is refused rather than shown.

mod build;
mod error;
pub mod export;
mod render;
mod rows;
mod runs;
pub mod spec;
pub mod statistics;
mod table;
mod write;

pub use build::build_tables;
pub use error::{ReportError, TableError};
pub use render::{Format, render};
pub use spec::{ReportSpec, SpecError};
pub use table::{Cell, Column, Comparison, Label, Place, Row, RunValue, Style, Table, Tested};
pub use write::write_report;
