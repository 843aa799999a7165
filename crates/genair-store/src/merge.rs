//! Taking over what another database knows, such as one from another machine.
//!
//! Runs are the same where their identity is, so a merge may be repeated and comes to the same whichever
//! database is merged into which: of two states of a run, the further one stays.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;
use sqlx::{AssertSqlSafe, FromRow, SqliteConnection};

use crate::backup::snapshot;
use crate::claim::{RESULTS, reset};
use crate::connection::execute;
use crate::presence::FileIdentity;
use crate::{OwnerInfo, RunId, RunState, Store, StoreError, StoreErrorKind, SweepId};

/// What a merge did with the other database's runs; each is in one of the first four counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Merged {
    /// Runs that are new here, with results or without.
    pub added: u64,
    /// Runs known here that had got further there.
    pub replaced: u64,
    /// Runs that are as far here, or further.
    pub kept: u64,
    /// Runs that a process is executing for this database, and which are left to it.
    pub running: u64,
    /// Sweeps that are new here.
    pub sweeps: u64,
    /// Of the runs kept, those whose results differ there although their identity says they cannot.
    pub differing: Vec<RunId>,
}

impl Store {
    /// Takes over the runs and sweeps of the database `other`, all or none, and leaves `other` as it is.
    ///
    /// Finished goes before pruned, pruned before failed, failed before anything else; a run that is
    /// executed elsewhere is pending here. A sweep that both have takes the spec and the leaderboard of
    /// whichever was swept last; every text it ever had stays in `sweep_specs`.
    ///
    /// # Errors
    /// `other` is this database, is none of ours, or is of another schema; one of them cannot be read or
    /// written.
    pub fn merge(&mut self, other: impl AsRef<Path>) -> Result<Merged, StoreError> {
        let other = other.as_ref();
        let of_other = |kind| StoreError::new(other, kind);
        let file = FileIdentity::of(other);
        if file.is_some() && file == FileIdentity::of(self.path()) {
            return Err(of_other(StoreErrorKind::SameFile));
        }
        let folder = genair_files::folder_of(self.path());
        let not_written = |source| StoreErrorKind::CopyNotWritten {
            path: folder.to_owned(),
            source,
        };
        let folder = tempfile::Builder::new()
            .prefix(".merge-")
            .tempdir_in(folder);
        let folder = folder.map_err(|source| of_other(not_written(source)))?;
        let copy = folder.path().join("other.db");
        snapshot(other, &copy).map_err(of_other)?;
        Store::open(&copy)
            .and_then(Store::close)
            .map_err(|error| of_other(error.kind))?;
        self.write_beside(&copy, merge)
    }
}

/// Merges the attached database `theirs` into `main`.
async fn merge(connection: &mut SqliteConnection) -> Result<Merged, StoreErrorKind> {
    for copy in [
        "INSERT INTO machines SELECT * FROM theirs.machines WHERE TRUE ON CONFLICT DO NOTHING",
        "INSERT INTO code_diffs SELECT * FROM theirs.code_diffs WHERE TRUE ON CONFLICT DO NOTHING",
        "INSERT INTO id_sets (sha256) SELECT sha256 FROM theirs.id_sets WHERE TRUE ON CONFLICT DO NOTHING",
        "INSERT INTO user_ids SELECT ours.id_set, user, user_id
         FROM theirs.user_ids JOIN theirs.id_sets AS own USING (id_set) JOIN main.id_sets AS ours USING (sha256)
         WHERE TRUE ON CONFLICT DO NOTHING",
        "INSERT INTO item_ids SELECT ours.id_set, item, item_id
         FROM theirs.item_ids JOIN theirs.id_sets AS own USING (id_set) JOIN main.id_sets AS ours USING (sha256)
         WHERE TRUE ON CONFLICT DO NOTHING",
    ] {
        execute(connection, sqlx::query(copy)).await?;
    }
    let mut merged = Merged::default();
    let ours_of = merge_runs(connection, &mut merged).await?;
    let sweeps =
        sqlx::query_as("SELECT sweep_id, name, updated_at FROM theirs.sweeps ORDER BY sweep_id");
    let sweeps: Vec<Sweep> = sweeps.fetch_all(&mut *connection).await?;
    for sweep in sweeps {
        merge_sweep(connection, &sweep, &ours_of, &mut merged).await?;
    }
    Ok(merged)
}

