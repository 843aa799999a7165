//! The results database: sweeps, runs and everything measured of them, in one SQLite file.
//!
//! The only crate that names sqlx. Its API blocks; the asynchronous driver stays inside. The tables
//! and the `leaderboard` view (`migrations/`) are public, too: people write SQL against them.
//!
//! It trains nothing, schedules nothing and prints nothing.

mod claim;
mod connection;
mod error;
mod inspect;
mod leaderboard;
mod owner;
mod query;
mod record;
mod register;

pub use claim::{Claim, FailedRuns, Failure};
pub use connection::Store;
pub use error::{StoreError, StoreErrorKind};
pub use inspect::{
    ArtefactRecord, EpochRecord, MetricRecord, RunCounts, RunDetails, RunFilter, RunRecord,
    RunState, RunSummary, SweepMembership,
};
pub use leaderboard::{LeaderboardFilter, LeaderboardRow};
pub use owner::{CodeRevision, Owner, OwnerInfo};
pub use query::QueryResult;
pub use register::{NewRun, RunId, SweepId};
