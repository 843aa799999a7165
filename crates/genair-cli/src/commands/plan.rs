//! `genair plan`: the runs of a spec, and how they stand in the database.

use genair_archetype::Installation;
use genair_protocol::text::count;
use genair_protocol::{Labels, RunSpec};
use genair_runner::{Plan, PlannedRun};
use genair_store::RunState;
use serde::Serialize;

use super::{graph, read_sweep, warn};
use crate::args::{GraphForm, PlanArgs};
use crate::exit::Exit;
use crate::output::{Output, table};

#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    labels: &'a Labels,
    state: &'static str,
    identity: &'a str,
    priority: usize,
    spec: &'a RunSpec,
}

pub(super) fn plan(output: &Output, arguments: &PlanArgs) -> anyhow::Result<Exit> {
    let (_, sweep) = read_sweep(&arguments.spec, &arguments.plugins)?;
    let plan = Plan::new(sweep, &Installation::new(arguments.cache.path()))?;
    warn(output, &plan.sweep.warnings);
    let runs = plan.sweep.runs.iter();
    let identities: Vec<String> = runs.map(|run| run.identity.clone()).collect();
    let states = match arguments.database.is_there() {
        true => arguments.database.open()?.run_states(&identities)?,
        false => vec![None; identities.len()],
    };
    if let Some(form) = arguments.graph {
        let graph = graph::Graph::new(&plan, &states);
        output.show(&graph, || match form {
            GraphForm::Text => graph.text(),
            GraphForm::Dot => graph.dot(),
        })?;
    } else {
        let rows = plan.sweep.runs.iter().zip(states).map(|(run, state)| Row {
            labels: &run.labels,
            state: state.map_or("new", RunState::as_str),
            identity: &run.identity,
            priority: run.priority,
            spec: &run.spec,
        });
        let rows: Vec<Row<'_>> = rows.collect();
        output.show(&rows, || text(&plan, &rows))?;
    }
    Ok(if plan.sweep.runs.is_empty() {
        Exit::NothingToRun
    } else {
        Exit::Done
    })
}

fn text(plan: &Plan, rows: &[Row<'_>]) -> String {
    if rows.is_empty() {
        return format!(
            "{}: nothing to run; the spec has no [dataset.NAME]",
            plan.sweep.spec_path.display()
        );
    }
    let headers = [
        "state",
        "dataset",
        "backbone",
        "representation",
        "variant",
        "seed",
        "identity",
    ];
    let cells = rows.iter().map(|row| {
        [
            row.state.to_owned(),
            row.labels.dataset.clone(),
            row.labels.backbone.clone(),
            row.labels.representation.clone(),
            row.labels.axes.to_string(),
            row.labels.seed.to_string(),
            row.identity[..12].to_owned(),
        ]
    });
    let is_finished = |row: &&Row<'_>| row.state == RunState::Finished.as_str();
    let finished = rows.iter().filter(is_finished).count();
    let stages = plan.stages.iter().enumerate().map(|(at, stage)| {
        let needing = |run: &&PlannedRun| run.stages().any(|stage| stage == at);
        let runs = plan.sweep.runs.iter().filter(needing).count();
        let state = if stage.is_ready() { "ready" } else { "to make" };
        let name = stage.name().as_str();
        [
            state,
            &stage.dataset,
            name,
            &runs.to_string(),
            &stage.recipe_sha256[..12],
        ]
        .map(str::to_owned)
    });
    let stages = if plan.stages.is_empty() {
        String::new()
    } else {
        let headers = ["state", "dataset", "stage", "runs", "recipe"];
        format!("{}\n\n", table(&headers, &["runs"], stages))
    };
    format!(
        "{stages}{}\n\n{}, {finished} finished",
        table(&headers, &["seed"], cells),
        count(rows.len(), "run")
    )
}
