//! Evaluation of next-item rankings: scores to ranks, ranks to HR@k, NDCG@k and MRR@k, user and
//! item cohorts, lists, and the negatives of the sampled protocols.
//!
//! Plain numbers in, plain numbers out: no tensors, no files, no clock, no global random state.

mod beyond;
mod cohort;
mod combine;
mod error;
mod metrics;
mod negatives;
mod rank;
pub mod statistics;
mod top_k;

pub use beyond::{ItemFacts, ListSums};
pub use cohort::{CohortThresholds, Membership};
pub use combine::{mix, normalise};
pub use error::EvalError;
pub use metrics::{RankedTarget, evaluate, value_of_rank, value_of_ranks};
pub use negatives::{Popularity, sampled_negatives};
pub use rank::{rank, sampled_rank};
pub use top_k::{Listed, top_k};
