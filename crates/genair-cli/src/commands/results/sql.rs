//! `genair results sql`: one reading statement.

use std::path::Path;

use anyhow::Context;
use genair_data::regular_file;
use genair_store::Store;

use crate::args::{DatabaseArgs, Format};
use crate::exit::Exit;
use crate::output::{cell, table};

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
        (None, None) => {
            anyhow::bail!("no statement; give one, or a file of one with --file")
        }
    };
    let result = Store::open_read_only(database.path())?.query(&statement)?;
    format.show(&result, || {
        let headers: Vec<&str> = result.columns.iter().map(String::as_str).collect();
        let numeric = |at: &usize| {
            result
                .rows
                .iter()
                .all(|row| row[*at].is_number() || row[*at].is_null())
        };
        let right: Vec<&str> = (0..headers.len())
            .filter(numeric)
            .map(|at| headers[at])
            .collect();
        table(
            &headers,
            &right,
            result.rows.iter().map(|row| row.iter().map(cell)),
        )
    })?;
    Ok(Exit::Done)
}
