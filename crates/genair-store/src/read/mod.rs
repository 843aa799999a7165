//! What reports, exports and the page are made of, read as typed rows. What a value means to them is their business.
//! Where a function says nothing else, it fails on a database that cannot be read, and on that alone.

mod curves;
mod metrics;
mod page;
mod ranks;
mod runs;
mod tables;

use std::collections::BTreeMap;

use sqlx::FromRow;
use sqlx::sqlite::SqliteRow;

use crate::json::json_text;
use crate::{RunId, Store, StoreError};

pub use curves::{CurvePoint, ItemRecord, StopMetric};
pub use metrics::{CohortUsers, EpochMetric, Measure, MeasureResults};
pub use page::PageRun;
pub use ranks::{RankedRun, RanksFilter, RunRanks, StoredRanks, TargetRank};
pub use runs::{SweepRecord, SweptRun};
pub use tables::{ColumnKind, TableColumn, TableInfo};

/// Rows by the number of their run, in order.
pub type ByRun<T> = BTreeMap<RunId, Vec<T>>;

/// A row of a run.
#[derive(FromRow)]
struct OfRun<T> {
    run_id: RunId,
    #[sqlx(flatten)]
    row: T,
}

impl Store {
    /// The rows of a query with a `run_id`, which takes its runs from the JSON array `?1`.
    fn rows_by_run<T>(&mut self, sql: &'static str, runs: &[RunId]) -> Result<ByRun<T>, StoreError>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let rows: Vec<OfRun<T>> = self.rows(sqlx::query_as(sql).bind(json_text(runs)))?;
        let mut by_run = ByRun::new();
        for OfRun { run_id, row } in rows {
            by_run.entry(run_id).or_insert_with(Vec::new).push(row);
        }
        Ok(by_run)
    }
}
