//! Users' ranks, for tests and for other programs.

use genair_protocol::{Labels, Protocol, Split};
use sqlx::FromRow;

use crate::json::{Json, json_text};
use crate::labels::LabelColumns;
use crate::show::by_user;
use crate::{RunId, Store, StoreError};

/// The ranks of a run on the test split by one protocol. Runs with the same sequences and split have the same users
/// and targets.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct RunRanks {
    /// The run.
    pub run_id: RunId,
    /// The candidates ranked.
    #[sqlx(try_from = "String")]
    pub protocol: Protocol,
    /// From 0, in the order of the users, and of each in the order of the targets.
    #[sqlx(try_from = "Json<Vec<u32>>")]
    pub ranks: Vec<u32>,
    /// The user of each rank, from 1.
    #[sqlx(try_from = "Json<Vec<u64>>")]
    pub users: Vec<u64>,
    /// Users behind the run's metrics; there are ranks of as many if no user lacks them.
    pub measured: u64,
}

impl RunRanks {
    /// The ranks of each user, with the user's number.
    pub fn by_user(&self) -> impl Iterator<Item = (u64, &[u32])> {
        by_user(&self.users, &self.ranks)
    }

    /// Users that have ranks.
    pub fn ranked_users(&self) -> u64 {
        self.users.chunk_by(|a, b| a == b).count() as u64
    }
}

/// A user's number, from 1, the id that the data have, the number of one of the user's targets, from 1, and its rank,
/// from 0.
pub type TargetRank = (u64, Option<String>, u64, u32);

/// How many ranks a finished run has on the test split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub struct StoredRanks {
    /// The run.
    pub run_id: RunId,
    /// Its users.
    pub users: u64,
    /// By how many protocols they have ranks.
    pub protocols: u64,
}

/// Which ranks to export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RanksFilter {
    /// Only runs of the sweep with this name.
    pub sweep: Option<String>,
    /// Only runs with these numbers, even if newer ones have replaced them; empty means all that none has replaced.
    pub runs: Vec<RunId>,
    /// Of which target.
    pub split: Split,
    /// Among which candidates.
    pub protocol: Protocol,
}

/// A finished run in a sweep.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct RankedRun {
    /// Its number.
    pub run_id: RunId,
    /// The sweep's name.
    pub sweep: String,
    /// What tells it from the sweep's other runs.
    #[sqlx(flatten, try_from = "LabelColumns")]
    pub labels: Labels,
    /// Hash of all that decides its numbers but the seed.
    pub configuration: String,
}

impl Store {
    /// The ranks of runs on the test split, by one protocol or by all.
    pub fn test_ranks(
        &mut self,
        runs: &[RunId],
        protocol: Option<Protocol>,
    ) -> Result<Vec<RunRanks>, StoreError> {
        // One row a run instead of one a user. The inner order is that of the table itself, which costs nothing,
        // where an order within the aggregate would sort it again.
        let ranks = "SELECT run_id, protocol, json_group_array(rank) AS ranks, json_group_array(user) AS users,
                 coalesce((SELECT users FROM metrics
                           WHERE metrics.run_id = listed.run_id AND epoch IS NULL AND metrics.split = listed.split
                             AND metrics.protocol = listed.protocol AND cohort = 'all' LIMIT 1), 0) AS measured
             FROM (SELECT run_id, split, protocol, user, rank FROM ranks
                   WHERE run_id IN (SELECT value FROM json_each(?1)) AND split = 'test'
                     AND (?2 IS NULL OR protocol = ?2)
                   ORDER BY run_id, split, protocol, user, target) AS listed
             GROUP BY run_id, split, protocol";
        let ranks = sqlx::query_as(ranks)
            .bind(json_text(runs))
            .bind(protocol.map(Protocol::as_str));
        self.rows(ranks)
    }

    /// How many ranks each finished run has on the test split by `protocols`; the best on the validation split
    /// (NDCG@10, full ranking, everyone) first.
    pub fn stored_ranks(&mut self, protocols: &[Protocol]) -> Result<Vec<StoredRanks>, StoreError> {
        let protocols: Vec<&str> = protocols.iter().map(|own| own.as_str()).collect();
        // A look into the index for each, where counting would read every rank.
        let stored = "SELECT run_id, users,
                (SELECT count(*) FROM json_each(?) AS wanted WHERE EXISTS (
                     SELECT 1 FROM ranks
                     WHERE ranks.run_id = runs.run_id AND split = 'test' AND protocol = wanted.value
                 )) AS protocols
             FROM runs WHERE state = 'finished' AND users IS NOT NULL
             ORDER BY (SELECT value FROM metrics
                       WHERE metrics.run_id = runs.run_id AND epoch IS NULL AND split = 'valid'
                         AND protocol = 'full' AND cohort = 'all' AND metric = 'ndcg' AND k = 10) DESC, run_id";
        let stored = sqlx::query_as(stored).bind(json_text(&protocols));
        self.rows(stored)
    }

    /// The finished runs that pass `filter` and have ranks, once for every sweep they belong to.
    pub fn ranked_runs(&mut self, filter: &RanksFilter) -> Result<Vec<RankedRun>, StoreError> {
        let runs =
            "SELECT runs.run_id, sweeps.name AS sweep, dataset, backbone, representation, axes,
                configuration, seed
             FROM sweep_runs JOIN sweeps USING (sweep_id) JOIN runs USING (run_id)
             WHERE state = 'finished' AND (?2 IS NULL OR sweeps.name = ?2)
               AND iif(?1 = '[]', NOT superseded, runs.run_id IN (SELECT value FROM json_each(?1)))
               AND EXISTS (SELECT 1 FROM ranks
                           WHERE ranks.run_id = runs.run_id AND split = ?3 AND protocol = ?4)
             ORDER BY sweep_id, runs.run_id";
        let runs = sqlx::query_as(runs)
            .bind(json_text(&filter.runs))
            .bind(&filter.sweep)
            .bind(filter.split.as_str())
            .bind(filter.protocol.as_str());
        self.rows(runs)
    }

    /// Each target of each user of a run: the user's number, from 1, the id that the data have, the number of the target,
    /// from 1, and its rank, from 0.
    pub fn user_ranks(
        &mut self,
        run: RunId,
        split: Split,
        protocol: Protocol,
    ) -> Result<Vec<TargetRank>, StoreError> {
        let ranks = "SELECT ranks.user, user_ids.user_id, ranks.target, ranks.rank
             FROM ranks JOIN runs USING (run_id)
             LEFT JOIN id_sets ON id_sets.sha256 = runs.ids_sha256
             LEFT JOIN user_ids ON user_ids.id_set = id_sets.id_set AND user_ids.user = ranks.user
             WHERE run_id = ? AND split = ? AND protocol = ? ORDER BY ranks.user, ranks.target";
        let ranks = sqlx::query_as(ranks)
            .bind(run)
            .bind(split.as_str())
            .bind(protocol.as_str());
        self.rows(ranks)
    }
}
