//! How a file is written: what its name says, and what a spec says of it.

use std::path::Path;

use genair_protocol::{Encoding, FormatKind, TableFormat};

use super::file;
use crate::DataError;

/// The form of a file, with everything that its name decides filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) kind: FormatKind,
    pub(super) separator: Separator,
    /// Absent: as `names` and positions in `columns` say.
    pub(super) header: Option<bool>,
    pub(super) names: Option<Vec<String>>,
    pub(super) quotes: bool,
    pub(super) encoding: Option<Encoding>,
    /// The key of a spec that has all this.
    pub(super) key: &'static str,
}

/// What stands between two fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Separator {
    Byte(u8),
    Text(String),
    /// Spaces and tabs, any number.
    Whitespace,
}

impl Layout {
    /// What `key` of a spec and the name of the file say.
    pub(super) fn of(
        path: &Path,
        format: Option<&TableFormat>,
        key: &'static str,
    ) -> Result<Self, DataError> {
        let format = format.cloned().unwrap_or_default();
        let named = form_of(path);
        let of_spec = || format.separator.as_ref().map(|_| FormatKind::Delimited);
        let kind = format.kind.or_else(of_spec).or(named.map(|(kind, _)| kind));
        let unknown = || DataError::UnknownFormat {
            path: path.to_owned(),
            key,
        };
        let kind = kind.ok_or_else(unknown)?;
        let written = format
            .separator
            .as_deref()
            .or(named.and_then(|(_, separator)| separator));
        let separator = match (written, kind) {
            (Some("whitespace"), _) | (None, FormatKind::Sequences) => Separator::Whitespace,
            (Some(text), _) => match text.as_bytes() {
                [byte] => Separator::Byte(*byte),
                _ => Separator::Text(text.to_owned()),
            },
            (None, FormatKind::Delimited) => return Err(unknown()),
            (None, _) => Separator::Byte(b','),
        };
        let can_quote = matches!(separator, Separator::Byte(b',' | b';'));
        Ok(Self {
            kind,
            header: format.header.or(format.names.is_some().then_some(false)),
            names: format.names,
            quotes: format.quotes.unwrap_or(can_quote),
            encoding: format.encoding,
            separator,
            key,
        })
    }

    /// That of a RecBole atomic file.
    pub(super) fn recbole(encoding: Option<Encoding>) -> Self {
        Self {
            kind: FormatKind::Delimited,
            separator: Separator::Byte(b'\t'),
            header: Some(true),
            names: None,
            quotes: false,
            encoding,
            key: "format",
        }
    }

    /// The key of a spec that names the encoding.
    pub(super) fn encoding_key(&self) -> &'static str {
        match self.key {
            "format" => "format.encoding",
            _ => "items_format.encoding",
        }
    }
}

/// The form and the separator that the name of a file says.
pub(crate) fn form_of(path: &Path) -> Option<(FormatKind, Option<&'static str>)> {
    match file::ending(path)?.as_str() {
        "csv" => Some((FormatKind::Delimited, Some(","))),
        "tsv" => Some((FormatKind::Delimited, Some("\t"))),
        "jsonl" | "ndjson" => Some((FormatKind::JsonLines, None)),
        "parquet" | "pq" => Some((FormatKind::Parquet, None)),
        _ => None,
    }
}
