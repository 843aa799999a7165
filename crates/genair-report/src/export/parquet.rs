//! Parquet by the column writers of the `parquet` crate, without Arrow: three types need no more.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use genair_store::{ColumnKind, TableColumn};
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};
use serde_json::Value;

use super::sink::field;
use crate::ReportError;

/// Rows of a row group: what is held in memory.
const GROUP_ROWS: usize = 100_000;

/// A Parquet file that takes rows one by one.
pub(super) struct ParquetFile {
    path: PathBuf,
    writer: SerializedFileWriter<File>,
    columns: Vec<Buffer>,
}

/// The next row group's values of a column.
struct Buffer {
    column: TableColumn,
    /// 1: there is a value; 0: NULL.
    levels: Vec<i16>,
    values: Values,
}

enum Values {
    Integer(Vec<i64>),
    Real(Vec<f64>),
    Text(Vec<ByteArray>),
}

impl ParquetFile {
    pub(super) fn create(
        path: &Path,
        file: File,
        table: &str,
        columns: Vec<TableColumn>,
    ) -> Result<Self, ReportError> {
        let open = || {
            let properties = Arc::new(WriterProperties::builder().build());
            SerializedFileWriter::new(file, schema(table, &columns)?, properties)
        };
        let writer = open().map_err(|source| wrong(path, source))?;
        Ok(Self {
            path: path.to_owned(),
            writer,
            columns: columns.into_iter().map(Buffer::new).collect(),
        })
    }

    pub(super) fn write(&mut self, row: Vec<Value>) -> Result<(), ReportError> {
        for (buffer, value) in self.columns.iter_mut().zip(row) {
            let pushed = buffer.push(value);
            pushed.map_err(|source| wrong(&self.path, source))?;
        }
        let full = |buffer: &Buffer| buffer.levels.len() >= GROUP_ROWS;
        if self.columns.first().is_some_and(full) {
            self.write_group()?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(), ReportError> {
        self.write_group()?;
        let closed = self.writer.close();
        closed.map(drop).map_err(|source| wrong(&self.path, source))
    }

    fn write_group(&mut self) -> Result<(), ReportError> {
        let empty = |buffer: &Buffer| buffer.levels.is_empty();
        if self.columns.first().is_none_or(empty) {
            return Ok(());
        }
        let mut write = || {
            let mut group = self.writer.next_row_group()?;
            for buffer in &mut self.columns {
                buffer.write(&mut group)?;
            }
            group.close().map(drop)
        };
        write().map_err(|source| wrong(&self.path, source))
    }
}

fn wrong(path: &Path, source: ParquetError) -> ReportError {
    ReportError::Parquet {
        path: path.to_owned(),
        source,
    }
}

impl Buffer {
    fn new(column: TableColumn) -> Self {
        let values = match column.kind {
            ColumnKind::Integer => Values::Integer(Vec::new()),
            ColumnKind::Real => Values::Real(Vec::new()),
            ColumnKind::Text => Values::Text(Vec::new()),
        };
        Self {
            column,
            levels: Vec::new(),
            values,
        }
    }

    fn push(&mut self, value: Value) -> Result<(), ParquetError> {
        self.levels.push(i16::from(!value.is_null()));
        if value.is_null() {
            return Ok(());
        }
        let taken = match &mut self.values {
            Values::Integer(values) => value.as_i64().map(|number| values.push(number)),
            Values::Real(values) => real(&value).map(|number| values.push(number)),
            Values::Text(values) => {
                values.push(ByteArray::from(field(value).into_bytes()));
                return Ok(());
            }
        };
        let name = &self.column.name;
        let wrong = || format!("column `{name}` of numbers holds {value}");
        taken.ok_or_else(|| ParquetError::General(wrong()))
    }

    fn write(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, File>,
    ) -> Result<(), ParquetError> {
        let levels = std::mem::take(&mut self.levels);
        match &mut self.values {
            Values::Integer(values) => write::<Int64Type>(group, std::mem::take(values), &levels),
            Values::Real(values) => write::<DoubleType>(group, std::mem::take(values), &levels),
            Values::Text(values) => write::<ByteArrayType>(group, std::mem::take(values), &levels),
        }
    }
}

/// A number; an infinite one comes as text.
fn real(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_f64(),
    }
}

fn schema(table: &str, columns: &[TableColumn]) -> Result<TypePtr, ParquetError> {
    let field = |column: &TableColumn| {
        let (physical, logical) = match column.kind {
            ColumnKind::Integer => (Physical::INT64, None),
            ColumnKind::Real => (Physical::DOUBLE, None),
            ColumnKind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let field = Type::primitive_type_builder(&column.name, physical);
        let field = field.with_repetition(Repetition::OPTIONAL);
        field.with_logical_type(logical).build().map(Arc::new)
    };
    let fields = columns.iter().map(field).collect::<Result<_, _>>()?;
    let schema = Type::group_type_builder(table).with_fields(fields);
    Ok(Arc::new(schema.build()?))
}

fn write<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: Vec<T::T>,
    levels: &[i16],
) -> Result<(), ParquetError> {
    let more = || ParquetError::General("more columns than the schema has".to_owned());
    let mut column = group.next_column()?.ok_or_else(more)?;
    let typed = column.typed::<T>();
    typed.write_batch(&values, Some(levels), None)?;
    column.close()
}
