//! The runs of a table and what they measured, as the database has them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use genair_protocol::{Axes, Cohort, Protocol};
use genair_store::{
    Choice, MetricRecord, RunId, RunState, Selected, Standpoint, Store, SweepRecord, SweptRun,
    choose,
};
use genair_toml::suggestion;
use itertools::{Itertools, iproduct};

use crate::ReportError;
use crate::error::TableError;
use crate::spec::{Dimension, Measure, TableSpec};

/// A run in one sweep, whatever became of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) swept: SweptRun,
    /// Its axes that are not searched, and what tells its configuration from others of its labels.
    pub(crate) axes: Axes,
    /// The same as it is shown.
    pub(crate) variant: String,
}

impl Run {
    /// A run of a sweep that searches `searched`.
    fn new(swept: SweptRun, searched: &[String], spec: &TableSpec) -> Self {
        let kept = spec.select.kept(&swept, searched);
        let all = swept.labels.axes.and(swept.differences.as_ref());
        let is_label = |axis: &str| kept.get(axis).is_some() || spec.names_axis(axis);
        let axes: Axes = all.iter().filter(|(axis, _)| is_label(axis)).collect();
        Self {
            variant: axes.to_string(),
            axes,
            swept,
        }
    }

    /// What it has in common with the runs that one configuration of them stands for.
    pub(crate) fn standpoint(&self, by_sweep: bool) -> Standpoint {
        let own = Standpoint::of(&self.swept, self.axes.clone());
        Standpoint {
            sweep: own.sweep.filter(|_| by_sweep),
            ..own
        }
    }
}

impl Deref for Run {
    type Target = SweptRun;

    fn deref(&self) -> &SweptRun {
        &self.swept
    }
}

impl Run {
    pub(crate) fn finished(&self) -> bool {
        self.state == RunState::Finished
    }

    /// Its label in a dimension; empty for an axis it does not have.
    pub(crate) fn label(&self, dimension: &Dimension) -> &str {
        match dimension {
            Dimension::Sweep => &self.sweep,
            Dimension::Dataset => &self.labels.dataset,
            Dimension::Backbone => &self.labels.backbone,
            Dimension::Representation => &self.labels.representation,
            Dimension::Variant => &self.variant,
            Dimension::Axis(name) => {
                let searched = self.labels.axes.get(name);
                self.axes.get(name).or(searched).unwrap_or("")
            }
            Dimension::Protocol | Dimension::Cohort | Dimension::Metric => "",
        }
    }

