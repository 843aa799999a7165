//! Which configuration each one is compared with.

use std::collections::BTreeMap;

use super::pivot::{At, Configuration, Pivot};
use crate::error::TableError;
use crate::runs::{Run, Selection, axes, states};
use crate::spec::{Dimension, TableSpec};
use crate::table::Comparison;

/// The cell of each cell's baseline; baselines themselves have none, nor have built-in backbones,
/// which have no representation to vary.
pub(super) fn find(
    pivot: &Pivot<'_>,
    selection: &Selection,
    spec: &TableSpec,
) -> Result<BTreeMap<At, At>, TableError> {
    let mut found = BTreeMap::new();
    if spec.baseline.is_empty() {
        return Ok(found);
    }
    let measured: Vec<_> = pivot.measured().collect();
    let by_configuration: BTreeMap<_, At> = pivot
        .cells
        .keys()
        .map(|&at| ((pivot.configuration(at), measured[at.1]), at))
        .collect();
    for (&at, runs) in &pivot.cells {
        let own = pivot.configuration(at);
        let wanted = replaced(&own, &spec.baseline);
        if wanted == own {
            continue;
        }
        match by_configuration.get(&(wanted.clone(), measured[at.1])) {
            Some(&other) => {
                found.insert(at, other);
            }
            None if runs[0].0.built_in != 0 => {}
            None => {
                return Err(TableError::MissingBaseline {
                    found: instead(pivot, selection, &wanted),
                    configuration: own.to_string(),
                    baseline: wanted.to_string(),
                });
            }
        }
    }
    Ok(found)
}

/// The means of a configuration and its baseline side by side.
pub(super) fn comparison(mean: f64, base: f64) -> Comparison {
    Comparison {
        absolute: mean - base,
        relative: (base != 0.0).then(|| (mean - base) / base),
        test: None,
    }
}

fn replaced(own: &Configuration, baseline: &BTreeMap<Dimension, String>) -> Configuration {
    let mut wanted = own.clone();
    for (dimension, value) in baseline {
        match dimension {
            Dimension::Sweep => wanted.sweep = wanted.sweep.map(|_| value.clone()),
            Dimension::Dataset => wanted.dataset.clone_from(value),
            Dimension::Backbone => wanted.backbone.clone_from(value),
            Dimension::Representation => wanted.representation.clone_from(value),
            Dimension::Variant => wanted.variant.clone_from(value),
            Dimension::Axis(name) => wanted.variant = with_axis(&wanted.variant, name, value),
            Dimension::Protocol | Dimension::Cohort | Dimension::Metric => {}
        }
    }
    wanted
}

/// A variant with another value of one of its axes; without the axis if the value is empty.
fn with_axis(variant: &str, name: &str, value: &str) -> String {
    let axes: Vec<String> = axes(variant)
        .into_iter()
        .filter_map(|(axis, own)| match axis == name {
            true if value.is_empty() => None,
            true => Some(format!("{axis}={value}")),
            false => Some(format!("{axis}={own}")),
        })
        .collect();
    axes.join(",")
}

/// What there is in place of a baseline's finished runs, and what to do.
fn instead(pivot: &Pivot<'_>, selection: &Selection, wanted: &Configuration) -> String {
    let planned: Vec<&Run> = selection
        .runs
        .iter()
        .filter(|run| pivot.configuration_of(run) == *wanted)
        .collect();
    if !planned.is_empty() {
        return format!(" (its runs: {})\nhint: finish them first", states(&planned));
    }
    let finished = selection.runs.iter().find(|run| {
        let configuration = pivot.configuration_of(run);
        let same_but_variant = Configuration {
            variant: wanted.variant.clone(),
            ..configuration.clone()
        };
        run.finished() && same_but_variant == *wanted
    });
    match finished {
        Some(run) if run.variant.is_empty() => {
            "\nhint: there is one without a variant: add variant = \"\" to `baseline`".to_owned()
        }
        Some(run) => format!(
            "\nhint: there is one of variant `{0}`: add variant = \"{0}\" to `baseline`",
            run.variant
        ),
        None => "\nhint: train it, or leave the configuration out with `where`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_is_replaced_in_place() {
        for (value, expected) in [("0", "alpha=0,gamma=4"), ("", "gamma=4")] {
            assert_eq!(with_axis("alpha=1e-4,gamma=4", "alpha", value), expected);
        }
        assert_eq!(with_axis("", "alpha", "0"), "");
    }
}
