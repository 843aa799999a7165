//! A file that takes rows one by one, in either format, and appears whole or not at all.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use genair_files::Partial;
use genair_store::TableColumn;
use serde_json::Value;

use super::ExportFormat;
use super::parquet::ParquetFile;
use crate::ReportError;
use crate::write::failed;

pub(super) struct Sink {
    path: PathBuf,
    file: Partial,
    form: Form,
    rows: u64,
}

enum Form {
    Csv(Box<csv::Writer<BufWriter<File>>>),
    Parquet(Box<ParquetFile>),
}

impl Sink {
    pub(super) fn create(
        path: &Path,
        format: ExportFormat,
        table: &str,
        columns: Vec<TableColumn>,
    ) -> Result<Self, ReportError> {
        let failed = |source| failed(path, source);
        let mut file = Partial::beside(path).map_err(failed)?;
        let content = file.file().try_clone().map_err(failed)?;
        let form = match format {
            ExportFormat::Csv => {
                let mut writer = csv::Writer::from_writer(BufWriter::new(content));
                writer
                    .write_record(columns.iter().map(|column| &column.name))
                    .map_err(|error| failed(error.into()))?;
                Form::Csv(Box::new(writer))
            }
            ExportFormat::Parquet => Form::Parquet(Box::new(ParquetFile::create(
                path, content, table, columns,
            )?)),
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            form,
            rows: 0,
        })
    }

    /// Takes a row, a value for each column.
    pub(super) fn write(&mut self, row: Vec<Value>) -> Result<(), ReportError> {
        self.rows += 1;
        match &mut self.form {
            Form::Csv(writer) => writer
                .write_record(row.into_iter().map(field))
                .map_err(|error| failed(&self.path, error.into())),
            Form::Parquet(file) => file.write(row),
        }
    }

    /// Gives the file its name; returns the number of its rows.
    pub(super) fn finish(self) -> Result<u64, ReportError> {
        match self.form {
            Form::Csv(mut writer) => writer
                .flush()
                .map_err(|source| failed(&self.path, source))?,
            Form::Parquet(file) => file.finish()?,
        }
        let kept = self.file.keep();
        kept.map_err(|source| failed(&self.path, source))?;
        Ok(self.rows)
    }
}

/// A value as text; nothing for NULL.
pub(super) fn field(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}
