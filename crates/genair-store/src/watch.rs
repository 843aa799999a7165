//! What somebody who watches sweeps wants to see, read in one moment.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::FromRow;

use crate::{RunId, RunState, Store, StoreError};

/// One sweep, and how far it is. Runs that newer ones have replaced are left out.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow)]
pub struct SweepProgress {
    /// Its name.
    pub sweep: String,
    /// Runs nobody works on.
    pub pending: u64,
    /// Runs in the hands of a process.
    pub running: u64,
    /// Runs with results.
    pub finished: u64,
    /// Runs without.
    pub failed: u64,
    /// Runs stopped early for being worse than others.
    pub pruned: u64,
    /// Seconds until the rest is done if it goes on as it did: as many at once as there are now, each as
    /// long as the finished runs of its backbone on its dataset, or else as any took. `None` where nothing
    /// is left, nothing runs, or nothing has finished yet.
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
    /// The dataset's name.
    pub dataset: String,
    /// The backbone's name.
    pub backbone: String,
    /// The representation's name.
    pub representation: String,
    /// Swept axes beyond the named ones; often empty.
    pub variant: String,
    /// The run's seed.
    pub seed: u64,
    /// Epochs it has told of.
    pub epoch: u64,
    /// Epochs at the most.
    pub max_epochs: Option<u64>,
    /// What early stopping looks at, such as `ndcg@10`.
    pub stop_metric: Option<String>,
    /// Seconds since the attempt began, for a running run; what it took, for a finished one.
    pub seconds: Option<f64>,
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

#[derive(FromRow)]
struct Took {
    sweep: String,
    dataset: String,
    backbone: String,
    seconds: f64,
}

#[derive(FromRow)]
struct Open {
    sweep: String,
    dataset: String,
    backbone: String,
    runs: u64,
    elapsed: f64,
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
            let took = "SELECT name AS sweep, dataset, backbone, avg(seconds) AS seconds
                 FROM sweeps JOIN sweep_runs USING (sweep_id) JOIN runs USING (run_id)
                 WHERE state = 'finished' AND seconds IS NOT NULL AND NOT superseded
                 GROUP BY sweep_id, dataset, backbone";
            let took: Vec<Took> = sqlx::query_as(took).fetch_all(&mut *connection).await?;
            let open = "SELECT name AS sweep, dataset, backbone, count(*) AS runs,
                    coalesce(sum(unixepoch('now', 'subsec') - unixepoch(started_at, 'subsec'))
                             FILTER (WHERE state = 'running'), 0.0) AS elapsed
                 FROM sweeps JOIN sweep_runs USING (sweep_id) JOIN runs USING (run_id)
                 WHERE state IN ('pending', 'running') AND NOT superseded
                 GROUP BY sweep_id, dataset, backbone";
            let open: Vec<Open> = sqlx::query_as(open).fetch_all(connection).await?;
            for sweep in &mut sweeps {
                sweep.seconds_left = seconds_left(sweep, &took, &open);
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
            let runs = "SELECT run_id, state, dataset, backbone, representation, variant, seed,
                    (SELECT coalesce(max(epoch), 0) FROM epochs WHERE epochs.run_id = runs.run_id) AS epoch,
                    json_extract(spec, '$.train.stop.max_epochs') AS max_epochs,
                    json_extract(spec, '$.train.stop.metric') AS stop_metric,
                    CASE state WHEN 'running' THEN unixepoch('now', 'subsec') - unixepoch(started_at, 'subsec')
                               ELSE seconds END AS seconds,
                    failure_kind, failure_phase, failure_message, failure_hint
                 FROM sweeps JOIN sweep_runs USING (sweep_id) JOIN runs USING (run_id)
                 WHERE name = ? AND NOT superseded
                 ORDER BY CASE state WHEN 'running' THEN 0 WHEN 'failed' THEN 1 WHEN 'pending' THEN 3 ELSE 2 END,
                     CASE WHEN state IN ('finished', 'pruned') THEN finished_at END DESC, run_id
                 LIMIT ?";
            let mut runs: Vec<RunProgress> = sqlx::query_as(runs)
                .bind(sweep)
                .bind(limit)
                .fetch_all(&mut *connection)
                .await?;
            let numbers: Vec<i64> = runs.iter().map(|run| run.run_id.0).collect();
            let curves = "SELECT run_id, valid FROM json_each(?) AS wanted
                 JOIN epochs ON epochs.run_id = wanted.value
                 WHERE valid IS NOT NULL ORDER BY run_id, epoch";
            let curves: Vec<(i64, f64)> = sqlx::query_as(curves)
                .bind(serde_json::Value::from(numbers).to_string())
                .fetch_all(connection)
                .await?;
            let mut of_run: HashMap<i64, Vec<f64>> = HashMap::new();
            for (run, valid) in curves {
                of_run.entry(run).or_default().push(valid);
            }
            for run in &mut runs {
                run.curve = of_run.remove(&run.run_id.0).unwrap_or_default();
            }
            Ok(runs)
        })
    }
}

fn seconds_left(sweep: &SweepProgress, took: &[Took], open: &[Open]) -> Option<f64> {
    if sweep.running == 0 {
        return None;
    }
    let took: Vec<&Took> = took
        .iter()
        .filter(|took| took.sweep == sweep.sweep)
        .collect();
    let mean = |of: &[&Took]| {
        let sum: f64 = of.iter().map(|took| took.seconds).sum();
        (!of.is_empty()).then(|| sum / of.len() as f64)
    };
    let any = mean(&took)?;
    let work: f64 = open
        .iter()
        .filter(|open| open.sweep == sweep.sweep)
        .map(|open| {
            let alike: Vec<&Took> = took
                .iter()
                .copied()
                .filter(|took| took.dataset == open.dataset && took.backbone == open.backbone)
                .collect();
            let each = mean(&alike).unwrap_or(any);
            (each * open.runs as f64 - open.elapsed).max(0.0)
        })
        .sum();
    Some(work / sweep.running as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_the_like_of_it_took() {
        let sweep = SweepProgress {
            sweep: "s".to_owned(),
            pending: 3,
            running: 2,
            finished: 2,
            failed: 0,
            pruned: 0,
            seconds_left: None,
        };
        let took = [("sasrec", 10.0), ("caser", 30.0)].map(|(backbone, seconds)| Took {
            sweep: "s".to_owned(),
            dataset: "d".to_owned(),
            backbone: backbone.to_owned(),
            seconds,
        });
        let open =
            [("sasrec", 3, 5.0), ("gru4rec", 2, 0.0)].map(|(backbone, runs, elapsed)| Open {
                sweep: "s".to_owned(),
                dataset: "d".to_owned(),
                backbone: backbone.to_owned(),
                runs,
                elapsed,
            });
        // Three more of ten seconds, of which five are gone; two of twenty, the mean; two at once.
        assert_eq!(
            seconds_left(&sweep, &took, &open),
            Some((25.0 + 40.0) / 2.0)
        );
        assert_eq!(seconds_left(&sweep, &[], &open), None);
        let stands = SweepProgress {
            running: 0,
            ..sweep
        };
        assert_eq!(seconds_left(&stands, &took, &open), None);
    }
}
