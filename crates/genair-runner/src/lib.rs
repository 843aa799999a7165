//! The core runner: a sweep becomes a plan, a plan becomes worker processes, their events become rows.
//!
//! Start with [`Plan`] and [`sweep`]. Never links libtorch: a run is a process of
//! `genair-trainer`, so that a crash costs one run.

mod artefacts;
mod code;
mod difference;
mod events;
mod executor;
mod folder;
mod identity;
mod interrupt;
mod memory;
mod observer;
mod plan;
pub mod plugins;
mod prepare;
mod prune;
mod queue;
mod rebuild;
mod recommend;
mod reproduce;
mod schedule;
mod shared_store;
mod source;
mod stage;
mod stored;
mod template;
mod trainer;

pub use artefacts::run_folder;
pub use code::{CODE_DIRTY, CODE_REVISION, code_revision};
pub use difference::{Difference, Differing, RankPair, ResultPair, RunLabels};
pub use executor::batch::{StageJobError, make_stage};
pub use executor::trial::{ClusterTrial, TrialError, try_slurm};
pub use identity::{configuration, identity};
pub use interrupt::{Interrupt, Urgency};
pub use observer::{Notice, Observer, Outcome};
pub use plan::{Member, Plan, PlanError, PlannedRun};
pub use prepare::{Archetypes, StageProgress, archetypes, prepare};
pub use rebuild::{RebuildError, Rebuilt, Skipped, rebuild};
pub use recommend::{Lists, ListsMade, RecommendError, Recommender};
pub use reproduce::{Comparison, Input, InputState, ReproduceError, Reproduction};
pub use schedule::{CRASH_RETRIES, Execution, SweepError, SweepReport, sweep};
pub use source::{catalogue, fitted};
pub use stage::{Stage, StageError, StageKind, StageName};
pub use template::{TemplateError, write_backbone};
pub use trainer::{Trainer, TrainerError};