#[derive(FromRow)]
struct Run {
    run_id: RunId,
    identity: String,
    state: RunState,
    owner: Option<String>,
}

/// Returns the number here of each of their runs.
async fn merge_runs(
    connection: &mut SqliteConnection,
    merged: &mut Merged,
) -> Result<HashMap<RunId, RunId>, StoreErrorKind> {
    let ours: Vec<Run> = sqlx::query_as("SELECT run_id, identity, state, owner FROM main.runs")
        .fetch_all(&mut *connection)
        .await?;
    let ours = ours.iter().map(|run| (run.identity.as_str(), run));
    let ours: HashMap<&str, &Run> = ours.collect();
    let theirs: Vec<Run> =
        sqlx::query_as("SELECT run_id, identity, state, owner FROM theirs.runs ORDER BY run_id")
            .fetch_all(&mut *connection)
            .await?;
    let results = ResultColumns::load(connection).await?;
    let mut ours_of = HashMap::with_capacity(theirs.len());
    for run in &theirs {
        let number = match ours.get(run.identity.as_str()) {
            None => {
                merged.added += 1;
                let number = add(connection, run.run_id).await?;
                if progress(run.state) > 0 {
                    results.copy(connection, run.run_id, number).await?;
                }
                number
            }
            Some(own) if is_executed(connection, own).await? => {
                merged.running += 1;
                own.run_id
            }
            Some(own) if progress(run.state) > progress(own.state) => {
                merged.replaced += 1;
                results.copy(connection, run.run_id, own.run_id).await?;
                own.run_id
            }
            Some(own) => {
                merged.kept += 1;
                let both = (own.state, run.state) == (RunState::Finished, RunState::Finished);
                if both && results_differ(connection, run.run_id, own.run_id).await? {
                    merged.differing.push(own.run_id);
                }
                own.run_id
            }
        };
        ours_of.insert(run.run_id, number);
    }
    Ok(ours_of)
}

/// How far a run got; what is under way elsewhere counts for nothing.
fn progress(state: RunState) -> u8 {
    match state {
        RunState::Pending | RunState::Running => 0,
        RunState::Failed => 1,
        RunState::Pruned => 2,
        RunState::Finished => 3,
    }
}

async fn is_executed(connection: &mut SqliteConnection, run: &Run) -> Result<bool, StoreErrorKind> {
    match &run.owner {
        Some(owner) => Ok(!OwnerInfo::load(connection, owner).await?.is_stale()),
        None => Ok(false),
    }
}

/// Enters one of their runs as planned.
async fn add(connection: &mut SqliteConnection, theirs: RunId) -> Result<RunId, StoreErrorKind> {
    let add = "INSERT INTO main.runs (identity, configuration, spec, spec_sha256, dataset, backbone,
                                      representation, seed, data_sha256, plugin_sha256, results_version, created_at)
               SELECT identity, configuration, spec, spec_sha256, dataset, backbone,
                      representation, seed, data_sha256, plugin_sha256, results_version, created_at
               FROM theirs.runs WHERE run_id = ?
               RETURNING run_id";
    let add = sqlx::query_scalar(add).bind(theirs);
    Ok(add.fetch_one(connection).await?)
}

async fn results_differ(
    connection: &mut SqliteConnection,
    theirs: RunId,
    ours: RunId,
) -> Result<bool, StoreErrorKind> {
    let differ = "WITH
             theirs AS (SELECT split, protocol, cohort, metric, k, value, users FROM theirs.metrics
                        WHERE run_id = ?1 AND epoch IS NULL),
             ours AS (SELECT split, protocol, cohort, metric, k, value, users FROM main.metrics
                      WHERE run_id = ?2 AND epoch IS NULL)
         SELECT EXISTS (SELECT * FROM theirs EXCEPT SELECT * FROM ours)
             OR EXISTS (SELECT * FROM ours EXCEPT SELECT * FROM theirs)";
    let differ = sqlx::query_scalar(differ).bind(theirs).bind(ours);
    Ok(differ.fetch_one(connection).await?)
}

