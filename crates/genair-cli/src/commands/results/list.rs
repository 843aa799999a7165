//! `genair results list`: runs, one line each.

use genair_store::{RunFilter, RunSummary, Shown};

use crate::args::ListArgs;
use crate::exit::Exit;
use crate::output::{Output, table};
use crate::standings;

/// How a number is shown, given the digits it has for people.
type Number = fn(f64, usize) -> String;

/// A column's header and what it says of a run.
type Column = (&'static str, fn(&RunSummary, Number) -> String);

const COLUMNS: [Column; 11] = [
    ("run", |run, _| run.run_id.to_string()),
    ("sweep", |run, _| run.sweep.clone()),
    ("state", |run, _| state(run)),
    ("dataset", |run, _| run.labels.dataset.clone()),
    ("backbone", |run, _| run.labels.backbone.clone()),
    ("representation", |run, _| run.labels.representation.clone()),
    ("variant", |run, _| run.labels.axes.to_string()),
    ("seed", |run, _| run.labels.seed.to_string()),
    ("valid", |run, number| cell(run.valid, 4, number)),
    ("test", |run, number| cell(run.test, 4, number)),
    ("seconds", |run, number| cell(run.seconds, 1, number)),
];

pub(super) fn list(output: &Output, arguments: &ListArgs) -> anyhow::Result<Exit> {
    let (usual, measure) = (Shown::default(), &arguments.measure);
    let filter = RunFilter {
        sweep: arguments.sweep.clone(),
        state: arguments.state,
        superseded: arguments.superseded,
        shown: Shown {
            metric: measure.metric.unwrap_or(usual.metric),
            k: measure.k.unwrap_or(usual.k),
            protocol: measure.protocol.unwrap_or(usual.protocol),
            cohort: measure.cohort.unwrap_or(usual.cohort),
        },
    };
    let mut store = arguments.database.open()?;
    if filter.sweep.is_some() {
        store.require_sweep(filter.sweep.as_deref())?;
    }
    let runs = store.list_runs(&filter)?;
    let headers = COLUMNS.map(|(name, _)| name);
    let rows = |number: Number| {
        let row = |run| COLUMNS.map(|(_, cell)| cell(run, number));
        runs.iter().map(row).collect::<Vec<_>>()
    };
    output.list(
        &runs,
        headers,
        || rows(|value, _| value.to_string()),
        || {
            let right = ["run", "seed", "valid", "test", "seconds"];
            let rows = rows(|value, digits| format!("{value:.digits$}"));
            let caption = standings::result_name(&filter.shown);
            let table = table(&headers, &right, rows);
            format!("{table}\n\nvalid, test: {caption}")
        },
    )
}

fn cell(value: Option<f64>, digits: usize, number: Number) -> String {
    value.map(|value| number(value, digits)).unwrap_or_default()
}

/// Where a run stands, and whether its sweep still has it.
fn state(run: &RunSummary) -> String {
    let superseded = if run.superseded { ", superseded" } else { "" };
    format!("{}{superseded}", run.state)
}
