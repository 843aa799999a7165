//! The runs of a table and what they measured, as the database has them.

use std::collections::{BTreeMap, BTreeSet};

use genair_protocol::{Cohort, Metric, Protocol};
use genair_store::{Store, told_apart};
use genair_toml::suggestion;
use serde::Deserialize;

use crate::ReportError;
use crate::error::TableError;
use crate::rows::{list, rows};
use crate::spec::{Dimension, Measure, TableSpec};

/// A run in one sweep, whatever became of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Run {
    pub(crate) run_id: i64,
    pub(crate) state: String,
    pub(crate) sweep: String,
    pub(crate) dataset: String,
    pub(crate) backbone: String,
    pub(crate) representation: String,
    pub(crate) variant: String,
    /// Hash of all that decides its numbers but the seed.
    pub(crate) configuration: String,
    differences: Option<String>,
    pub(crate) seed: u64,
    pub(crate) built_in: i64,
    pub(crate) users: Option<u64>,
    pub(crate) results_version: u64,
    pub(crate) sequences_sha256: Option<String>,
    pub(crate) max_len: Option<u64>,
    pub(crate) head_item: Option<u64>,
    pub(crate) long_user: Option<u64>,
    pub(crate) host: Option<String>,
    pub(crate) device: Option<String>,
    pub(crate) threads: Option<u64>,
    parameters: Option<f64>,
    epochs: Option<f64>,
    seconds_per_epoch: Option<f64>,
    cpu_seconds: Option<f64>,
    peak_memory_mib: Option<f64>,
}

impl Run {
    pub(crate) fn finished(&self) -> bool {
        self.state == "finished"
    }

    /// Its label in a dimension; empty for an axis it does not have.
    pub(crate) fn label(&self, dimension: &Dimension) -> &str {
        match dimension {
            Dimension::Sweep => &self.sweep,
            Dimension::Dataset => &self.dataset,
            Dimension::Backbone => &self.backbone,
            Dimension::Representation => &self.representation,
            Dimension::Variant => &self.variant,
            Dimension::Axis(name) => axes(&self.variant)
                .into_iter()
                .find_map(|(axis, value)| (axis == name).then_some(value))
                .unwrap_or(""),
            Dimension::Protocol | Dimension::Cohort | Dimension::Metric => "",
        }
    }

    fn cost(&self, measure: Measure) -> Option<f64> {
        match measure {
            Measure::Ranking { .. } => None,
            Measure::Parameters => self.parameters,
            Measure::Epochs => self.epochs,
            Measure::SecondsPerEpoch => self.seconds_per_epoch,
            Measure::CpuSeconds => self.cpu_seconds,
            Measure::PeakMemoryMib => self.peak_memory_mib,
        }
    }
}

/// The swept axes of a variant such as `alpha=1e-4,gamma=4`: names and values, in its order. A piece
/// without `=` belongs to the value before it, which holds a comma.
pub(crate) fn axes(variant: &str) -> Vec<(&str, &str)> {
    let starts_axis = |rest: &str| {
        rest.split(',')
            .next()
            .is_some_and(|piece| piece.contains('='))
    };
    let mut axes = Vec::new();
    let mut rest = variant;
    while let Some((name, tail)) = rest.split_once('=') {
        let end = tail
            .match_indices(',')
            .map(|(comma, _)| comma)
            .find(|&comma| starts_axis(&tail[comma + 1..]))
            .unwrap_or(tail.len());
        axes.push((name, &tail[..end]));
        rest = tail.get(end + 1..).unwrap_or("");
    }
    axes
}

/// What a cell measures, among which candidates and over which users. Costs have neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Measured {
    pub(crate) measure: Measure,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) cohort: Option<Cohort>,
}

impl Measured {
    /// All that a table asks for, metric by metric.
    pub(crate) fn all(spec: &TableSpec) -> Vec<Self> {
        let mut all = Vec::new();
        for &protocol in &spec.protocols {
            for &cohort in &spec.cohorts {
                for &measure in &spec.metrics {
                    let ranking = matches!(measure, Measure::Ranking { .. });
                    let measured = Self {
                        measure,
                        protocol: ranking.then_some(protocol),
                        cohort: ranking.then_some(cohort),
                    };
                    if !all.contains(&measured) {
                        all.push(measured);
                    }
                }
            }
        }
        all
    }

    /// Its label in a dimension of what is measured; empty where it has none.
    pub(crate) fn label(&self, dimension: &Dimension) -> String {
        match dimension {
            Dimension::Protocol => self.protocol.map(|p| p.to_string()),
            Dimension::Cohort => self.cohort.map(|c| c.to_string()),
            Dimension::Metric => Some(self.measure.to_string()),
            _ => None,
        }
        .unwrap_or_default()
    }
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.measure)?;
        if let (Some(protocol), Some(cohort)) = (self.protocol, self.cohort) {
            write!(f, " ({protocol}, {cohort})")?;
        }
        Ok(())
    }
}

