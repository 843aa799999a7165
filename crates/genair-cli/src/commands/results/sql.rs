//! `genair results sql`: one reading statement. Rows are written as they come.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use genair_files::regular_file;
use genair_store::Fetched;
use serde_json::Value;

use crate::args::{DatabaseArgs, Format};
use crate::exit::Exit;
use crate::output::{cell, table, to_stdout};

/// Rows of a table that are laid out together.
const BLOCK: usize = 10_000;

pub(super) fn sql(
    format: Format,
    statement: Option<&str>,
    file: Option<&Path>,
    database: &DatabaseArgs,
) -> anyhow::Result<Exit> {
    let statement = match (statement, file) {
        (Some(statement), _) => statement.to_owned(),
        (None, Some(file)) => regular_file::read_to_string(file, regular_file::MAX_TEXT)
            .with_context(|| format!("cannot read {}", file.display()))?,
        (None, None) => anyhow::bail!("no statement; give one, or a file of one with --file"),
    };
    let mut store = database.open()?;
    to_stdout(|out| {
        let mut writer: Box<dyn Rows + '_> = match format {
            Format::Text => Box::new(Blocks {
                out,
                columns: Vec::new(),
                rows: Vec::new(),
                begun: false,
            }),
            Format::Csv => Box::new(Csv(csv::Writer::from_writer(out))),
            Format::Json => Box::new(Json { out, rows: 0 }),
            Format::Quiet => Box::new(Csv(csv::Writer::from_writer(io::sink()))),
        };
        store.query_streamed(&statement, |fetched| match fetched {
            Fetched::Columns(columns) => writer.columns(columns),
            Fetched::Row(row) => writer.row(row),
        })?;
        writer.end()
    })?;
    Ok(Exit::Done)
}

/// Takes what a statement returns, in order.
trait Rows {
    fn columns(&mut self, columns: Vec<String>) -> anyhow::Result<()>;
    fn row(&mut self, row: Vec<Value>) -> anyhow::Result<()>;
    fn end(&mut self) -> anyhow::Result<()>;
}

/// A header and a line for each row. NULL is an empty field.
struct Csv<W: Write>(csv::Writer<W>);

impl<W: Write> Rows for Csv<W> {
    fn columns(&mut self, columns: Vec<String>) -> anyhow::Result<()> {
        Ok(self.0.write_record(columns)?)
    }

    fn row(&mut self, row: Vec<Value>) -> anyhow::Result<()> {
        Ok(self.0.write_record(row.iter().map(cell))?)
    }

    fn end(&mut self) -> anyhow::Result<()> {
        Ok(self.0.flush()?)
    }
}

/// One JSON document, a row a line.
struct Json<'o> {
    out: &'o mut dyn Write,
    rows: u64,
}

impl Rows for Json<'_> {
    fn columns(&mut self, columns: Vec<String>) -> anyhow::Result<()> {
        let columns = serde_json::to_string(&columns)?;
        Ok(write!(
            self.out,
            "{{\n  \"columns\": {columns},\n  \"rows\": ["
        )?)
    }

    fn row(&mut self, row: Vec<Value>) -> anyhow::Result<()> {
        let comma = if self.rows == 0 { "" } else { "," };
        self.rows += 1;
        let row = serde_json::to_string(&row)?;
        Ok(write!(self.out, "{comma}\n    {row}")?)
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let indent = if self.rows == 0 { "" } else { "\n  " };
        Ok(writeln!(self.out, "{indent}]\n}}")?)
    }
}

/// Tables of [`BLOCK`] rows, each with its header and its own widths.
struct Blocks<'o> {
    out: &'o mut dyn Write,
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
    /// Whether a block is written already.
    begun: bool,
}

impl Blocks<'_> {
    fn write(&mut self) -> anyhow::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let headers: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let is_number = |value: &Value| value.is_number() || value.is_null();
        let numeric = |at: &usize| rows.iter().all(|row| is_number(&row[*at]));
        let right = (0..headers.len()).filter(numeric).map(|at| headers[at]);
        let right: Vec<&str> = right.collect();
        let cells = rows.iter().map(|row| row.iter().map(cell));
        let text = table(&headers, &right, cells);
        let space = if self.begun { "\n" } else { "" };
        self.begun = true;
        Ok(writeln!(self.out, "{space}{}", text.trim_end())?)
    }
}

impl Rows for Blocks<'_> {
    fn columns(&mut self, columns: Vec<String>) -> anyhow::Result<()> {
        self.columns = columns;
        Ok(())
    }

    fn row(&mut self, row: Vec<Value>) -> anyhow::Result<()> {
        self.rows.push(row);
        if self.rows.len() < BLOCK {
            return Ok(());
        }
        self.write()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if self.rows.is_empty() && self.begun {
            return Ok(());
        }
        self.write()
    }
}