/// The statements that copy what was measured of a run, made from the columns there are, so that none is
/// forgotten.
struct ResultColumns {
    statements: Vec<String>,
}

impl ResultColumns {
    async fn load(connection: &mut SqliteConnection) -> Result<Self, StoreErrorKind> {
        // What `add` enters, or what only one of the databases can say.
        let planned = "SELECT group_concat(name, ', ') FROM pragma_table_info('runs') WHERE name NOT IN (
            'run_id', 'owner', 'attempts', 'identity', 'configuration', 'spec', 'spec_sha256', 'dataset', 'backbone',
            'representation', 'seed', 'data_sha256', 'plugin_sha256', 'results_version', 'created_at')";
        let columns: String = sqlx::query_scalar(planned)
            .fetch_one(&mut *connection)
            .await?;
        let update = format!(
            "UPDATE main.runs
             SET attempts = attempts + (SELECT attempts FROM theirs.runs WHERE run_id = ?1),
                 ({columns}) = (SELECT {columns} FROM theirs.runs WHERE run_id = ?1)
             WHERE run_id = ?2"
        );
        let mut statements = Vec::new();
        // A new attempt keeps how earlier ones were judged, so that is no result.
        for table in RESULTS.iter().chain(&["prune_decisions"]) {
            let columns =
                "SELECT group_concat(name, ', ') FROM pragma_table_info(?) WHERE name <> 'run_id'";
            let columns: String = sqlx::query_scalar(columns)
                .bind(table)
                .fetch_one(&mut *connection)
                .await?;
            statements.push(format!(
                "INSERT INTO main.{table} (run_id, {columns}) SELECT ?2, {columns} FROM theirs.{table} WHERE run_id = ?1"
            ));
        }
        // Last: a run that becomes finished is summed up by what was measured of it.
        statements.push(update);
        Ok(Self { statements })
    }

    /// Replaces what is known of our run by what is known of theirs.
    async fn copy(
        &self,
        connection: &mut SqliteConnection,
        theirs: RunId,
        ours: RunId,
    ) -> Result<(), StoreErrorKind> {
        reset(connection, ours).await?;
        let delete = sqlx::query("DELETE FROM main.prune_decisions WHERE run_id = ?");
        execute(connection, delete.bind(ours)).await?;
        for statement in &self.statements {
            // Made of names from our own tables alone.
            let copy = sqlx::query(AssertSqlSafe(statement.as_str()));
            execute(connection, copy.bind(theirs).bind(ours)).await?;
        }
        Ok(())
    }
}

#[derive(FromRow)]
struct Sweep {
    sweep_id: SweepId,
    name: String,
    updated_at: String,
}

#[derive(FromRow)]
struct Place {
    run_id: RunId,
    axes: String,
    variant: String,
    superseded: bool,
}

