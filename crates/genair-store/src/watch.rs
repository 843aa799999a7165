//! What somebody who watches sweeps wants to see, read in one moment.

use std::collections::HashMap;

use genair_protocol::Labels;
use itertools::Itertools;
use serde::Serialize;
use sqlx::FromRow;

use crate::estimate::{OpenRuns, RUN_TIMES, RunTimes, seconds_left};
use crate::json::json_text;
use crate::labels::LabelColumns;
use crate::{RunCounts, RunId, RunState, Store, StoreError};

/// One sweep, and how far it is. Runs that newer ones have replaced are left out.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow)]
pub struct SweepProgress {
    /// Its name.
    pub sweep: String,
    /// Its runs by state.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub runs: RunCounts,
    /// Seconds until the rest is done, as many runs at once as there are now: see [`seconds_left`].
    #[sqlx(skip)]
    pub seconds_left: Option<f64>,
}

/// One run of a sweep, and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow)]
pub struct RunProgress {
    /// Its number.
    pub run_id: RunId,
    /// Where it stands.
    pub state: RunState,
    /// What tells it from the sweep's other runs.
    #[serde(flatten)]
    #[sqlx(flatten, try_from = "LabelColumns")]
    pub labels: Labels,
    /// Epochs it has told of.
    pub epoch: u64,
    /// Epochs at the most.
    pub max_epochs: Option<u64>,
    /// What early stopping looks at, such as `ndcg@10`.
    pub stop_metric: Option<String>,
    /// Seconds since the attempt began, for a running run; what it took, for a finished one.
    pub seconds: Option<f64>,
    /// Where its job stands in a batch system: submitted, pending, running or ended; none without one.
    pub job_state: Option<String>,
    /// Why its job waits, in the batch system's words.
    pub job_reason: Option<String>,
    /// The batch system's name for its job.
    pub job: Option<String>,
    /// Seconds since its job was submitted.
    pub job_seconds: Option<f64>,
    /// The node it runs on, or ran on.
    pub node: Option<String>,
    /// Code of the failure, such as `plugin-failed`.
    pub failure_kind: Option<String>,
    /// What it was doing.
    pub failure_phase: Option<String>,
    /// What went wrong.
    pub failure_message: Option<String>,
    /// What to do about it.
    pub failure_hint: Option<String>,
    /// The validation metric of each validated epoch, in order.
    #[sqlx(skip)]
    pub curve: Vec<f64>,
}

/// A row of a sweep.
#[derive(FromRow)]
struct OfSweep<T> {
    sweep: String,
    #[sqlx(flatten)]
    row: T,
}

fn by_sweep<T>(rows: Vec<OfSweep<T>>) -> HashMap<String, Vec<T>> {
    let rows = rows.into_iter().map(|own| (own.sweep, own.row));
    rows.into_group_map()
}

impl Store {
    /// All sweeps, the one that was swept last first.
    pub fn sweep_progress(&mut self) -> Result<Vec<SweepProgress>, StoreError> {
        self.read(async |connection| {
            let sweeps = "SELECT sweeps.name AS sweep,
                    count(*) FILTER (WHERE state = 'pending') AS pending,
                    count(*) FILTER (WHERE state = 'running') AS running,
                    count(*) FILTER (WHERE state = 'finished') AS finished,
                    count(*) FILTER (WHERE state = 'failed') AS failed,
                    count(*) FILTER (WHERE state = 'pruned') AS pruned
                 FROM sweeps
                 LEFT JOIN sweep_runs ON sweep_runs.sweep_id = sweeps.sweep_id AND NOT superseded
                 LEFT JOIN runs USING (run_id)
                 GROUP BY sweeps.sweep_id ORDER BY sweeps.updated_at DESC, sweeps.sweep_id DESC";
            let mut sweeps: Vec<SweepProgress> =
                sqlx::query_as(sweeps).fetch_all(&mut *connection).await?;
            let times = sqlx::query_as(RUN_TIMES).bind(None::<&str>);
            let times: Vec<OfSweep<RunTimes>> = times.fetch_all(&mut *connection).await?;
            let open = "SELECT name AS sweep, dataset, backbone, count(*) AS runs,
                    coalesce(sum(unixepoch('now', 'subsec') - unixepoch(started_at, 'subsec'))
                             FILTER (WHERE state = 'running'), 0.0) AS elapsed
                 FROM sweeps JOIN sweep_runs USING (sweep_id) JOIN runs USING (run_id)
                 WHERE state IN ('pending', 'running') AND NOT superseded
                 GROUP BY sweep_id, dataset, backbone";
            let open: Vec<OfSweep<OpenRuns>> = sqlx::query_as(open).fetch_all(connection).await?;
            let (mut times, mut open) = (by_sweep(times), by_sweep(open));
            for sweep in &mut sweeps {
                let times = times.remove(&sweep.sweep).unwrap_or_default();
                let open = open.remove(&sweep.sweep).unwrap_or_default();
                sweep.seconds_left = seconds_left(&times, &open, sweep.runs.running);
            }
            Ok(sweeps)
        })
    }

    /// The runs of a sweep: running ones, then failed, then those that ended last, then those that wait;
    /// at most `limit` of them.
    pub fn run_progress(
        &mut self,
        sweep: &str,
        limit: u32,
    ) -> Result<Vec<RunProgress>, StoreError> {
        self.read(async |connection| {
            let runs = "SELECT run_id, runs.state AS state, dataset, backbone, representation, axes, seed,
                    (SELECT coalesce(max(epoch), 0) FROM epochs WHERE epochs.run_id = runs.run_id) AS epoch,
                    json_extract(spec, '$.train.stop.max_epochs') AS max_epochs,
                    json_extract(spec, '$.train.stop.metric') AS stop_metric,
                    CASE runs.state WHEN 'running' THEN unixepoch('now', 'subsec') - unixepoch(started_at, 'subsec')
                               ELSE seconds END AS seconds,
                    failure_kind, failure_phase, failure_message, failure_hint,
                    jobs.state AS job_state, reason AS job_reason, job, coalesce(host, node) AS node,
                    unixepoch('now', 'subsec') - unixepoch(submitted_at, 'subsec') AS job_seconds
                 FROM sweeps JOIN sweep_runs USING (sweep_id) JOIN runs USING (run_id)
                     LEFT JOIN submissions AS jobs USING (run_id)
                 WHERE name = ? AND NOT superseded
                 ORDER BY CASE runs.state WHEN 'running' THEN 0 WHEN 'failed' THEN 1 WHEN 'pending' THEN 3 ELSE 2 END,
                     CASE WHEN runs.state IN ('finished', 'pruned') THEN finished_at END DESC, run_id
                 LIMIT ?";
            let mut runs: Vec<RunProgress> = sqlx::query_as(runs)
                .bind(sweep)
                .bind(limit)
                .fetch_all(&mut *connection)
                .await?;
            let numbers: Vec<RunId> = runs.iter().map(|run| run.run_id).collect();
            let curves = "SELECT run_id, valid FROM json_each(?) AS wanted
                 JOIN epochs ON epochs.run_id = wanted.value
                 WHERE valid IS NOT NULL ORDER BY run_id, epoch";
            let curves: Vec<(RunId, f64)> = sqlx::query_as(curves)
                .bind(json_text(&numbers))
                .fetch_all(connection)
                .await?;
            let mut of_run = curves.into_iter().into_group_map();
            for run in &mut runs {
                run.curve = of_run.remove(&run.run_id).unwrap_or_default();
            }
            Ok(runs)
        })
    }
}
