//! What may stand beside what. Numbers of different data, splits or settings are not put in one
//! column, unless the report says that the difference is what it is about.

use std::collections::BTreeMap;

use genair_protocol::Cohort;
use genair_store::RunId;
use itertools::Itertools;

use super::listed;
use super::pivot::{At, Pivot};
use crate::error::TableError;
use crate::runs::{Measured, Run};
use crate::spec::{Fact, Measure, TableSpec};

/// Fails if two cells that are compared are of unlike runs: those of one column that share their best,
/// and a configuration and its baseline.
pub(super) fn check(
    pivot: &Pivot<'_>,
    baselines: &BTreeMap<At, At>,
    spec: &TableSpec,
) -> Result<(), TableError> {
    for (column, measured) in pivot.measured().enumerate() {
        for group in pivot.groups(column, &spec.best_within) {
            check_group(pivot, measured, &group, spec)?;
        }
    }
    for (at, other) in baselines {
        let measured = pivot.measured().nth(at.1);
        if let Some(measured) = measured {
            check_group(pivot, measured, &[*at, *other], spec)?;
        }
    }
    Ok(())
}

fn check_group(
    pivot: &Pivot<'_>,
    measured: &Measured,
    group: &[At],
    spec: &TableSpec,
) -> Result<(), TableError> {
    for fact in facts(measured) {
        if spec.may_differ.contains(&fact) && fact != Fact::Data {
            continue;
        }
        let mut values: BTreeMap<String, Vec<(At, RunId)>> = BTreeMap::new();
        for &at in group {
            let runs = &pivot.cells[&at];
            for (run, _) in runs {
                let value = match fact {
                    Fact::Seeds => listed(runs.iter().map(|(run, _)| run.labels.seed)),
                    fact => value(fact, run),
                };
                values.entry(value).or_default().push((at, run.run_id));
            }
        }
        if values.len() > 1 {
            let values = values.iter();
            let mut groups = values.map(|(value, runs)| describe(pivot, value, runs));
            return Err(TableError::Unlike {
                column: pivot.column_name(group[0].1),
                fact: fact.as_str(),
                groups: groups.join("\n"),
                allowed: fact != Fact::Data,
            });
        }
    }
    Ok(())
}

/// What must be the same for a measurement to be comparable.
fn facts(measured: &Measured) -> Vec<Fact> {
    let mut facts = vec![Fact::Data, Fact::MaxLen, Fact::ResultsVersion];
    match measured.cohort {
        Some(Cohort::TailItem | Cohort::HeadItem) => facts.push(Fact::HeadItem),
        Some(Cohort::ShortUser | Cohort::LongUser) => facts.push(Fact::LongUser),
        // What is cold, the split decides, which is part of the data.
        Some(Cohort::All | Cohort::ColdItem | Cohort::WarmItem) | None => {}
    }
    if measured.measure.of_machine() {
        facts.push(Fact::Machine);
    }
    // What a parameter count is does not depend on luck.
    if measured.measure != Measure::Parameters {
        facts.push(Fact::Seeds);
    }
    facts
}

fn value(fact: Fact, run: &Run) -> String {
    let number =
        |number: Option<u64>| number.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
    match fact {
        // The sequences decide every target; the hash of the raw data would also tell apart settings
        // that change none.
        Fact::Data => match &run.sequences_sha256 {
            Some(hash) => format!("sequences {}", &hash[..hash.len().min(12)]),
            None => "unknown".to_owned(),
        },
        Fact::MaxLen => number(run.max_len),
        Fact::HeadItem => number(run.head_item),
        Fact::LongUser => number(run.long_user),
        Fact::ResultsVersion => run.results_version.to_string(),
        Fact::Machine => {
            let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
            let (host, device) = (text(&run.host), text(&run.device));
            format!("{host}, {device}, threads {}", number(run.threads))
        }
        Fact::Seeds => run.labels.seed.to_string(),
    }
}

/// `  50: sasrec id on ml-100k (runs 1, 2)`, and so on for the first few configurations.
fn describe(pivot: &Pivot<'_>, value: &str, runs: &[(At, RunId)]) -> String {
    const NAMED: usize = 3;
    let mut by_cell: BTreeMap<At, Vec<RunId>> = BTreeMap::new();
    for (at, run) in runs {
        by_cell.entry(*at).or_default().push(*run);
    }
    let unnamed = by_cell.len().saturating_sub(NAMED);
    let cells = by_cell.into_iter().take(NAMED).map(|(at, runs)| {
        let plural = if runs.len() == 1 { "run" } else { "runs" };
        format!("{} ({plural} {})", pivot.configuration(at), listed(runs))
    });
    let more = (unnamed > 0).then(|| format!("{unnamed} more"));
    format!("  {value}: {}", cells.chain(more).join(", "))
}
