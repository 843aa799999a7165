//! In which order labels stand: as `where` lists them, else by number, else as their runs were planned.

use crate::runs::{Measured, Run};
use crate::spec::{Dimension, TableSpec};

/// The values of a dimension, in order.
pub(super) fn values(dimension: &Dimension, runs: &[&Run], spec: &TableSpec) -> Vec<String> {
    if dimension.is_measured() {
        // Costs have no protocol and no cohort and stand last.
        let mut values = distinct(
            Measured::all(spec)
                .iter()
                .map(|measured| measured.label(dimension)),
        );
        values.sort_by_key(String::is_empty);
        return values;
    }
    if let Some(listed) = spec.select.get(dimension) {
        return listed.clone();
    }
    let mut values = distinct(runs.iter().map(|run| run.label(dimension).to_owned()));
    let numbers: Option<Vec<f64>> = values
        .iter()
        .map(|value| {
            // A run without the axis stands first.
            if value.is_empty() {
                Some(f64::NEG_INFINITY)
            } else {
                value.parse().ok()
            }
        })
        .collect();
    if let Some(numbers) = numbers {
        let mut order: Vec<(f64, String)> = numbers.into_iter().zip(values).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        values = order.into_iter().map(|(_, value)| value).collect();
    }
    values
}

fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}
