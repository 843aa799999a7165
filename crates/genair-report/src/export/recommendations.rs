//! Recommended lists as a table, for other evaluators.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use genair_protocol::RecommendedList;
use genair_store::ColumnKind::{self, Integer, Real, Text};
use genair_store::TableColumn;
use serde::Serialize;
use serde_json::Value;

use super::ExportFormat;
use super::sink::Sink;
use crate::ReportError;
use crate::write::failed;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportedRecommendations {
    /// The file of the lists.
    pub file: PathBuf,
    /// Its rows.
    pub rows: u64,
    /// The file of the targets.
    pub targets: Option<PathBuf>,
    /// Users with a list.
    pub users: usize,
}

const COLUMNS: [(&str, ColumnKind); 4] = [
    ("user_id", Text),
    ("rank", Integer),
    ("item_id", Text),
    ("score", Real),
];

const TARGET_COLUMNS: [(&str, ColumnKind); 2] = [("user_id", Text), ("item_id", Text)];

/// Writes a row for each item of each list, and a row for each target if a file for them is named. `lists` has a
/// [`RecommendedList`] as JSON on each line.
///
/// # Errors
/// `lists` cannot be read, or a file cannot be written. Each file appears whole or not at all.
pub fn export_recommendations(
    lists: &Path,
    (out, format): (&Path, ExportFormat),
    targets: Option<(&Path, ExportFormat)>,
) -> Result<ExportedRecommendations, ReportError> {
    let unreadable = |source| failed(lists, source);
    let mut sink = Sink::create(out, format, "recommendations", columns(&COLUMNS))?;
    let create = |(path, format)| Sink::create(path, format, "targets", columns(&TARGET_COLUMNS));
    let mut target_sink = targets.map(create).transpose()?;
    let mut users = 0;
    for line in BufReader::new(File::open(lists).map_err(unreadable)?).lines() {
        let list: RecommendedList = serde_json::from_str(&line.map_err(unreadable)?)
            .map_err(|error| unreadable(error.into()))?;
        users += 1;
        let user = Value::from(list.user_id);
        for (rank, item) in list.items.into_iter().enumerate() {
            let item_id = item.item_id.into();
            // By its shortest digits, as the trainer says it: widened, it would have digits that it lacks.
            let score: f64 = item.score.to_string().parse().unwrap_or(f64::NAN);
            sink.write(vec![user.clone(), rank.into(), item_id, score.into()])?;
        }
        if let (Some(sink), Some(target)) = (&mut target_sink, list.target) {
            sink.write(vec![user, target.item_id.into()])?;
        }
    }
    if let Some(sink) = target_sink {
        sink.finish()?;
    }
    Ok(ExportedRecommendations {
        file: out.to_owned(),
        rows: sink.finish()?,
        targets: targets.map(|(path, _)| path.to_owned()),
        users,
    })
}

fn columns(columns: &[(&str, ColumnKind)]) -> Vec<TableColumn> {
    let column = |&(name, kind): &(&str, ColumnKind)| TableColumn {
        name: name.to_owned(),
        kind,
    };
    columns.iter().map(column).collect()
}
