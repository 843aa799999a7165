//! Looks at files of interactions and items and says how a spec declares them. Guesses from the first lines and names
//! of columns, then reads everything with the guess, so that what it proposes is known to work.

mod columns;
mod sample;

use std::path::{Path, PathBuf};

use genair_files::doing;
use genair_protocol::{
    Column, Columns, DatasetKind, DatasetSpec, Duplicates, FileNames, FormatKind, ItemsFiles,
    ItemsFormat, Missing, TableFormat, UnknownItems,
};
use serde::Serialize;

use crate::read::{self, archive};
use crate::{DataError, Dataset, Statistics};
use columns::{Names, TimeForm, guess_columns};
use sample::{Sample, sample};

/// What a look at a file or folder found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// The settings that read it; `path` is the folder.
    pub spec: DatasetSpec,
    /// Fields of items that a prompt may tell, the title first.
    pub text_fields: Vec<String>,
    /// What was found of each file, for people.
    pub found: Vec<String>,
    /// What may surprise.
    pub warnings: Vec<String>,
    /// What comes of reading it.
    pub statistics: Statistics,
}

/// Why nothing can be proposed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// No file looks like interactions.
    #[error("no file of `{}` looks like interactions: none has a column of users and one of items (looked at {})", folder.display(), looked_at.join(", "))]
    NoInteractions {
        /// The folder.
        folder: PathBuf,
        /// The files that were looked at.
        looked_at: Vec<String>,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// Most files that are looked at.
const MOST_FILES: usize = 64;

/// Looks at a file, a folder, an archive or a member of one.
///
/// # Errors
/// [`InspectError`]; that nothing is left of the data (they are few, or users are short) is a warning.
pub fn inspect(path: &Path) -> Result<Inspection, InspectError> {
    let (folder, names) = candidates(path)?;
    let mut samples = Vec::new();
    for name in &names {
        samples.extend(sample(&folder, name)?);
    }
    let no_interactions = || InspectError::NoInteractions {
        folder: folder.clone(),
        looked_at: names.clone(),
    };
    let logs = samples
        .iter()
        .filter_map(|sample| Some((sample, guess_columns(sample)?)));
    let logs: Vec<(&Sample, Names)> = logs.collect();
    let (log, columns) = logs
        .iter()
        .max_by_key(|(sample, names)| (names.score(), sample.bytes))
        .ok_or_else(no_interactions)?;
    // Parts of one log look alike.
    let alike = logs
        .iter()
        .filter(|(sample, names)| sample.is_like(log) && names == columns);
    let alike: Vec<&Sample> = alike.map(|(sample, _)| *sample).collect();
    let items = samples
        .iter()
        .filter(|sample| !alike.iter().any(|part| part.name == sample.name));
    let items = items.filter_map(|sample| Some((sample, sample.key_of_items(columns, log)?)));
    let items = items.max_by_key(|(sample, _)| sample.text_columns().len());

    let mut spec = DatasetSpec {
        path: Some(folder.clone()),
        ..DatasetSpec::default()
    };
    let mut inspection = Inspection {
        found: Vec::new(),
        warnings: Vec::new(),
        text_fields: Vec::new(),
        statistics: Statistics::default(),
        spec: DatasetSpec::default(),
    };
    declare_log(&mut spec, &alike, log, columns);
    inspection.found.push(log.told(&alike, columns));
    inspection.warnings.extend(columns.warnings());
    match items {
        Some((sample, key)) => {
            declare_items(&mut spec, sample, &key, columns);
            inspection
                .found
                .push(format!("{}: items, the id is `{key}`", sample.name));
            inspection.text_fields = sample.text_columns();
        }
        None if spec.kind != DatasetKind::Recbole => spec.items = Some(ItemsFiles::Off(false)),
        None => {}
    }
    settle(&mut spec, &mut inspection)?;
    inspection.spec = spec;
    Ok(inspection)
}

/// The folder and the names in it that are looked at, members of archives among them.
fn candidates(path: &Path) -> Result<(PathBuf, Vec<String>), DataError> {
    let metadata = match archive::member_of(path) {
        Some(_) => None,
        None => Some(std::fs::metadata(path).map_err(doing("read", path))?),
    };
    let is_folder = metadata.is_some_and(|metadata| metadata.is_dir());
    if !is_folder {
        let folder = genair_files::folder_of(path).to_owned();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let (folder, name) = match archive::member_of(path) {
            Some((archive, member)) => {
                let name = archive
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                (
                    genair_files::folder_of(&archive).to_owned(),
                    format!("{name}/{member}"),
                )
            }
            None => (folder, name),
        };
        let names = with_members(&folder, vec![name]);
        return Ok((folder, names));
    }
    let names = read::list(path)?;
    let names = names
        .into_iter()
        .filter(|name| !name.starts_with('.') && path.join(name).is_file());
    let names = with_members(path, names.collect());
    Ok((
        path.to_owned(),
        names.into_iter().take(MOST_FILES).collect(),
    ))
}

/// Names of files, of archives those of their members.
fn with_members(folder: &Path, names: Vec<String>) -> Vec<String> {
    let members = |name: String| match archive::members(&folder.join(&name)) {
        Some(members) => members
            .into_iter()
            .map(|member| format!("{name}/{member}"))
            .collect(),
        None => vec![name],
    };
    names.into_iter().flat_map(members).collect()
}

fn declare_log(spec: &mut DatasetSpec, parts: &[&Sample], log: &Sample, names: &Names) {
    if log.is_recbole() {
        spec.kind = DatasetKind::Recbole;
    }
    let mut files: Vec<String> = parts.iter().map(|part| part.name.clone()).collect();
    // Where rows have equal times, or none, the order of the parts counts.
    files.sort_by_key(|name| {
        ["train", "valid", "test"]
            .iter()
            .position(|part| name.contains(part))
    });
    spec.interactions = Some(match files.as_slice() {
        [one] => FileNames::One(one.clone()),
        _ => FileNames::Several(files),
    });
    if spec.kind == DatasetKind::Table {
        let format = log.format();
        spec.format = Some(format).filter(|format| *format != TableFormat::default());
    }
    let columns = names.columns();
    spec.columns = Some(columns).filter(|columns| *columns != Columns::default());
    if let TimeForm::Named(format) = &names.time_form {
        spec.time_format = Some(format.clone());
    }
}

fn declare_items(spec: &mut DatasetSpec, sample: &Sample, key: &str, names: &Names) {
    spec.items = Some(ItemsFiles::Named(FileNames::One(sample.name.clone())));
    if spec.kind == DatasetKind::Recbole {
        return;
    }
    let table = sample.format();
    let is_default = names.columns().item == Column::from(key);
    let format = ItemsFormat {
        kind: table.kind,
        separator: table.separator,
        header: table.header,
        names: table.names,
        quotes: table.quotes,
        encoding: table.encoding,
        id: (!is_default).then(|| match key.parse() {
            Ok(position) if !sample.has_header => Column::Position(position),
            _ => Column::from(key),
        }),
        ..ItemsFormat::default()
    };
    spec.items_format = Some(format).filter(|format| *format != ItemsFormat::default());
}

/// Reads the data, and loosens what stops that, with a warning for each.
fn settle(spec: &mut DatasetSpec, inspection: &mut Inspection) -> Result<(), DataError> {
    use crate::LineProblem::{BadItemId, BadRating, DuplicateItem, Missing as Lacks, UnknownItem};
    for _ in 0..8 {
        let error = match crate::load(spec) {
            Ok(dataset) => {
                tell(&dataset, inspection);
                return Ok(());
            }
            Err(error @ DataError::NothingLeft { .. }) => {
                inspection.warnings.push(error.to_string());
                return Ok(());
            }
            Err(error) => error,
        };
        let said = error.to_string();
        let DataError::Line { problem, .. } = &error else {
            return Err(error);
        };
        let format = spec.items_format.get_or_insert_default();
        match problem {
            UnknownItem { .. } if spec.unknown_items.is_none() => {
                spec.unknown_items = Some(UnknownItems::Keep)
            }
            DuplicateItem { .. } if format.duplicates.is_none() => {
                format.duplicates = Some(Duplicates::First)
            }
            BadItemId { found: None, .. } if format.missing.is_none() => {
                format.missing = Some(Missing::Drop)
            }
            Lacks { .. } if spec.missing.is_none() => spec.missing = Some(Missing::Drop),
            BadRating { .. } => spec.columns.get_or_insert_default().rating = Some(Column::Off),
            _ => return Err(error),
        }
        inspection.warnings.push(said);
        spec.items_format = spec
            .items_format
            .take()
            .filter(|format| *format != ItemsFormat::default());
    }
    Ok(())
}

fn tell(dataset: &Dataset, inspection: &mut Inspection) {
    let statistics = dataset.statistics().clone();
    let warnings = &mut inspection.warnings;
    let removed = &statistics.removed;
    if removed.low_rating > 0 {
        let rows = removed.low_rating;
        warnings.push(format!("{rows} rows have a rating of 0 or less and are dropped; set `columns.rating = false` to keep them"));
    }
    if statistics.repeated_pairs > 0 {
        let pairs = statistics.repeated_pairs;
        warnings.push(format!("{pairs} interactions are with an item that the user has met before; `repeats` says what becomes of them"));
    }
    if statistics.ordered_by == crate::OrderedBy::FileOrder {
        warnings.push("there is no column of times: the order of the file counts".to_owned());
    }
    let with_text = statistics.items - statistics.items_without_metadata;
    let share = 100.0 * with_text as f64 / statistics.items.max(1) as f64;
    inspection.found.push(format!(
        "{} users, {} items ({share:.1} % with metadata), {} interactions",
        statistics.users, statistics.items, statistics.interactions
    ));
    inspection.statistics = statistics;
}

/// Forms of files, in words.
fn form(kind: FormatKind) -> &'static str {
    match kind {
        FormatKind::Delimited => "delimited",
        FormatKind::JsonLines => "JSON lines",
        FormatKind::PythonLines => "Python lines",
        FormatKind::Sequences => "a user and items per line",
        FormatKind::Parquet => "Parquet",
    }
}
