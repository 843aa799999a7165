//! `genair results`: reading the database.

use anyhow::Context;
use genair_eval::{Cohort, Split};
use genair_store::{LeaderboardFilter, RunDetails, RunFilter, RunId, Store};

use crate::args::{Format, Results};
use crate::exit::Exit;
use crate::output::{cell, facts, metric, table};
use crate::standings::{self, Standing};

pub(super) fn results(format: Format, command: &Results) -> anyhow::Result<Exit> {
    match command {
        Results::List {
            sweep,
            superseded,
            database,
        } => {
            let filter = RunFilter {
                sweep: sweep.clone(),
                state: None,
                superseded: *superseded,
            };
            let runs = Store::open_read_only(database.path())?.list_runs(&filter)?;
            let headers = [
                "run",
                "sweep",
                "state",
                "dataset",
                "backbone",
                "representation",
                "variant",
                "seed",
                "valid",
                "test",
                "seconds",
            ];
            let rows = runs.iter().map(|run| {
                [
                    run.run_id.to_string(),
                    run.sweep.clone(),
                    run.state.as_str().to_owned(),
                    run.dataset.clone(),
                    run.backbone.clone(),
                    run.representation.clone(),
                    run.variant.clone(),
                    run.seed.to_string(),
                    metric(run.valid_ndcg_10),
                    metric(run.test_ndcg_10),
                    run.seconds
                        .map(|seconds| format!("{seconds:.1}"))
                        .unwrap_or_default(),
                ]
            });
            let right = ["run", "seed", "valid", "test", "seconds"];
            format.show(&runs, || {
                format!(
                    "{}\n\nvalid, test: NDCG@10 among all items",
                    table(&headers, &right, rows)
                )
            })?;
        }
        Results::Show { run, database } => {
            let details = Store::open_read_only(database.path())?.show_run(RunId(*run))?;
            let text = text(&details)?;
            format.show(&details, || text)?;
        }
        Results::Leaderboard { sweep, database } => {
            let mut store = Store::open_read_only(database.path())?;
            let standings = standings_of(&mut store, sweep.clone())?;
            format.show(&standings, || standings::text(&standings))?;
        }
        Results::Sql {
            statement,
            file,
            database,
        } => {
            let statement = match (statement, file) {
                (Some(statement), _) => statement.clone(),
                (None, Some(file)) => std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read {}", file.display()))?,
                (None, None) => {
                    anyhow::bail!("no statement; give one, or a file of one with --file")
                }
            };
            let result = Store::open_read_only(database.path())?.query(&statement)?;
            format.show(&result, || {
                let headers: Vec<&str> = result.columns.iter().map(String::as_str).collect();
                let numeric = |at: &usize| {
                    result
                        .rows
                        .iter()
                        .all(|row| row[*at].is_number() || row[*at].is_null())
                };
                let right: Vec<&str> = (0..headers.len())
                    .filter(numeric)
                    .map(|at| headers[at])
                    .collect();
                table(
                    &headers,
                    &right,
                    result.rows.iter().map(|row| row.iter().map(cell)),
                )
            })?;
        }
    }
    Ok(Exit::Done)
}

/// The leaderboard on the test split with all users, of one sweep or of all.
pub(super) fn standings_of(
    store: &mut Store,
    sweep: Option<String>,
) -> anyhow::Result<Vec<Standing>> {
    let filter = LeaderboardFilter {
        sweep,
        split: Some(Split::Test),
        protocol: None,
        cohort: Some(Cohort::All),
    };
    Ok(standings::standings(store.leaderboard(&filter)?))
}

fn text(details: &RunDetails) -> anyhow::Result<String> {
    let mut parts = vec![facts(&details.run)?];
    if let Some(failure) = &details.failure {
        parts.push(facts(failure)?);
    }
    if let Some(owner) = &details.owner {
        parts.push(facts(owner)?);
    }
    let sweeps = details.sweeps.iter().map(|sweep| {
        [
            sweep.sweep.clone(),
            sweep.variant.clone(),
            if sweep.superseded { "yes" } else { "no" }.to_owned(),
        ]
    });
    parts.push(table(&["sweep", "variant", "superseded"], &[], sweeps));
    if !details.metrics.is_empty() {
        let rows = details.metrics.iter().map(|row| {
            let [split, protocol, cohort] = [
                row.split.as_str(),
                row.protocol.as_str(),
                row.cohort.as_str(),
            ];
            let name = format!("{}@{}", row.metric, row.k);
            [
                split.to_owned(),
                protocol.to_owned(),
                cohort.to_owned(),
                name,
                metric(Some(row.value)),
                row.users.to_string(),
            ]
        });
        parts.push(table(
            &["split", "protocol", "cohort", "metric", "value", "users"],
            &["value", "users"],
            rows,
        ));
    }
    if !details.epochs.is_empty() {
        let rows = details.epochs.iter().map(|epoch| {
            let best = if epoch.best { "best" } else { "" };
            [
                epoch.epoch.to_string(),
                metric(Some(epoch.loss)),
                metric(epoch.valid),
                format!("{:.2}", epoch.train_seconds),
                best.to_owned(),
            ]
        });
        parts.push(table(
            &["epoch", "loss", "valid", "seconds", ""],
            &["epoch", "loss", "valid", "seconds"],
            rows,
        ));
    }
    if !details.artefacts.is_empty() {
        let rows = details
            .artefacts
            .iter()
            .map(|file| [file.kind.clone(), file.bytes.to_string(), file.path.clone()]);
        parts.push(table(&["artefact", "bytes", "path"], &["bytes"], rows));
    }
    Ok(parts.join("\n\n"))
}
