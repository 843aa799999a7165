//! Which configuration each one is compared with.

use std::collections::BTreeMap;

use genair_protocol::text::quoted;

use super::pivot::{At, Configuration, Pivot};
use crate::error::TableError;
use crate::runs::{Run, Selection, states};
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
    let cells = pivot.cells.keys();
    let cells = cells.map(|&at| ((pivot.configuration(at), measured[at.1]), at));
    let by_configuration: BTreeMap<_, At> = cells.collect();
    for (&at, runs) in &pivot.cells {
        let own = pivot.configuration(at);
        let wanted = replaced(&own, runs[0].0, selection, &spec.baseline);
        if wanted == own {
            continue;
        }
        match by_configuration.get(&(wanted.clone(), measured[at.1])) {
            Some(&other) => {
                found.insert(at, other);
            }
            None if runs[0].0.built_in => {}
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

fn replaced(
    own: &Configuration,
    run: &Run,
    selection: &Selection,
    baseline: &BTreeMap<Dimension, String>,
) -> Configuration {
    let mut wanted = own.clone();
    let mut axes = run.axes.clone();
    for (dimension, value) in baseline {
        match dimension {
            Dimension::Sweep => wanted.sweep = wanted.sweep.map(|_| value.clone()),
            Dimension::Dataset => wanted.dataset.clone_from(value),
            Dimension::Backbone => wanted.backbone.clone_from(value),
            Dimension::Representation => wanted.representation.clone_from(value),
            Dimension::Variant => {
                let mut runs = selection.runs.iter();
                let known = runs.find(|run| run.variant == *value);
                axes = known.map(|run| run.axes.clone()).unwrap_or_default();
                wanted.variant.clone_from(value);
            }
            Dimension::Axis(name) => {
                axes.replace(name, value);
                wanted.variant = axes.to_string();
            }
            Dimension::Protocol | Dimension::Cohort | Dimension::Metric => {}
        }
    }
    wanted
}

/// What there is in place of a baseline's finished runs, and what to do.
fn instead(pivot: &Pivot<'_>, selection: &Selection, wanted: &Configuration) -> String {
    let runs = selection.runs.iter();
    let planned = runs.filter(|run| pivot.configuration_of(run) == *wanted);
    let planned: Vec<&Run> = planned.collect();
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
            "\nhint: there is one of variant `{}`: add variant = {} to `baseline`",
            run.variant,
            quoted(&run.variant)
        ),
        None => "\nhint: train it, or leave the configuration out with `where`".to_owned(),
    }
}