async fn merge_sweep(
    connection: &mut SqliteConnection,
    theirs: &Sweep,
    ours_of: &HashMap<RunId, RunId>,
    merged: &mut Merged,
) -> Result<(), StoreErrorKind> {
    let ours: Option<Sweep> =
        sqlx::query_as("SELECT sweep_id, name, updated_at FROM main.sweeps WHERE name = ?")
            .bind(&theirs.name)
            .fetch_optional(&mut *connection)
            .await?;
    let is_older = |ours: &Sweep| theirs.updated_at > ours.updated_at;
    let newer = ours.as_ref().is_none_or(is_older);
    merged.sweeps += u64::from(ours.is_none());
    let enter = if newer {
        "INSERT INTO main.sweeps (name, spec_path, spec_text, searched, created_at, updated_at)
         SELECT name, spec_path, spec_text, searched, created_at, updated_at FROM theirs.sweeps WHERE sweep_id = ?
         ON CONFLICT (name) DO UPDATE SET spec_path = excluded.spec_path, spec_text = excluded.spec_text,
             searched = excluded.searched, updated_at = excluded.updated_at
         RETURNING sweep_id"
    } else {
        "SELECT ours.sweep_id FROM main.sweeps AS ours JOIN theirs.sweeps AS theirs USING (name)
         WHERE theirs.sweep_id = ?"
    };
    let sweep: SweepId = sqlx::query_scalar(enter)
        .bind(theirs.sweep_id)
        .fetch_one(&mut *connection)
        .await?;
    let specs = sqlx::query(
        "INSERT INTO main.sweep_specs (sweep_id, spec_text, spec_path, swept_at)
         SELECT ?1, spec_text, spec_path, swept_at FROM theirs.sweep_specs WHERE sweep_id = ?2
         ON CONFLICT DO NOTHING",
    );
    execute(connection, specs.bind(sweep).bind(theirs.sweep_id)).await?;
    let places = "SELECT run_id, axes, variant, superseded FROM theirs.sweep_runs WHERE sweep_id = ? ORDER BY run_id";
    let places: Vec<Place> = sqlx::query_as(places)
        .bind(theirs.sweep_id)
        .fetch_all(&mut *connection)
        .await?;
    for place in places {
        if let Some(&run) = ours_of.get(&place.run_id) {
            merge_place(connection, sweep, run, &place, newer).await?;
        }
    }
    Ok(())
}

/// Makes `run` part of our sweep. Where another run has its labels, the sweep that is newer decides which
/// of the two is on the leaderboard.
async fn merge_place(
    connection: &mut SqliteConnection,
    sweep: SweepId,
    run: RunId,
    theirs: &Place,
    newer: bool,
) -> Result<(), StoreErrorKind> {
    let enter = if newer {
        "INSERT INTO main.sweep_runs (sweep_id, run_id, axes, variant, superseded) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE
         SET axes = excluded.axes, variant = excluded.variant, superseded = excluded.superseded"
    } else {
        "INSERT INTO main.sweep_runs (sweep_id, run_id, axes, variant, superseded) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO NOTHING"
    };
    let enter = sqlx::query(enter).bind(sweep).bind(run);
    let enter = enter
        .bind(&theirs.axes)
        .bind(&theirs.variant)
        .bind(theirs.superseded);
    let entered = enter.execute(&mut *connection).await?;
    if theirs.superseded || entered.rows_affected() == 0 {
        return Ok(());
    }
    let rivals = rivals(connection, sweep, run).await?;
    if newer {
        for rival in rivals {
            supersede(connection, sweep, rival).await?;
        }
    } else if !rivals.is_empty() {
        supersede(connection, sweep, run).await?;
    }
    Ok(())
}

/// The other runs on a sweep's leaderboard that have the labels of `run` there.
async fn rivals(
    connection: &mut SqliteConnection,
    sweep: SweepId,
    run: RunId,
) -> Result<Vec<RunId>, StoreErrorKind> {
    let rivals = sqlx::query_scalar(
        "SELECT other.run_id
         FROM sweep_runs AS place
         JOIN runs AS own ON own.run_id = place.run_id
         JOIN sweep_runs AS other_place ON other_place.sweep_id = place.sweep_id
              AND other_place.axes = place.axes AND NOT other_place.superseded
         JOIN runs AS other ON other.run_id = other_place.run_id AND other.run_id <> own.run_id
              AND (other.dataset, other.backbone, other.representation, other.seed)
                = (own.dataset, own.backbone, own.representation, own.seed)
         WHERE place.sweep_id = ? AND place.run_id = ?",
    );
    Ok(rivals.bind(sweep).bind(run).fetch_all(connection).await?)
}

/// Takes a run off a sweep's leaderboard.
async fn supersede(
    connection: &mut SqliteConnection,
    sweep: SweepId,
    run: RunId,
) -> Result<(), StoreErrorKind> {
    let supersede = "UPDATE sweep_runs SET superseded = 1 WHERE sweep_id = ? AND run_id = ?";
    execute(connection, sqlx::query(supersede).bind(sweep).bind(run)).await
}