/// The runs a table is made of.
pub(crate) struct Selection {
    /// Every run that passes the table's filters, in the order of its sweeps and of their specs.
    pub(crate) runs: Vec<Run>,
    values: BTreeMap<(i64, Measured), f64>,
}

impl Selection {
    /// Value of a finished run, on the test split.
    pub(crate) fn value(&self, run: &Run, measured: Measured) -> Option<f64> {
        match measured.measure {
            Measure::Ranking { .. } => self.values.get(&(run.run_id, measured)).copied(),
            cost => run.cost(cost),
        }
    }
}

/// The runs that pass a table's filters, whatever became of them.
pub(crate) fn runs_of(
    store: &mut Store,
    spec: &TableSpec,
    fail: &dyn Fn(&str, TableError) -> ReportError,
) -> Result<Vec<Run>, ReportError> {
    let mut runs = Vec::new();
    let sweeps = sweep_numbers(store, spec, fail)?;
    for sweep in sweeps {
        runs.extend(of_sweep(store, sweep)?);
    }
    check_labels(spec, &runs, fail)?;
    let wanted = |run: &Run| {
        let label_fits = |(dimension, values): (&Dimension, &Vec<String>)| {
            values.iter().any(|value| value == run.label(dimension))
        };
        spec.select.iter().all(label_fits)
            && (spec.seeds.is_empty() || spec.seeds.contains(&run.seed))
    };
    runs.retain(wanted);
    Ok(runs)
}

/// Fails on runs of different sequences, whose numbers have no place on one axis.
pub(crate) fn require_like_data(runs: &[&Run]) -> Result<(), TableError> {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for run in runs {
        let data = run.sequences_sha256.as_deref().unwrap_or("unknown");
        groups.entry(data).or_default().push(run.run_id.to_string());
    }
    if groups.len() < 2 {
        return Ok(());
    }
    let groups = groups.iter().map(|(data, runs)| {
        let data = &data[..data.len().min(12)];
        format!("  sequences {data}: runs {}", runs.join(", "))
    });
    Err(TableError::Unlike {
        column: "epoch".to_owned(),
        fact: "data",
        groups: groups.collect::<Vec<_>>().join("\n"),
        allowed: false,
    })
}

/// Reads what a table asks for.
pub(crate) fn select(
    store: &mut Store,
    spec: &TableSpec,
    fail: &dyn Fn(&str, TableError) -> ReportError,
) -> Result<Selection, ReportError> {
    let mut selection = Selection {
        runs: runs_of(store, spec, fail)?,
        values: BTreeMap::new(),
    };
    let finished: BTreeSet<i64> = selection
        .runs
        .iter()
        .filter(|run| run.finished())
        .map(|run| run.run_id)
        .collect();
    if finished.is_empty() {
        let states = states(&selection.runs.iter().collect::<Vec<_>>());
        return Err(fail("sweeps", TableError::NoFinishedRuns { states }));
    }
    selection.values = values(store, finished)?;
    for measured in Measured::all(spec) {
        let known = |run: &Run| selection.value(run, measured).is_some();
        if !selection.runs.iter().any(known) {
            let error = TableError::NotMeasured {
                measure: measured.to_string(),
                hint: instead(&selection, measured),
            };
            return Err(fail("metrics", error));
        }
    }
    Ok(selection)
}

/// What was measured in place of something that was not: the same metric elsewhere, else other metrics.
fn instead(selection: &Selection, missing: Measured) -> Option<String> {
    let all = selection.values.keys().map(|(_, measured)| measured);
    let same = all.clone().filter(|known| known.measure == missing.measure);
    let mut found: BTreeSet<String> = same.map(ToString::to_string).collect();
    if found.is_empty() {
        found = all.map(|known| known.measure.to_string()).collect();
    }
    let found: Vec<String> = found.into_iter().collect();
    (!found.is_empty()).then(|| format!("they measured {}", found.join(", ")))
}

