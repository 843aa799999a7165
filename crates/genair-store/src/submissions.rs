//! Jobs of a batch system: which run or stage each is of, entered before the system is asked for it, so that none is
//! ever asked for twice.

use serde::Serialize;
use sqlx::{FromRow, SqliteConnection};

use crate::connection::execute;
use crate::register::integer;
use crate::{RunId, Store, StoreError, StoreErrorKind};

/// What a job is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// A run.
    Run(RunId),
    /// A stage, by the SHA-256 of its recipe, lower-case hex.
    Stage(String),
}

/// A job that a batch system was asked for, and that is not known to be over.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow)]
pub struct Submission {
    /// The run it is of, if it is of one.
    pub run_id: Option<RunId>,
    /// The stage it is of, if it is of one.
    pub recipe_sha256: Option<String>,
    /// Name of the submission, which the batch system was told too. Several jobs may share one.
    pub token: String,
    /// Its place in the submission, from 0.
    pub task: u32,
    /// The batch system's name for it, such as `12_3`; none where the system's answer was lost.
    pub job: Option<String>,
    /// Such as `pending` or `running`, as the batch system last said.
    pub state: String,
    /// Why it waits, in the batch system's words.
    pub reason: Option<String>,
    /// The node it runs on.
    pub node: Option<String>,
    /// When it was submitted, RFC 3339.
    pub submitted_at: String,
    /// Seconds since then.
    pub seconds: f64,
}

/// What a batch system says of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmissionState {
    /// What it is of.
    pub work: Work,
    /// The batch system's name for it.
    pub job: String,
    /// Such as `pending` or `running`.
    pub state: &'static str,
    /// Why it waits.
    pub reason: Option<String>,
    /// Where it runs.
    pub node: Option<String>,
}

impl Submission {
    /// What it is of.
    pub fn work(&self) -> Option<Work> {
        match (&self.run_id, &self.recipe_sha256) {
            (Some(run), _) => Some(Work::Run(*run)),
            (None, Some(recipe)) => Some(Work::Stage(recipe.clone())),
            (None, None) => None,
        }
    }
}

/// The columns of a [`Submission`].
pub(crate) const SUBMISSION: &str =
    "run_id, recipe_sha256, token, task, job, state, reason, node, submitted_at,
    unixepoch('now', 'subsec') - unixepoch(submitted_at, 'subsec') AS seconds";

impl Store {
    /// Enters the jobs of a submission, in the order of its tasks, each in the place of an earlier job of the same
    /// work.
    pub fn submit(&mut self, token: &str, works: &[Work]) -> Result<(), StoreError> {
        self.write(async |connection| {
            for (task, work) in works.iter().enumerate() {
                forget(connection, work).await?;
                let (run, recipe) = keys(work);
                let enter = "INSERT INTO submissions (run_id, recipe_sha256, token, task) VALUES (?, ?, ?, ?)";
                let enter = sqlx::query(enter).bind(run).bind(recipe).bind(token);
                execute(connection, enter.bind(integer("task", task as u64)?)).await?;
            }
            Ok(())
        })
    }

    /// Notes what the batch system says of jobs.
    pub fn note_submissions(&mut self, states: &[SubmissionState]) -> Result<(), StoreError> {
        self.write(async |connection| {
            for own in states {
                let (run, recipe) = keys(&own.work);
                let note = sqlx::query(
                    "UPDATE submissions SET job = ?, state = ?, reason = ?, node = ?
                     WHERE run_id = ? OR recipe_sha256 = ?",
                );
                let note = note.bind(&own.job).bind(own.state).bind(&own.reason);
                execute(connection, note.bind(&own.node).bind(run).bind(recipe)).await?;
            }
            Ok(())
        })
    }

    /// Takes the job of each work off the list: it is over, or the batch system never had it.
    pub fn forget_submissions(&mut self, works: &[Work]) -> Result<(), StoreError> {
        self.write(async |connection| {
            for work in works {
                forget(connection, work).await?;
            }
            Ok(())
        })
    }

    /// All jobs that are not known to be over.
    pub fn submissions(&mut self) -> Result<Vec<Submission>, StoreError> {
        let all = format!("SELECT {SUBMISSION} FROM submissions ORDER BY token, task");
        self.rows(sqlx::query_as(sqlx::AssertSqlSafe(all)))
    }
}

impl Store {
    /// The runs that have ended, by the word of their workers or of whoever judged them, and whose jobs are not known
    /// to be over.
    pub fn ended_with_jobs(&mut self) -> Result<Vec<RunId>, StoreError> {
        self.scalars(sqlx::query_scalar(
            "SELECT run_id FROM submissions JOIN runs USING (run_id)
             WHERE runs.state IN ('finished', 'failed', 'pruned') ORDER BY run_id",
        ))
    }
}

fn keys(work: &Work) -> (Option<RunId>, Option<&str>) {
    match work {
        Work::Run(run) => (Some(*run), None),
        Work::Stage(recipe) => (None, Some(recipe)),
    }
}

/// Takes the job of a work off the list.
pub(crate) async fn forget(
    connection: &mut SqliteConnection,
    work: &Work,
) -> Result<(), StoreErrorKind> {
    let (run, recipe) = keys(work);
    let delete = sqlx::query("DELETE FROM submissions WHERE run_id = ? OR recipe_sha256 = ?");
    execute(connection, delete.bind(run).bind(recipe)).await
}
