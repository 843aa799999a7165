//! In which order labels stand: as `where` lists them, else by number, else as their runs were planned.

use itertools::Itertools;

use crate::runs::{Measured, Run};
use crate::spec::{Dimension, TableSpec};

/// The values of a dimension, in order.
pub(super) fn values(dimension: &Dimension, runs: &[&Run], spec: &TableSpec) -> Vec<String> {
    if dimension.is_measured() {
        // Costs have no protocol and no cohort and stand last.
        let all = Measured::all(spec);
        let values = all.iter().map(|measured| measured.label(dimension));
        return values.unique().sorted_by_key(String::is_empty).collect();
    }
    if let Some(listed) = spec.filter.get(dimension) {
        return listed.clone();
    }
    let values = runs.iter().map(|run| run.label(dimension)).unique();
    let mut values: Vec<String> = values.map(str::to_owned).collect();
    // A run without the axis stands first.
    let number = |value: &String| match value.as_str() {
        "" => Some(f64::NEG_INFINITY),
        value => value.parse().ok(),
    };
    if values.iter().all(|value| number(value).is_some()) {
        let key = |value: &String| number(value).unwrap_or(f64::NEG_INFINITY);
        values.sort_by(|a, b| key(a).total_cmp(&key(b)));
    }
    values
}
