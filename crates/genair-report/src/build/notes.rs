//! What a reader must know to read a table. Every number in a note comes from the table's runs.

use std::collections::{BTreeMap, BTreeSet};

use genair_protocol::text::count;
use genair_store::Choice;
use itertools::Itertools;

use super::pivot::{At, Pivot, text};
use super::{is_testable, listed};
use crate::spec::{Delta, Dimension, Fact, Measure, ReportSpec, Spread, TableSpec, TestKind};
use crate::table::{Cell, Place, Verdict};

pub(super) fn notes(
    pivot: &Pivot<'_>,
    cells: &BTreeMap<At, Cell>,
    choices: &[Choice],
    spec: &TableSpec,
    report: &ReportSpec,
) -> Vec<String> {
    let mut notes = vec![what(pivot, report)];
    notes.extend(chosen(choices, report));
    let runs = || pivot.cells.values().flatten().map(|(run, _)| *run);
    let seeds: BTreeSet<u64> = runs().map(|run| run.labels.seed).collect();
    let several = cells.values().any(|cell| cell.summary.n > 1);
    if several {
        let spread = match spec.spread {
            Spread::None => "",
            Spread::Std => " \u{b1} standard deviation",
            Spread::Interval => " \u{b1} half of its 95 % t-interval",
        };
        notes.push(format!(
            "Mean{spread} over {} seeds ({}).",
            seeds.len(),
            listed(seeds)
        ));
    } else {
        notes.push(format!("One run each, seed {}.", listed(seeds)));
    }
    if cells.values().any(|cell| cell.place == Some(Place::Best)) {
        let within = match spec.best_within.as_slice() {
            [] => "of each column".to_owned(),
            within => format!("of each column and {}", within.iter().join(", ")),
        };
        let alike = match same_seeds(cells) {
            true => "",
            false => ", among the means over the same seeds",
        };
        notes.push(format!("Best {within} in bold, second underlined{alike}."));
    }
    if let Some(baseline) = baseline(spec, report) {
        match spec.delta {
            Delta::None => {}
            Delta::Absolute => notes.push(format!("In parentheses: difference from {baseline}.")),
            Delta::Relative => notes.push(format!(
                "In parentheses: change from {baseline}, in per cent."
            )),
        }
        notes.extend(tests(pivot, cells, spec, &baseline));
    }
    for fact in &spec.may_differ {
        if *fact != Fact::Data {
            notes.push(format!("Runs may differ in {}.", fact.as_str()));
        }
    }
    notes
}

/// Which configurations validation chose, and how many it left out.
pub(crate) fn chosen(choices: &[Choice], report: &ReportSpec) -> Vec<String> {
    if choices.is_empty() {
        return Vec::new();
    }
    let metrics = listed(choices.iter().filter_map(|own| own.metric.as_deref()));
    let left_out: usize = choices.iter().map(Choice::left_out).sum();
    let lacking: usize = choices.iter().map(Choice::lacking).sum();
    let lacking = match lacking {
        0 => String::new(),
        lacking => format!(" ({lacking} of them without a result of each seed)"),
    };
    let name = |choice: &Choice| {
        let of = &choice.of;
        let labels = [
            (Dimension::Dataset, &of.dataset),
            (Dimension::Backbone, &of.backbone),
            (Dimension::Representation, &of.representation),
        ];
        let labels = labels.map(|(dimension, name)| text(&dimension, name, report));
        format!("{} {}", labels.join(" "), choice.axes)
    };
    let named = choices.iter().map(name).join("; ");
    let mut notes = vec![format!(
        "Chosen on the validation split ({metrics}, mean over seeds): {named}; {} left out{lacking}.",
        count(left_out, "configuration")
    )];
    let partial = choices
        .iter()
        .filter(|own| own.seeds.len() < own.planned_seeds);
    notes.extend(partial.map(|own| {
        format!(
            "No configuration of {} {} on {} has a result of each of its {} seeds: those of {} competed.",
            own.of.backbone,
            own.of.representation,
            own.of.dataset,
            own.planned_seeds,
            listed(own.seeds.iter().copied())
        )
    }));
    notes
}

/// Whether all cells are means over the same seeds.
fn same_seeds(cells: &BTreeMap<At, Cell>) -> bool {
    let seeds = |cell: &Cell| -> BTreeSet<u64> { cell.runs.iter().map(|run| run.seed).collect() };
    cells.values().map(seeds).all_equal()
}

/// The split, and all labels that do not vary.
fn what(pivot: &Pivot<'_>, report: &ReportSpec) -> String {
    let mut parts = vec!["Test split".to_owned()];
    let measured: Vec<_> = pivot.measured().collect();
    for dimension in [Dimension::Protocol, Dimension::Cohort] {
        let values = measured.iter().map(|measured| measured.label(&dimension));
        let mut values = values.filter(|label| !label.is_empty());
        if let Ok(value) = values.all_equal_value() {
            parts.push(text(&dimension, &value, report));
        }
    }
    for (dimension, value) in pivot.constants() {
        if !dimension.is_measured() && !value.is_empty() {
            parts.push(format!("{dimension} {}", text(dimension, value, report)));
        }
    }
    if let [measured, rest @ ..] = measured.as_slice()
        && rest.is_empty()
        && matches!(measured.measure, Measure::Ranking { .. })
    {
        parts.push(measured.measure.title());
    }
    let runs = pivot.cells.values().flatten();
    if let Ok(users) = runs.filter_map(|(run, _)| run.users).all_equal_value() {
        parts.push(format!("{users} users"));
    }
    format!("{}.", parts.join("; "))
}

fn baseline(spec: &TableSpec, report: &ReportSpec) -> Option<String> {
    if spec.baseline.is_empty() {
        return None;
    }
    let mut labels = spec
        .baseline
        .iter()
        .map(|(dimension, value)| match value.as_str() {
            "" => format!("no {dimension}"),
            value => format!("{dimension} {}", text(dimension, value, report)),
        });
    Some(labels.join(", "))
}

fn tests(
    pivot: &Pivot<'_>,
    cells: &BTreeMap<At, Cell>,
    spec: &TableSpec,
    baseline: &str,
) -> Option<String> {
    let tests = cells
        .values()
        .filter_map(|cell| cell.comparison?.test)
        .count();
    if tests == 0 {
        return None;
    }
    let kind = match spec.test.kind {
        TestKind::None => return None,
        TestKind::T => "paired t-test".to_owned(),
        TestKind::Bootstrap => format!("paired bootstrap, {} resamples", spec.test.resamples),
    };
    let legend = Verdict::ALL.map(|verdict| {
        let levels = spec.test.levels.iter().zip(1..);
        let level = |(level, n)| format!("{} p < {level}", verdict.mark().repeat(n));
        let levels = levels.map(level).join(", ");
        format!("{} than {baseline}: {levels}", verdict.as_str())
    });
    let untested = if pivot.measured().all(is_testable) {
        ""
    } else {
        " Columns of a cohort, and of costs, are not tested."
    };
    let legend = match spec.test.levels.as_slice() {
        [] => format!("Tested against {baseline}"),
        _ => format!("Marked where {}", legend.join("; ")),
    };
    Some(format!(
        "{legend}; two-sided {kind} over users, of each user's mean over seeds, Holm-corrected over the table's {tests} tests.{untested}"
    ))
}
