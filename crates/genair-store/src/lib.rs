//! The results database: sweeps, runs and everything measured of them, in one SQLite file.
//!
//! The only crate that names sqlx. Its API blocks; the asynchronous driver stays inside. The tables
//! and the `leaderboard` view (`migrations/`) are public, too: people write SQL against them.
//!
//! It trains nothing, schedules nothing and prints nothing.

mod backup;
mod batch;
mod claim;
mod connection;
mod error;
mod estimate;
mod hash;
mod inspect;
mod leaderboard;
mod machine;
mod merge;
mod owner;
mod pruning;
mod query;
mod record;
mod register;
mod show;
mod watch;

pub use backup::Vacuumed;
pub use batch::{Chain, Order};
pub use claim::{Claim, FailedRuns, Failure};
pub use connection::Store;
pub use error::{StoreError, StoreErrorKind};
pub use estimate::{OpenRuns, RunTimes, seconds_left};
pub use inspect::{RunCounts, RunFilter, RunState, RunSummary};
pub use leaderboard::{LeaderboardFilter, LeaderboardMean, LeaderboardRow};
pub use machine::Machine;
pub use merge::Merged;
pub use owner::{CodeRevision, Owner, OwnerInfo};
pub use pruning::{Continued, PeakMemory, PruneDecision, Standing};
pub use query::QueryResult;
pub use record::InputKind;
pub use register::{NewRun, RunId, SweepId};
pub use show::{
    ArtefactRecord, DiagnosticRecord, EpochRecord, InputRecord, MetricRecord, RankList, RunDetails,
    RunRecord, SweepMembership,
};
pub use watch::{RunProgress, SweepProgress};
