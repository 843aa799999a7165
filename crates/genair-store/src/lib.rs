//! The results database: sweeps, runs and everything measured of them, in one SQLite file.
//!
//! The only crate that names sqlx or writes SQL. Its API blocks; the asynchronous driver stays inside. The tables
//! and the `leaderboard` view (`schema.sql`) are public, too: people write SQL against them.
//!
//! It trains nothing, schedules nothing and prints nothing.

mod backup;
mod claim;
mod connection;
mod delete;
mod error;
mod estimate;
mod inspect;
mod json;
mod labels;
mod leaderboard;
mod machine;
mod merge;
mod network;
mod owner;
mod place;
mod presence;
mod pruning;
mod query;
mod read;
mod record;
mod register;
mod select;
mod show;
mod stages;
mod statement;
mod submissions;
mod watch;

pub use backup::Vacuumed;
pub use claim::{Claim, FailedRuns, Failure};
pub use connection::Store;
pub use delete::{Deletion, Doomed, DoomedRun};
pub use error::{StoreError, StoreErrorKind};
pub use estimate::{OpenRuns, RunTimes, seconds_left};
pub use inspect::{RunCounts, RunFilter, RunState, RunSummary, Shown};
pub use leaderboard::{LeaderboardMean, MeanFilter};
pub use machine::{Machine, host};
pub use merge::Merged;
pub use owner::{CodeRevision, Owner, OwnerInfo};
pub use place::create_folder;
pub use pruning::{Continued, PeakMemory, PruneDecision, Standing};
pub use query::{Fetched, QueryResult};
pub use read::{
    ByRun, CohortUsers, ColumnKind, CurvePoint, EpochMetric, ItemRecord, Measure, MeasureResults,
    PageRun, RankedRun, RanksFilter, RunRanks, StopMetric, StoredRanks, SweepRecord, SweptRun,
    TableColumn, TableInfo, TargetRank,
};
pub use record::InputKind;
pub use register::{NewRun, Registered, RunId, SweepId};
pub use select::{Choice, Select, Selected, Standpoint, choose};
pub use show::{
    ArtefactRecord, CountRecord, DiagnosticRecord, EpochRecord, InputRecord, MetricRecord,
    RankList, RunDetails, RunRecord, SweepMembership,
};
pub use stages::{NewStage, StageProgress};
pub use submissions::{Submission, SubmissionState, Work};
pub use watch::{RunProgress, SweepProgress};
