//! CSV, a row per cell, for programs: names as in the database, numbers with all their digits.

use crate::table::{Cell, Column, Place, Row, Table, Verdict};

const NUMBERS: [&str; 19] = [
    "n",
    "mean",
    "std",
    "interval_low",
    "interval_high",
    "place",
    "baseline",
    "difference",
    "relative_difference",
    "users",
    "user_difference",
    "user_interval_low",
    "user_interval_high",
    "t",
    "p",
    "p_holm",
    "effect_size",
    "verdict",
    "marks",
];

pub(super) fn render(table: &Table) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let dimensions = table.row_dimensions.iter().chain(&table.column_dimensions);
    let mut header: Vec<String> = dimensions.map(ToString::to_string).collect();
    header.push("measure".to_owned());
    header.extend(NUMBERS.map(str::to_owned));
    header.push("runs".to_owned());
    let records = table.rows.iter().flat_map(|row| {
        let cells = std::iter::zip(&row.cells, &table.columns);
        cells.filter_map(move |(cell, column)| Some(record(row, column, cell.as_ref()?)))
    });
    for record in std::iter::once(header).chain(records) {
        writer
            .write_record(record)
            .expect("records are of one length and memory takes them");
    }
    let bytes = writer.into_inner().expect("memory can be written to");
    String::from_utf8(bytes).expect("text in, text out")
}

fn record(row: &Row, column: &Column, cell: &Cell) -> Vec<String> {
    let labels = row.labels.iter().chain(&column.labels);
    let mut record: Vec<String> = labels.map(|label| label.name.clone()).collect();
    record.push(column.measure.to_string());
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let comparison = cell.comparison;
    let test = comparison.and_then(|comparison| comparison.test);
    let place = match cell.place {
        Some(Place::Best) => "1",
        Some(Place::Second) => "2",
        None => "",
    };
    record.extend([
        cell.summary.n.to_string(),
        cell.summary.mean.to_string(),
        number(cell.summary.std),
        number(cell.summary.interval.map(|[low, _]| low)),
        number(cell.summary.interval.map(|[_, high]| high)),
        place.to_owned(),
        u8::from(cell.baseline).to_string(),
        number(comparison.map(|c| c.absolute)),
        number(comparison.and_then(|c| c.relative)),
        test.map(|test| test.users.to_string()).unwrap_or_default(),
        number(test.map(|test| test.mean_difference)),
        number(test.map(|test| test.interval[0])),
        number(test.map(|test| test.interval[1])),
        number(test.and_then(|test| test.t)),
        number(test.map(|test| test.p)),
        number(test.map(|test| test.p_holm)),
        number(test.map(|test| test.effect_size)),
        test.map_or("", |test| test.verdict.map_or("none", Verdict::as_str))
            .to_owned(),
        test.map(|test| test.marks.to_string()).unwrap_or_default(),
    ]);
    let runs: Vec<String> = cell.runs.iter().map(|run| run.run.to_string()).collect();
    record.push(runs.join(" "));
    record
}
