//! Listings as CSV.

use anyhow::Context;
use serde::Serialize;

use crate::args::Format;
use crate::output::to_stdout;

/// Writes a listing: `value` as JSON, `csv` as CSV (a header and rows of as many fields), else `text`.
pub(crate) fn show<const FIELDS: usize>(
    format: Format,
    value: &impl Serialize,
    headers: [&str; FIELDS],
    csv: impl FnOnce() -> Vec<[String; FIELDS]>,
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    if format != Format::Csv {
        return format.show(value, text);
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(headers)?;
    for row in csv() {
        writer.write_record(row)?;
    }
    let bytes = writer.into_inner().context("cannot write CSV")?;
    to_stdout(|out| Ok(out.write_all(&bytes)?))
}
