//! How long the rest of a sweep takes, from what its finished runs took.

use sqlx::FromRow;

use crate::{Store, StoreError};

/// What the finished runs of one backbone on one dataset took.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct RunTimes {
    /// The dataset's name.
    pub dataset: String,
    /// The backbone's name.
    pub backbone: String,
    /// Finished runs.
    pub runs: u64,
    /// Seconds of all of them together.
    pub seconds: f64,
}

/// Runs of one backbone on one dataset that have not ended.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct OpenRuns {
    /// The dataset's name.
    pub dataset: String,
    /// The backbone's name.
    pub backbone: String,
    /// Runs that wait or run.
    pub runs: u64,
    /// Seconds since the attempts of those that run began, together.
    pub elapsed: f64,
}

/// Seconds until all open runs are done, if it goes on as it did: `at_once` runs at a time, each as long as
/// the mean of the finished runs of its backbone on its dataset, or else of any. `None` where nothing runs
/// or nothing has finished yet.
pub fn seconds_left(times: &[RunTimes], open: &[OpenRuns], at_once: u64) -> Option<f64> {
    let mean = |of: &mut dyn Iterator<Item = &RunTimes>| {
        let (runs, seconds) = of.fold((0, 0.0), |(runs, seconds), own| {
            (runs + own.runs, seconds + own.seconds)
        });
        (runs > 0).then(|| seconds / runs as f64)
    };
    let any = mean(&mut times.iter())?;
    if at_once == 0 {
        return None;
    }
    let work = open.iter().map(|open| {
        let alike = |own: &&RunTimes| own.dataset == open.dataset && own.backbone == open.backbone;
        let each = mean(&mut times.iter().filter(alike)).unwrap_or(any);
        (each * open.runs as f64 - open.elapsed).max(0.0)
    });
    Some(work.sum::<f64>() / at_once as f64)
}

impl Store {
    /// What the finished runs of a sweep took, but those that newer ones have replaced.
    pub fn run_times(&mut self, sweep: &str) -> Result<Vec<RunTimes>, StoreError> {
        self.rows(sqlx::query_as(RUN_TIMES).bind(sweep))
    }
}

/// The `RunTimes` of the sweep `?1`, or of every `sweep`.
pub(crate) const RUN_TIMES: &str =
    "SELECT name AS sweep, dataset, backbone, count(*) AS runs, sum(seconds) AS seconds
     FROM sweeps JOIN sweep_runs USING (sweep_id) JOIN runs USING (run_id)
     WHERE (?1 IS NULL OR name = ?1) AND state = 'finished' AND seconds IS NOT NULL AND NOT superseded
     GROUP BY sweep_id, dataset, backbone";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_the_like_of_it_took() {
        let times =
            [("sasrec", 2, 20.0), ("caser", 1, 40.0)].map(|(backbone, runs, seconds)| RunTimes {
                dataset: "d".to_owned(),
                backbone: backbone.to_owned(),
                runs,
                seconds,
            });
        let open =
            [("sasrec", 3, 5.0), ("gru4rec", 2, 0.0)].map(|(backbone, runs, elapsed)| OpenRuns {
                dataset: "d".to_owned(),
                backbone: backbone.to_owned(),
                runs,
                elapsed,
            });
        // Three more of ten seconds, of which five are gone; two of twenty, the mean of all; two at once.
        assert_eq!(seconds_left(&times, &open, 2), Some((25.0 + 40.0) / 2.0));
        // Nobody knows before the first has finished.
        assert_eq!(seconds_left(&[], &open, 2), None);
        assert_eq!(seconds_left(&times, &open, 0), None);
        assert_eq!(seconds_left(&times, &[], 2), Some(0.0));
    }
}
