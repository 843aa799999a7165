//! A Parquet file as csv: how `genair archetype import` reads one without the library for it.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use genair_files::regular_file;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

/// Writes the rows of a Parquet file as csv with a header, and says how many there are. A list of numbers becomes a
/// JSON list. Numbers are written so that reading them gives the same bits.
///
/// # Errors
/// The file cannot be read, has a column that is neither text, number nor list of numbers, or `out` cannot be
/// written.
pub(crate) fn parquet_to_csv(file: &Path, out: &Path) -> Result<usize> {
    let opened = regular_file::open(file)?;
    let reader = SerializedFileReader::new(opened).context("it is no Parquet file")?;
    let schema = reader
        .metadata()
        .file_metadata()
        .schema_descr()
        .root_schema();
    let names: Vec<&str> = schema
        .get_fields()
        .iter()
        .map(|field| field.name())
        .collect();
    let mut rows = 0;
    let to_write = || format!("cannot write {}", out.display());
    let mut writer = csv::Writer::from_path(out).with_context(to_write)?;
    writer.write_record(&names).with_context(to_write)?;
    for row in reader.get_row_iter(None)? {
        let row = row.context("it cannot be decoded")?;
        rows += 1;
        for (name, field) in row.get_column_iter() {
            let text = cell(field).with_context(|| format!("row {rows}, column `{name}`"))?;
            writer.write_field(text).with_context(to_write)?;
        }
        writer.write_record(None::<&[u8]>).with_context(to_write)?;
    }
    let mut file = writer.into_inner().map_err(|error| error.into_error())?;
    file.flush().with_context(to_write)?;
    Ok(rows)
}

fn cell(field: &Field) -> Result<String> {
    Ok(match field {
        Field::ListInternal(list) => {
            let numbers = list.elements().iter().map(|element| match element {
                Field::ListInternal(_) | Field::Str(_) => {
                    bail!("a list in it is not one of numbers")
                }
                element => cell(element),
            });
            let numbers = numbers.collect::<Result<Vec<_>>>()?;
            format!("[{}]", numbers.join(", "))
        }
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => text.to_owned(),
            Err(_) => bail!("its bytes are no text; convert the column to numbers or text"),
        },
        Field::Byte(number) => number.to_string(),
        Field::Short(number) => number.to_string(),
        Field::Int(number) => number.to_string(),
        Field::Long(number) => number.to_string(),
        Field::UByte(number) => number.to_string(),
        Field::UShort(number) => number.to_string(),
        Field::UInt(number) => number.to_string(),
        Field::ULong(number) => number.to_string(),
        Field::Float16(number) => number.to_f32().to_string(),
        Field::Float(number) => number.to_string(),
        Field::Double(number) => number.to_string(),
        other => bail!(
            "{other} is neither text nor a number nor a list of numbers; leave the column out"
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::basic::Compression;
    use parquet::data_type::{ByteArray, ByteArrayType, FloatType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;

    /// Two rows of an id and a list of two numbers, as pandas and polars write them.
    fn parquet(path: &Path, compression: Compression) {
        let schema = "message m { required binary id (UTF8); \
                      required group emb (LIST) { repeated group list { required float element; } } }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .build();
        let file = std::fs::File::create(path).unwrap();
        let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let ids = [ByteArray::from("a,1"), ByteArray::from("b")];
        column
            .typed::<ByteArrayType>()
            .write_batch(&ids, None, None)
            .unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values = [0.1, -1e-8, 3.0, 4.5];
        column
            .typed::<FloatType>()
            .write_batch(&values, Some(&[1, 1, 1, 1]), Some(&[0, 1, 0, 1]))
            .unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn rows_become_lines_and_lists_json_whatever_the_compression() {
        let folder = tempfile::tempdir().unwrap();
        let (file, out) = (folder.path().join("x.parquet"), folder.path().join("x.csv"));
        for compression in [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(Default::default()),
            Compression::ZSTD(Default::default()),
        ] {
            parquet(&file, compression);
            assert_eq!(parquet_to_csv(&file, &out).unwrap(), 2);
            let text = std::fs::read_to_string(&out).unwrap();
            assert_eq!(
                text,
                "id,emb\n\"a,1\",\"[0.1, -0.00000001]\"\nb,\"[3, 4.5]\"\n"
            );
        }
        std::fs::write(&file, "PAR1, but no more").unwrap();
        let message = format!("{:#}", parquet_to_csv(&file, &out).unwrap_err());
        assert!(message.starts_with("it is no Parquet file"), "{message}");
    }
}
