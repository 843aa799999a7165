//! `genair results list`: runs, one line each.

use genair_report::export::require_sweep;
use genair_store::{RunFilter, Store};

use crate::args::{DatabaseArgs, Format};
use crate::exit::Exit;
use crate::listing;
use crate::output::table;
use crate::standings;

pub(super) fn list(
    format: Format,
    filter: &RunFilter,
    database: &DatabaseArgs,
) -> anyhow::Result<Exit> {
    let mut store = Store::open_read_only(database.path())?;
    if filter.sweep.is_some() {
        require_sweep(&mut store, filter.sweep.as_deref())?;
    }
    let runs = store.list_runs(filter)?;
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
    // Numbers as they are for programs, in few digits for people.
    let rows = |number: fn(f64, usize) -> String| {
        let cell = |value: Option<f64>, digits| {
            value.map(|value| number(value, digits)).unwrap_or_default()
        };
        let row = |run: &genair_store::RunSummary| {
            let labels = &run.labels;
            [
                run.run_id.to_string(),
                run.sweep.clone(),
                state(run),
                labels.dataset.clone(),
                labels.backbone.clone(),
                labels.representation.clone(),
                labels.axes.to_string(),
                labels.seed.to_string(),
                cell(run.valid, 4),
                cell(run.test, 4),
                cell(run.seconds, 1),
            ]
        };
        runs.iter().map(row).collect::<Vec<_>>()
    };
    let right = ["run", "seed", "valid", "test", "seconds"];
    listing::show(
        format,
        &runs,
        headers,
        || rows(|value, _| value.to_string()),
        || {
            let rows = rows(|value, digits| format!("{value:.digits$}"));
            let caption = standings::result_name(&filter.shown);
            format!(
                "{}\n\nvalid, test: {caption}",
                table(&headers, &right, rows)
            )
        },
    )?;
    Ok(Exit::Done)
}

/// Where a run stands, and whether its sweep still has it.
fn state(run: &genair_store::RunSummary) -> String {
    let superseded = if run.superseded { ", superseded" } else { "" };
    format!("{}{superseded}", run.state.as_str())
}
