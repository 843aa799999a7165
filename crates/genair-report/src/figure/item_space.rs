//! The item space of a run, before training and after: items on its two principal axes.

use genair_store::{ItemRecord, RunId, Store};
use itertools::Itertools;

use super::Drawing;
use super::chart::{Axis, Chart, Panel, Scale, Series, Shape};
use super::measured::{series_name, title};
use super::style::{Colour, Look, PALE};
use crate::ReportError;
use crate::build::{build, chosen, fail_with};
use crate::error::TableError;
use crate::spec::{Dimension, FigureSpec, ReportSpec};
use crate::write::csv;

/// A panel for each series, before training and after; of the run with the lowest seed. Items are split
/// in half by their training interactions.
pub(super) fn item_space(
    store: &mut Store,
    report: &ReportSpec,
    spec: &FigureSpec,
) -> Result<Drawing, ReportError> {
    let table = build(store, report, &spec.table())?;
    // One column per dataset: the space is the same whatever is measured.
    let mut shown: Vec<(String, RunId, u64)> = Vec::new();
    for (at, column) in table.columns.iter().enumerate() {
        for row in &table.rows {
            let cell = row.cells[at].as_ref();
            let Some(run) = cell.and_then(|cell| cell.runs.iter().min_by_key(|run| run.seed))
            else {
                continue;
            };
            let unsaid = [Dimension::Metric, Dimension::Protocol, Dimension::Cohort];
            let dataset = title(&table, column, &unsaid);
            let parts = [dataset, series_name(&row.labels)];
            let name = parts.iter().filter(|part| !part.is_empty()).join(", ");
            if !shown.iter().any(|(_, known, _)| *known == run.run) {
                shown.push((name, run.run, run.seed));
            }
        }
    }
    let numbers: Vec<RunId> = shown.iter().map(|(_, run, _)| *run).collect();
    let items = store.item_spaces(&numbers)?;
    let looks = [
        ("less popular half", Look::plain(PALE)),
        ("more popular half", Look::plain(Colour::number(0))),
    ];
    let mut panels = Vec::new();
    let header = ["run_id", "epoch", "item", "x", "y", "interactions"];
    let mut records = vec![header.map(str::to_owned)];
    for (name, run, _) in &shown {
        let items = items.get(run).map(Vec::as_slice).unwrap_or_default();
        for items in items.chunk_by(|one, next| one.epoch == next.epoch) {
            let when = if items[0].epoch == 0 {
                "before training"
            } else {
                "trained"
            };
            let title = match name.as_str() {
                "" => when.to_owned(),
                name => format!("{name}, {when}"),
            };
            records.extend(items.iter().map(|item| {
                [
                    run.to_string(),
                    item.epoch.to_string(),
                    item.item.to_string(),
                    item.x.to_string(),
                    item.y.to_string(),
                    item.interactions.to_string(),
                ]
            }));
            panels.push(panel(title, items, looks.map(|(_, look)| look)));
        }
    }
    if panels.is_empty() {
        let what = "an item space";
        let kind = TableError::NotStored { what };
        return Err(fail_with(report, &spec.table(), "sweeps", kind));
    }
    let seeds = shown.iter().map(|(_, _, seed)| seed).dedup().join(", ");
    let mut notes = vec![
        "Item vectors of length 1, as the calibration sees them, on the two principal axes of each \
         space; evenly sampled items."
            .to_owned(),
        format!("Seed {seeds}."),
    ];
    notes.extend(chosen(&table.choices, report));
    Ok(Drawing {
        chart: Chart {
            panels,
            legend: looks.map(|(name, look)| (name.to_owned(), look)).to_vec(),
            wide: false,
        },
        csv: csv(records),
        notes,
    })
}

fn panel(title: String, items: &[ItemRecord], looks: [Look; 2]) -> Panel {
    let mut counts: Vec<u64> = items.iter().map(|item| item.interactions).collect();
    counts.sort_unstable();
    let median = counts[counts.len() / 2];
    let axis = Axis {
        label: String::new(),
        scale: Scale::Bare,
    };
    let series = [false, true].map(|popular| {
        let is_of_half = |item: &&ItemRecord| (item.interactions >= median) == popular;
        let points = items.iter().filter(is_of_half).map(|item| (item.x, item.y));
        let points = points.collect();
        let shape = Shape::Cloud { points };
        let look = looks[usize::from(popular)];
        Series { look, shape }
    });
    Panel {
        title,
        x: axis.clone(),
        y: axis,
        series: series.to_vec(),
    }
}