/// How many runs are in which state: `3 pending, 1 failed`.
pub(crate) fn states(runs: &[&Run]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for run in runs {
        *counts.entry(&run.state).or_default() += 1;
    }
    if counts.is_empty() {
        return "there are none at all".to_owned();
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    counts.join(", ")
}

fn sweep_numbers(
    store: &mut Store,
    spec: &TableSpec,
    fail: &dyn Fn(&str, TableError) -> ReportError,
) -> Result<Vec<i64>, ReportError> {
    #[derive(Deserialize)]
    struct Sweep {
        sweep_id: i64,
        name: String,
    }
    let known: Vec<Sweep> = rows(store, "SELECT sweep_id, name FROM sweeps ORDER BY sweep_id")?;
    if known.is_empty() {
        return Err(ReportError::EmptyDatabase {
            path: store.path().to_owned(),
        });
    }
    let number = |name: &String| match known.iter().find(|sweep| sweep.name == *name) {
        Some(sweep) => Ok(sweep.sweep_id),
        None => {
            let error = TableError::UnknownSweep {
                name: name.clone(),
                hint: suggestion(name, known.iter().map(|sweep| sweep.name.as_str())),
            };
            Err(fail("sweeps", error))
        }
    };
    spec.sweeps.iter().map(number).collect()
}

fn of_sweep(store: &mut Store, sweep: i64) -> Result<Vec<Run>, ReportError> {
    let sql = format!(
        "SELECT runs.run_id, state, sweeps.name AS sweep, runs.dataset, runs.backbone, runs.representation,
                sweep_runs.variant, runs.configuration, differences, seed,
                plugin_sha256 IS NULL AS built_in, users, results_version, sequences_sha256,
                json_extract(spec, '$.dataset.max_len') AS max_len, head_item, long_user, host, device, threads,
                parameters, epochs, train_seconds / nullif(epochs, 0) AS seconds_per_epoch, cpu_seconds,
                peak_memory_bytes / 1048576.0 AS peak_memory_mib
         FROM sweep_runs JOIN sweeps USING (sweep_id) JOIN runs USING (run_id)
         LEFT JOIN configurations AS own ON own.sweep_id = sweep_runs.sweep_id
              AND own.configuration = runs.configuration AND own.variant = sweep_runs.variant
         LEFT JOIN configuration_differences AS apart ON apart.configuration_id = own.configuration_id
         WHERE sweep_runs.sweep_id = {sweep} AND NOT superseded
         ORDER BY runs.run_id"
    );
    let mut runs: Vec<Run> = rows(store, &sql)?;
    for run in &mut runs {
        run.variant = told_apart(&run.variant, run.differences.as_deref());
    }
    Ok(runs)
}

/// Fails on a label in the spec that no run has, before filters hide the reason.
fn check_labels(
    spec: &TableSpec,
    runs: &[Run],
    fail: &dyn Fn(&str, TableError) -> ReportError,
) -> Result<(), ReportError> {
    let mut named: Vec<(&str, &Dimension)> = Vec::new();
    named.extend(spec.rows.iter().map(|dimension| ("rows", dimension)));
    named.extend(spec.columns.iter().map(|dimension| ("columns", dimension)));
    named.extend(spec.select.keys().map(|dimension| ("where", dimension)));
    named.extend(
        spec.baseline
            .keys()
            .map(|dimension| ("baseline", dimension)),
    );
    let known_axes: BTreeSet<&str> = runs
        .iter()
        .flat_map(|run| axes(&run.variant))
        .map(|(axis, _)| axis)
        .collect();
    for (key, dimension) in named {
        if let Dimension::Axis(name) = dimension
            && !known_axes.contains(name.as_str())
        {
            let labels = ["sweep", "dataset", "backbone", "representation", "variant"];
            let measured = ["protocol", "cohort", "metric"];
            let candidates = known_axes.iter().copied().chain(labels);
            let columns = measured.into_iter().filter(|_| key == "columns");
            let error = TableError::UnknownAxis {
                name: name.clone(),
                hint: suggestion(name, candidates.chain(columns)),
            };
            return Err(fail(key, error));
        }
    }
    let select = spec.select.iter().flat_map(|(dimension, values)| {
        values.iter().map(move |value| ("where", dimension, value))
    });
    let baseline = spec.baseline.iter();
    let baseline = baseline.map(|(dimension, value)| ("baseline", dimension, value));
    for (key, dimension, value) in select.chain(baseline) {
        let known: BTreeSet<&str> = runs.iter().map(|run| run.label(dimension)).collect();
        if !known.contains(value.as_str()) {
            let error = TableError::UnknownValue {
                dimension: dimension.to_string(),
                value: value.clone(),
                hint: suggestion(value, known.into_iter().filter(|label| !label.is_empty())),
            };
            return Err(fail(key, error));
        }
    }
    Ok(())
}

/// All test metrics of the runs, not only those asked for: an error says what there is instead.
fn values(
    store: &mut Store,
    runs: BTreeSet<i64>,
) -> Result<BTreeMap<(i64, Measured), f64>, ReportError> {
    #[derive(Deserialize)]
    struct Value {
        run_id: i64,
        protocol: Protocol,
        cohort: Cohort,
        metric: Metric,
        k: u32,
        value: f64,
    }
    let sql = format!(
        "SELECT run_id, protocol, cohort, metric, k, value FROM metrics
         WHERE run_id IN ({}) AND epoch IS NULL AND split = 'test'",
        list(runs)
    );
    let values: Vec<Value> = rows(store, &sql)?;
    Ok(values
        .into_iter()
        .map(|row| {
            let measured = Measured {
                measure: Measure::Ranking {
                    metric: row.metric,
                    k: row.k,
                },
                protocol: Some(row.protocol),
                cohort: Some(row.cohort),
            };
            ((row.run_id, measured), row.value)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_its_axes() {
        for (variant, expected) in [
            ("", vec![]),
            ("alpha=1e-4", vec![("alpha", "1e-4")]),
            ("alpha=0,gamma=4", vec![("alpha", "0"), ("gamma", "4")]),
            (
                "prompt=who, and why,pca=64",
                vec![("prompt", "who, and why"), ("pca", "64")],
            ),
            ("expr=a=b", vec![("expr", "a=b")]),
        ] {
            assert_eq!(axes(variant), expected, "{variant}");
        }
    }
}
