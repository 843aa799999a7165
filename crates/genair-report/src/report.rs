//! A whole report: its tables and figures, and what the database has no results for yet.

use std::path::{Component, Path, PathBuf};

use genair_store::Store;
use genair_toml::suggestion;
use itertools::Itertools;
use serde::Serialize;

use crate::ReportError;
use crate::build::build;
use crate::figure::{Figure, build_figure};
use crate::spec::ReportSpec;
use crate::table::Table;

/// What a report has come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// In the order of the spec.
    pub tables: Vec<Table>,
    /// In the order of the spec.
    pub figures: Vec<Figure>,
    /// What was left out.
    pub skipped: Vec<Skipped>,
}

/// A table or figure without results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Such as `table.main`.
    pub section: String,
    /// What the database lacks.
    pub reason: String,
    /// Specs that would fill it, as the report names them; empty where it names none.
    pub specs: Vec<PathBuf>,
}

/// What to do with a table or figure for which the database has no results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// It is an error.
    Refuse,
    /// It is left out, and noted; an error only if nothing is left.
    Skip,
}

/// Makes the tables and figures of a report, or those named in `only` if any are.
///
/// # Errors
/// An empty or foreign database; a sweep, axis or label that is not there; runs that must not stand
/// side by side; a configuration without its baseline; results that lack, where that is refused.
pub fn make_report(
    store: &mut Store,
    spec: &ReportSpec,
    only: &[String],
    lacking: Lacking,
) -> Result<Report, ReportError> {
    let tables = || spec.tables.iter().map(|table| table.name.as_str());
    let names = || tables().chain(spec.figures.iter().map(|figure| figure.name.as_str()));
    let is_unknown = |name: &&String| !names().any(|known| known == **name);
    if let Some(unknown) = only.iter().find(is_unknown) {
        return Err(ReportError::UnknownItem {
            path: spec.path.clone(),
            name: unknown.clone(),
            hint: suggestion(unknown, names()),
        });
    }
    let wanted = |name: &str| only.is_empty() || only.iter().any(|known| known == name);
    let mut report = Report {
        tables: Vec::new(),
        figures: Vec::new(),
        skipped: Vec::new(),
    };
    for table in spec.tables.iter().filter(|table| wanted(&table.name)) {
        let made = build(store, spec, table);
        let made = report.unless_lacking(made, lacking, spec, &table.sweeps)?;
        report.tables.extend(made);
    }
    for figure in spec.figures.iter().filter(|figure| wanted(&figure.name)) {
        let made = build_figure(store, spec, figure);
        let made = report.unless_lacking(made, lacking, spec, &figure.sweeps)?;
        report.figures.extend(made);
    }
    if report.tables.is_empty() && report.figures.is_empty() {
        return Err(ReportError::NothingMade {
            path: store.path().to_owned(),
            skipped: report.skipped,
        });
    }
    Ok(report)
}

impl Report {
    /// What was made; nothing, and a note, where results lack and that is allowed.
    fn unless_lacking<T>(
        &mut self,
        made: Result<T, ReportError>,
        lacking: Lacking,
        spec: &ReportSpec,
        sweeps: &[String],
    ) -> Result<Option<T>, ReportError> {
        let error = match made {
            Ok(made) => return Ok(Some(made)),
            Err(error) if lacking == Lacking::Skip && error.is_lack_of_results() => error,
            Err(error) => return Err(error),
        };
        if let ReportError::Table { section, kind, .. } = error {
            // A hint would name other sweeps, which is no help here.
            let reason = kind.to_string();
            let reason = reason.split('\n').next().unwrap_or_default().to_owned();
            let specs = sweeps.iter().filter_map(|sweep| spec.spec_of(sweep));
            self.skipped.push(Skipped {
                section,
                reason,
                specs: specs.collect(),
            });
        }
        Ok(None)
    }
}

impl ReportSpec {
    /// The spec that trains a sweep, as seen from where the report's path is.
    fn spec_of(&self, sweep: &str) -> Option<PathBuf> {
        let spec = self.specs.get(sweep)?;
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let mut path = PathBuf::new();
        for part in folder.join(spec).components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir
                    if matches!(path.components().next_back(), Some(Component::Normal(_))) =>
                {
                    path.pop();
                }
                part => path.push(part),
            }
        }
        Some(path)
    }
}

impl Skipped {
    /// What to do about it, in words.
    pub fn advice(&self) -> String {
        let command = |spec: &PathBuf| format!("`just sweep {}`", spec.display());
        match self.specs.as_slice() {
            [] => String::new(),
            specs => format!("run {}", specs.iter().map(command).join(" and ")),
        }
    }
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.section, self.reason)?;
        match self.advice() {
            advice if advice.is_empty() => Ok(()),
            advice => write!(f, "; {advice}"),
        }
    }
}
