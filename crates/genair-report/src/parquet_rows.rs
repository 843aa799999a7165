//! A Parquet file as JSON lines: how datasets are read from one without the library for it.

use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use genair_files::regular_file;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Map, Number, Value};

/// Writes the rows of a Parquet file to `out`, a JSON object a line, row group by row group. Whole numbers stay whole,
/// and points in time are whole numbers in their unit.
///
/// # Errors
/// The file is no Parquet file, cannot be decoded, or `out` cannot be written.
pub(crate) fn write(file: &Path, out: &mut impl Write) -> Result<()> {
    let opened = regular_file::open(file)?;
    let reader = SerializedFileReader::new(opened).context("it is no Parquet file")?;
    let mut out = BufWriter::with_capacity(1 << 18, out);
    for row in reader.get_row_iter(None)? {
        let row = row.context("it cannot be decoded")?;
        let fields = row.get_column_iter();
        let object: Map<String, Value> = fields
            .map(|(name, field)| (name.clone(), value(field)))
            .collect();
        serde_json::to_writer(&mut out, &object)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

fn value(field: &Field) -> Value {
    let float = |number: f64| Number::from_f64(number).map_or(Value::Null, Value::Number);
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::Bool(*value),
        Field::Byte(number) => (*number).into(),
        Field::Short(number) => (*number).into(),
        Field::Int(number) | Field::Date(number) => (*number).into(),
        Field::Long(number) | Field::TimestampMillis(number) | Field::TimestampMicros(number) => {
            (*number).into()
        }
        Field::UByte(number) => (*number).into(),
        Field::UShort(number) => (*number).into(),
        Field::UInt(number) => (*number).into(),
        Field::ULong(number) => (*number).into(),
        Field::Float16(number) => float(number.to_f64()),
        Field::Float(number) => float(f64::from(*number)),
        Field::Double(number) => float(*number),
        Field::Str(text) => Value::String(text.clone()),
        Field::Bytes(bytes) => Value::String(String::from_utf8_lossy(bytes.data()).into_owned()),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::Group(row) => {
            let fields = row.get_column_iter();
            Value::Object(
                fields
                    .map(|(name, field)| (name.clone(), value(field)))
                    .collect(),
            )
        }
        // Decimals, intervals and maps, as the library writes them.
        other => Value::String(other.to_string()),
    }
}
