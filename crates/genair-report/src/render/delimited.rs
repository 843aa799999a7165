//! CSV, a row per cell, for programs: names as in the database, numbers with all their digits.

use itertools::Itertools;

use crate::table::{Cell, Comparison, Place, Table, Tested, Verdict};
use crate::write::csv;

/// A header and what stands under it.
type Column = (&'static str, fn(&Cell) -> String);

/// The numbers of a cell.
const NUMBERS: [Column; 19] = [
    ("n", |cell| cell.summary.n.to_string()),
    ("mean", |cell| cell.summary.mean.to_string()),
    ("std", |cell| shown(cell.summary.std)),
    ("interval_low", |cell| {
        shown(cell.summary.interval.map(|[low, _]| low))
    }),
    ("interval_high", |cell| {
        shown(cell.summary.interval.map(|[_, high]| high))
    }),
    ("place", |cell| match cell.place {
        Some(Place::Best) => "1".to_owned(),
        Some(Place::Second) => "2".to_owned(),
        None => String::new(),
    }),
    ("baseline", |cell| u8::from(cell.baseline).to_string()),
    ("difference", |cell| {
        compared(cell, |own| Some(own.absolute))
    }),
    ("relative_difference", |cell| {
        compared(cell, |own| own.relative)
    }),
    ("users", |cell| tested(cell, |test| Some(test.users))),
    ("user_difference", |cell| {
        tested(cell, |test| Some(test.mean_difference))
    }),
    ("user_interval_low", |cell| {
        tested(cell, |test| Some(test.interval[0]))
    }),
    ("user_interval_high", |cell| {
        tested(cell, |test| Some(test.interval[1]))
    }),
    ("t", |cell| tested(cell, |test| test.t)),
    ("p", |cell| tested(cell, |test| Some(test.p))),
    ("p_holm", |cell| tested(cell, |test| Some(test.p_holm))),
    ("effect_size", |cell| {
        tested(cell, |test| Some(test.effect_size))
    }),
    ("verdict", |cell| {
        tested(cell, |test| {
            Some(test.verdict.map_or("none", Verdict::as_str))
        })
    }),
    ("marks", |cell| tested(cell, |test| Some(test.marks))),
];

/// A value with all its digits, or nothing.
fn shown<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn compared<T: ToString>(cell: &Cell, value: fn(Comparison) -> Option<T>) -> String {
    shown(cell.comparison.and_then(value))
}

fn tested<T: ToString>(cell: &Cell, value: fn(Tested) -> Option<T>) -> String {
    shown(cell.comparison.and_then(|own| own.test).and_then(value))
}

pub(super) fn render(table: &Table) -> String {
    let dimensions = table.row_dimensions.iter().chain(&table.column_dimensions);
    let header = dimensions
        .map(ToString::to_string)
        .chain(["measure".to_owned()]);
    let header = header.chain(NUMBERS.map(|(name, _)| name.to_owned()));
    let header = header.chain(["runs".to_owned()]);
    let mut records = vec![header.collect_vec()];
    for row in &table.rows {
        for (cell, column) in std::iter::zip(&row.cells, &table.columns) {
            let Some(cell) = cell else { continue };
            let labels = row.labels.iter().chain(&column.labels);
            let labels = labels.map(|label| label.name.clone());
            let numbers = NUMBERS.map(|(_, number)| number(cell));
            let record = labels.chain([column.measure.to_string()]).chain(numbers);
            let runs = cell.runs.iter().map(|run| run.run).join(" ");
            records.push(record.chain([runs]).collect());
        }
    }
    csv(records)
}
