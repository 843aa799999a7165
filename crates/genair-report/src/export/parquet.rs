//! Parquet by the column writers of the `parquet` crate, without Arrow: three types need no more.

use std::path::Path;
use std::sync::Arc;

use genair_store::Store;
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};
use serde_json::Value;

use super::columns::{ColumnType, column_types};
use super::{chunks, field};
use crate::ReportError;
use crate::write::{create, keep};

/// Writes one table, a row group per chunk.
pub(super) fn file(store: &mut Store, table: &str, path: &Path) -> Result<(), ReportError> {
    let wrong = |source: ParquetError| ReportError::Parquet {
        path: path.to_owned(),
        source,
    };
    let columns = column_types(store, table)?;
    let chunks = chunks(store, table, &columns)?;
    let mut file = create(path)?;
    let schema = schema(table, &columns).map_err(wrong)?;
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer =
        SerializedFileWriter::new(file.as_file_mut(), schema, properties).map_err(wrong)?;
    for chunk in chunks {
        let rows = store.query(&chunk)?.rows;
        let mut group = writer.next_row_group().map_err(wrong)?;
        for (at, (_, kind)) in columns.iter().enumerate() {
            let values = rows.iter().map(|row| &row[at]);
            write_column(&mut group, *kind, values).map_err(wrong)?;
        }
        group.close().map_err(wrong)?;
    }
    writer.close().map_err(wrong)?;
    keep(file, path)
}

fn schema(table: &str, columns: &[(String, ColumnType)]) -> Result<TypePtr, ParquetError> {
    let fields = columns
        .iter()
        .map(|(name, kind)| {
            let (physical, logical) = match kind {
                ColumnType::Integer => (Physical::INT64, None),
                ColumnType::Real => (Physical::DOUBLE, None),
                ColumnType::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            };
            Type::primitive_type_builder(name, physical)
                .with_repetition(Repetition::OPTIONAL)
                .with_logical_type(logical)
                .build()
                .map(Arc::new)
        })
        .collect::<Result<_, _>>()?;
    let schema = Type::group_type_builder(table)
        .with_fields(fields)
        .build()?;
    Ok(Arc::new(schema))
}

fn write_column<'v>(
    group: &mut SerializedRowGroupWriter<'_, &mut std::fs::File>,
    kind: ColumnType,
    values: impl Iterator<Item = &'v Value> + Clone,
) -> Result<(), ParquetError> {
    // 1: there is a value; 0: NULL.
    let levels: Vec<i16> = values
        .clone()
        .map(|value| i16::from(!value.is_null()))
        .collect();
    let present = values.filter(|value| !value.is_null());
    match kind {
        ColumnType::Integer => {
            let values: Vec<i64> = present.filter_map(Value::as_i64).collect();
            write::<Int64Type>(group, &values, &levels)
        }
        ColumnType::Real => {
            let values: Vec<f64> = present.filter_map(Value::as_f64).collect();
            write::<DoubleType>(group, &values, &levels)
        }
        ColumnType::Text => {
            let text = |value: &Value| ByteArray::from(field(value).into_bytes());
            let values: Vec<ByteArray> = present.map(text).collect();
            write::<ByteArrayType>(group, &values, &levels)
        }
    }
}

fn write<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, &mut std::fs::File>,
    values: &[T::T],
    levels: &[i16],
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General(
            "more columns than the schema has".to_owned(),
        ));
    };
    column
        .typed::<T>()
        .write_batch(values, Some(levels), None)?;
    column.close()
}
