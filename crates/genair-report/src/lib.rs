//! From the results database to the paper: tables and figures by a declarative report, statistics, and
//! export.
//!
//! Reads a database through `genair-store`, which has all SQL, never writes to it, and prints nothing. Every number of a
//! report comes from the database; what must not be compared is refused rather than shown.

mod build;
mod error;
pub mod export;
mod figure;
pub mod html;
mod index;
mod render;
mod report;
mod runs;
pub mod spec;
mod table;
mod write;

pub use error::{ReportError, TableError};
pub use figure::{Figure, FigureFormat};
pub use genair_toml::SpecError;
pub use render::{Format, render};
pub use report::{Lacking, Report, Skipped, make_report};
pub use spec::ReportSpec;
pub use table::{
    Cell, Column, Comparison, Label, Place, Row, RunValue, Style, Table, Tested, Verdict,
};
pub use write::write_report;