    fn cost(&self, measure: Measure) -> Option<f64> {
        match measure {
            Measure::Ranking { .. } => None,
            Measure::Parameters => self.parameters.map(|count| count as f64),
            Measure::Epochs => self.epochs.map(|count| count as f64),
            Measure::SecondsPerEpoch => {
                let epochs = self.epochs.filter(|epochs| *epochs > 0)?;
                Some(self.train_seconds? / epochs as f64)
            }
            Measure::CpuSeconds => self.cpu_seconds,
            Measure::PeakMemoryMib => Some(self.peak_memory_bytes? as f64 / 1_048_576.0),
        }
    }
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
        let all = iproduct!(&spec.protocols, &spec.cohorts, &spec.metrics);
        let measured = |(&protocol, &cohort, &measure): (&Protocol, &Cohort, &Measure)| {
            let ranking = matches!(measure, Measure::Ranking { .. });
            Self {
                measure,
                protocol: ranking.then_some(protocol),
                cohort: ranking.then_some(cohort),
            }
        };
        all.map(measured).unique().collect()
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
    /// Configurations that stand for others, where there are others.
    pub(crate) choices: Vec<Choice>,
    values: BTreeMap<(RunId, Measured), f64>,
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
    for sweep in sweeps_of(store, spec, fail)? {
        let swept = store.runs_of_sweep(sweep.sweep_id)?.into_iter();
        runs.extend(swept.map(|run| Run::new(run, &sweep.searched, spec)));
    }
    check_labels(spec, &runs, fail)?;
    let wanted = |run: &Run| {
        let label_fits = |(dimension, values): (&Dimension, &Vec<String>)| {
            values.iter().any(|value| value == run.label(dimension))
        };
        spec.filter.iter().all(label_fits)
            && (spec.seeds.is_empty() || spec.seeds.contains(&run.labels.seed))
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
    let mut groups = groups.iter().map(|(data, runs)| {
        let data = &data[..data.len().min(12)];
        format!("  sequences {data}: runs {}", runs.join(", "))
    });
    Err(TableError::Unlike {
        column: "epoch".to_owned(),
        fact: "data",
        groups: groups.join("\n"),
        allowed: false,
    })
}

/// Reads what a table asks for.
pub(crate) fn select(
    store: &mut Store,
    spec: &TableSpec,
    fail: &dyn Fn(&str, TableError) -> ReportError,
) -> Result<Selection, ReportError> {
    let mut runs = runs_of(store, spec, fail)?;
    let choices = keep_chosen(&mut runs, spec);
    let mut selection = Selection {
        runs,
        choices,
        values: BTreeMap::new(),
    };
    let finished = selection.runs.iter().filter(|run| run.finished());
    let finished: Vec<RunId> = finished.map(|run| run.run_id).collect();
    if finished.is_empty() {
        let states = states(&selection.runs.iter().collect::<Vec<_>>());
        return Err(fail("sweeps", TableError::NoFinishedRuns { states }));
    }
    selection.values = values(store, &finished)?;
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

/// Takes out the finished runs of configurations that others stand for; returns those that stand for others.
fn keep_chosen(runs: &mut Vec<Run>, spec: &TableSpec) -> Vec<Choice> {
    let by_sweep = spec.by_sweep();
    let all = runs
        .iter()
        .map(|run| (&run.swept, run.standpoint(by_sweep)));
    let Selected {
        mut choices,
        is_chosen,
    } = choose(all);
    let mut is_chosen = is_chosen.into_iter();
    runs.retain(|run| is_chosen.next() == Some(true) || !run.finished());
    choices.retain(|choice| choice.configurations > 1);
    choices
}

/// What was measured in place of something that was not: the same metric elsewhere, else other metrics.
fn instead(selection: &Selection, missing: Measured) -> Option<String> {
    let all = selection.values.keys().map(|(_, measured)| measured);
    let same = all.clone().filter(|known| known.measure == missing.measure);
    let mut found: BTreeSet<String> = same.map(ToString::to_string).collect();
    if found.is_empty() {
        found = all.map(|known| known.measure.to_string()).collect();
    }
    (!found.is_empty()).then(|| format!("they measured {}", found.iter().join(", ")))
}

/// How many runs are in which state: `3 pending, 1 failed`.
pub(crate) fn states(runs: &[&Run]) -> String {
    if runs.is_empty() {
        return "there are none at all".to_owned();
    }
    let counts = runs.iter().map(|run| run.state.as_str()).counts();
    let counts = counts.into_iter().sorted();
    counts
        .map(|(state, count)| format!("{count} {state}"))
        .join(", ")
}

fn sweeps_of(
    store: &mut Store,
    spec: &TableSpec,
    fail: &dyn Fn(&str, TableError) -> ReportError,
) -> Result<Vec<SweepRecord>, ReportError> {
    store.require_sweep(None)?;
    let known = store.sweeps()?;
    let number = |name: &String| match known.iter().find(|sweep| sweep.name == *name) {
        Some(sweep) => Ok(sweep.clone()),
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

/// Fails on a label in the spec that no run has, before filters hide the reason.
fn check_labels(
    spec: &TableSpec,
    runs: &[Run],
    fail: &dyn Fn(&str, TableError) -> ReportError,
) -> Result<(), ReportError> {
    let rows = spec.rows.iter().map(|own| ("rows", own));
    let columns = spec.columns.iter().map(|own| ("columns", own));
    let filter = spec.filter.keys().map(|own| ("where", own));
    let baseline = spec.baseline.keys().map(|own| ("baseline", own));
    let axes = runs
        .iter()
        .flat_map(|run| run.axes.iter().chain(run.labels.axes.iter()));
    let known_axes: BTreeSet<&str> = axes.map(|(axis, _)| axis).collect();
    for (key, dimension) in rows.chain(columns).chain(filter).chain(baseline) {
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
    let filter = spec.filter.iter().flat_map(|(dimension, values)| {
        values.iter().map(move |value| ("where", dimension, value))
    });
    let baseline = spec.baseline.iter();
    let baseline = baseline.map(|(dimension, value)| ("baseline", dimension, value));
    for (key, dimension, value) in filter.chain(baseline) {
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
    runs: &[RunId],
) -> Result<BTreeMap<(RunId, Measured), f64>, ReportError> {
    let results = store.test_results(runs)?.into_iter();
    let results = results.flat_map(|(run, rows)| rows.into_iter().map(move |row| (run, row)));
    let value = |(run, row): (RunId, MetricRecord)| {
        let (metric, k) = (row.metric, row.k);
        let measured = Measured {
            measure: Measure::Ranking { metric, k },
            protocol: Some(row.protocol),
            cohort: Some(row.cohort),
        };
        ((run, measured), row.value)
    };
    Ok(results.map(value).collect())
}
