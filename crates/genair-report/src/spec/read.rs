//! Reading a report spec: preset < `[report]` < `[table.NAME]`, then all checks that need no database.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use figment::error::Kind;
use genair_files::spec_text;
use genair_protocol::text::escaped;
use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::{
    Delta, Dimension, FigureKind, FigureSpec, Measure, Preset, Problem, ReportSection, ReportSpec,
    SpecError, TableSpec, suggestion,
};

impl Preset {
    const ALL: [(&'static str, &'static str); 6] = [
        ("main", include_str!("presets/main.toml")),
        ("ablation", include_str!("presets/ablation.toml")),
        ("sensitivity", include_str!("presets/sensitivity.toml")),
        ("cohorts", include_str!("presets/cohorts.toml")),
        ("traps", include_str!("presets/traps.toml")),
        ("efficiency", include_str!("presets/efficiency.toml")),
    ];
}

impl ReportSpec {
    /// Reads a report spec.
    ///
    /// # Errors
    /// Everything that is wrong with it: a file that cannot be read, text that is not TOML, unknown
    /// keys, values that do not fit.
    pub fn read(path: &Path) -> Result<Self, SpecError> {
        let text = spec_text::read(path).map_err(|error| {
            let reader = Reader::new(path);
            reader.fail(None, "", format!("cannot read the report spec: {error}"))
        })?;
        Self::parse(path, &text)
    }

    /// Reads the text of a report spec; `path` is what errors call it.
    ///
    /// # Errors
    /// As of [`ReportSpec::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, SpecError> {
        let mut reader = Reader::new(path);
        let tree = reader.lines_and_tree(text)?;
        let mut sections = tree.clone();
        let report = reader.take_table(&mut sections, "report");
        let report: ReportSection = reader.section("report", report).unwrap_or_default();
        let tables = reader.take_table(&mut sections, "table");
        let figures = reader.take_table(&mut sections, "figure");
        for key in sections.keys() {
            let hint = suggestion(key, ["report", "table", "figure"]);
            reader.report(key, format!("unknown key `{key}`"), hint);
        }
        if !tree.contains_key("table") && !tree.contains_key("figure") {
            let hint = "add one, such as\n[table.main]\npreset = \"main\"".to_owned();
            reader.report("table", "the report has no table and no figure", Some(hint));
        }
        reader.check_colours(&report);
        reader.check_printed_names(&report);
        let taken: Vec<String> = tables.keys().cloned().collect();
        let mut tables: Vec<TableSpec> = tables
            .into_iter()
            .filter_map(|(name, table)| reader.table(&name, table, &report))
            .collect();
        let mut figures: Vec<FigureSpec> = figures
            .into_iter()
            .filter_map(|(name, figure)| reader.figure(&name, figure, &report, &taken))
            .collect();
        tables.sort_by_key(|spec| reader.lines.get(&spec.section).copied());
        figures.sort_by_key(|spec| reader.lines.get(&format!("figure.{}", spec.name)).copied());
        reader.finish()?;
        Ok(Self {
            path: path.to_owned(),
            names: report.names,
            colours: report.colours,
            specs: report.specs,
            tables,
            figures,
            lines: reader.lines,
        })
    }
}

/// What is known of a file while it is read.
pub(super) struct Reader<'p> {
    path: &'p Path,
    lines: BTreeMap<String, usize>,
    problems: Vec<Problem>,
}

impl<'p> Reader<'p> {
    fn new(path: &'p Path) -> Self {
        Self {
            path,
            lines: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    fn fail(&self, line: Option<usize>, key: &str, message: String) -> SpecError {
        SpecError {
            problems: vec![Problem {
                path: self.path.to_owned(),
                line,
                key: key.to_owned(),
                message,
                hint: None,
            }],
        }
    }

    /// The file as values, and where each key stands.
    fn lines_and_tree(&mut self, text: &str) -> Result<Table, SpecError> {
        let line_at = |offset: usize| 1 + text[..offset].matches('\n').count();
        let document = DeTable::parse(text).map_err(|error| {
            let line = error.span().map(|span| line_at(span.start));
            self.fail(line, "", format!("this is not TOML: {}", error.message()))
        })?;
        collect_lines("", document.get_ref(), &line_at, &mut self.lines);
        toml::from_str(text).map_err(|error| self.fail(None, "", error.message().to_owned()))
    }

    pub(super) fn report(&mut self, key: &str, message: impl Into<String>, hint: Option<String>) {
        let line = std::iter::successors(Some(key), |key| Some(key.rsplit_once('.')?.0))
            .find_map(|key| self.lines.get(key))
            .copied();
        let problem = Problem {
            path: self.path.to_owned(),
            line,
            key: key.to_owned(),
            message: message.into(),
            hint,
        };
        // Two checks may find the same.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn finish(&mut self) -> Result<(), SpecError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let mut problems = std::mem::take(&mut self.problems);
        problems.sort_by_key(|problem| problem.line);
        Err(SpecError { problems })
    }

    /// Takes a table out of the file's; an empty one where there is none.
    fn take_table(&mut self, tree: &mut Table, key: &str) -> Table {
        match tree.remove(key) {
            Some(Value::Table(table)) => table,
            Some(other) => {
                self.report(key, format!("`{key}` is {other}; it must be a table"), None);
                Table::new()
            }
            None => Table::new(),
        }
    }

    /// Reads `table`, which stands at `at`, as a `T`. A key that does not fit is reported, taken out,
    /// and the rest is read again, so that one pass finds every mistake.
    fn section<T: DeserializeOwned>(&mut self, at: &str, mut table: Table) -> Option<T> {
        loop {
            let errors = match figment::value::Value::serialize(&table) {
                Ok(value) => match value.deserialize::<T>() {
                    Ok(section) => return Some(section),
                    Err(errors) => errors,
                },
                Err(errors) => errors,
            };
            let mut removed = false;
            for error in errors {
                let mut path = error.path.clone();
                let key = std::iter::once(at.to_owned())
                    .chain(path.iter().cloned())
                    .collect::<Vec<_>>()
                    .join(".");
                let (message, hint) = describe(&key, error.kind);
                self.report(&key, message, hint);
                while !path.is_empty() && !remove(&mut table, &path) {
                    path.pop(); // A path may lead into a list: then the whole list goes.
                }
                removed |= !path.is_empty();
            }
            if !removed {
                return None;
            }
        }
    }

    /// One table with its preset and the report's defaults below it.
    fn table(&mut self, name: &str, value: Value, report: &ReportSection) -> Option<TableSpec> {
        let at = format!("table.{name}");
        let Value::Table(own) = value else {
            self.report(&at, format!("`{at}` is {value}; it must be a table"), None);
            return None;
        };
        self.check_name(&at, name);
        let preset = own.get("preset").and_then(Value::as_str).unwrap_or("");
        let mut table: Table = Preset::ALL
            .iter()
            .find(|(known, _)| *known == preset)
            .and_then(|(_, keys)| keys.parse().ok())
            .unwrap_or_default();
        table.extend(own);
        let mut spec: TableSpec = self.section(&at, table)?;
        spec.name = name.to_owned();
        spec.section.clone_from(&at);
        if spec.sweeps.is_empty() {
            spec.sweeps.clone_from(&report.sweeps);
        }
        self.check(&at, &spec);
        Some(spec)
    }

    /// One figure with the report's defaults below it; `taken` are the names of tables.
    fn figure(
        &mut self,
        name: &str,
        value: Value,
        report: &ReportSection,
        taken: &[String],
    ) -> Option<FigureSpec> {
        let at = format!("figure.{name}");
        let Value::Table(own) = value else {
            self.report(&at, format!("`{at}` is {value}; it must be a table"), None);
            return None;
        };
        self.check_name(&at, name);
        if taken.iter().any(|table| table == name) {
            let hint = "give it another name: both would write the same files".to_owned();
            self.report(&at, format!("there is a table `{name}`, too"), Some(hint));
        }
        if !own.contains_key("kind") {
            let kinds = "sensitivity, cohorts, learning-curves, cost, item-space, trajectories";
            let message = format!("`{at}.kind` is missing; it can be {kinds}");
            self.report(&at, message, None);
            return None;
        }
        let mut spec: FigureSpec = self.section(&at, own)?;
        spec.name = name.to_owned();
        if spec.sweeps.is_empty() {
            spec.sweeps.clone_from(&report.sweeps);
        }
        self.check_x(&at, &spec);
        if spec.series.is_empty() {
            self.report(
                &format!("{at}.series"),
                format!("`{at}.series` is empty"),
                None,
            );
        }
        self.check(&at, &spec.table());
        Some(spec)
    }

    fn check_x(&mut self, at: &str, spec: &FigureSpec) {
        let key = format!("{at}.x");
        let kind = spec.kind.as_str();
        match (spec.kind, &spec.x) {
            (FigureKind::Sensitivity, None) => {
                let hint = "name a swept axis, as in x = \"alpha\"".to_owned();
                self.report(at, format!("`{key}` is missing"), Some(hint));
            }
            (FigureKind::Sensitivity, Some(x)) if Dimension::from(x.clone()).is_measured() => {
                let message = format!("`{key}` is \"{x}\"; it must be a swept axis");
                self.report(&key, message, None);
            }
            (FigureKind::Cost, Some(x)) => match x.parse::<Measure>() {
                Ok(measure) if !measure.higher_is_better() => {}
                Ok(_) => {
                    let message = format!("`{key}` is \"{x}\"; it must be a cost");
                    self.report(&key, message, None);
                }
                Err(message) => self.report(&key, format!("`{key}`: {message}"), None),
            },
            (FigureKind::Sensitivity | FigureKind::Cost, _) | (_, None) => {}
            (_, Some(x)) => {
                let message = format!("`{key}` is \"{x}\"; a figure of kind {kind} has none");
                self.report(&key, message, None);
            }
        }
    }

    fn check_name(&mut self, at: &str, name: &str) {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !name.chars().all(plain) || name.is_empty() {
            let hint = "name it with letters, digits, `-` and `_`".to_owned();
            let message = format!("`{}` cannot name a file", escaped(name));
            self.report(at, message, Some(hint));
        }
        if name == "index" {
            let hint = "give it another name: `index` is the report's overview".to_owned();
            self.report(at, "`index` is taken", Some(hint));
        }
    }

    fn check_colours(&mut self, report: &ReportSection) {
        for (name, colour) in &report.colours {
            let digits = colour.strip_prefix('#').unwrap_or_default();
            if digits.len() != 6 || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
                let key = format!("report.colours.{name}");
                let message = format!("`{key}` is \"{colour}\"; write it as in \"#0072b2\"");
                self.report(&key, message, None);
            }
        }
    }

    /// What the types cannot say.
    fn check(&mut self, at: &str, spec: &TableSpec) {
        self.check_caption(at, spec.caption.as_deref());
        if spec.sweeps.is_empty() {
            let hint = "name the sweeps here, or in [report] for all tables".to_owned();
            self.report(
                &format!("{at}.sweeps"),
                format!("`{at}` names no sweep"),
                Some(hint),
            );
        }
        self.check_list(&format!("{at}.sweeps"), &spec.sweeps);
        self.check_list(&format!("{at}.rows"), &spec.rows);
        self.check_list(&format!("{at}.columns"), &spec.columns);
        self.check_list(&format!("{at}.metrics"), &spec.metrics);
        self.check_list(&format!("{at}.protocols"), &spec.protocols);
        self.check_list(&format!("{at}.cohorts"), &spec.cohorts);
        for (key, empty) in [
            ("rows", spec.rows.is_empty()),
            ("metrics", spec.metrics.is_empty()),
            ("protocols", spec.protocols.is_empty()),
            ("cohorts", spec.cohorts.is_empty()),
        ] {
            if empty {
                self.report(
                    &format!("{at}.{key}"),
                    format!("`{at}.{key}` is empty"),
                    None,
                );
            }
        }
        self.check_dimensions(at, spec);
        if spec.delta != Delta::None && spec.baseline.is_empty() {
            let key = format!("{at}.baseline");
            let hint = "name it, as in baseline = { representation = \"id\" }".to_owned();
            let message = format!("`{key}` is missing: the table shows differences from it");
            self.report(&key, message, Some(hint));
        }
        if !(1..=8).contains(&spec.digits) {
            let key = format!("{at}.digits");
            let message = format!("`{key}` is {}; it must be from 1 to 8", spec.digits);
            self.report(&key, message, None);
        }
        let levels = &spec.test.levels;
        let falling = levels.windows(2).all(|pair| pair[0] > pair[1]);
        if !falling || levels.iter().any(|level| !(*level > 0.0 && *level < 1.0)) {
            let key = format!("{at}.test.levels");
            let message = format!("`{key}` is {levels:?}; it must fall, between 1 and 0");
            self.report(&key, message, None);
        }
        if spec.test.resamples < 100 {
            let key = format!("{at}.test.resamples");
            let message = format!("`{key}` is {}; the least is 100", spec.test.resamples);
            self.report(&key, message, None);
        }
    }

    fn check_dimensions(&mut self, at: &str, spec: &TableSpec) {
        let runs_only = "here go labels of runs: sweep, dataset, backbone, representation, variant or a swept axis";
        let select: Vec<&Dimension> = spec.select.keys().collect();
        let baseline: Vec<&Dimension> = spec.baseline.keys().collect();
        for (key, dimensions) in [
            ("rows", spec.rows.iter().collect()),
            ("best_within", spec.best_within.iter().collect()),
            ("where", select),
            ("baseline", baseline),
        ] {
            for dimension in dimensions {
                if dimension.is_measured() {
                    let key = format!("{at}.{key}");
                    let message = format!("`{key}` names `{dimension}`");
                    self.report(&key, message, Some(runs_only.to_owned()));
                }
            }
        }
        for dimension in &spec.rows {
            if spec.columns.contains(dimension) {
                let key = format!("{at}.columns");
                let message = format!("`{dimension}` is in both rows and columns; name it once");
                self.report(&key, message, None);
            }
        }
        for dimension in &spec.best_within {
            if !spec.rows.contains(dimension) {
                let key = format!("{at}.best_within");
                let message = format!("`{key}` names `{dimension}`, which is not in rows");
                self.report(&key, message, None);
            }
        }
        for (dimension, key, several) in [
            (Dimension::Metric, "metrics", spec.metrics.len() > 1),
            (Dimension::Protocol, "protocols", spec.protocols.len() > 1),
            (Dimension::Cohort, "cohorts", spec.cohorts.len() > 1),
        ] {
            if several && !spec.columns.contains(&dimension) {
                let message = format!("`{at}.{key}` lists several, but columns lack `{dimension}`");
                let hint = format!("add \"{dimension}\" to columns, or list one");
                self.report(&format!("{at}.{key}"), message, Some(hint));
            }
        }
    }

    fn check_list<T: PartialEq + Display>(&mut self, key: &str, list: &[T]) {
        for (at, value) in list.iter().enumerate() {
            if list[..at].contains(value) {
                let message = format!("`{key}` lists `{value}` twice; list it once");
                self.report(key, message, None);
            }
        }
    }
}

fn collect_lines(
    at: &str,
    table: &DeTable<'_>,
    line_at: &dyn Fn(usize) -> usize,
    lines: &mut BTreeMap<String, usize>,
) {
    for (key, value) in table {
        let path = match at {
            "" => key.get_ref().to_string(),
            at => format!("{at}.{}", key.get_ref()),
        };
        if let DeValue::Table(inner) = value.get_ref() {
            collect_lines(&path, inner, line_at, lines);
        }
        lines.insert(path, line_at(key.span().start));
    }
}

/// Takes the key at `path` out; whether there was one.
fn remove(table: &mut Table, path: &[String]) -> bool {
    match path {
        [] => false,
        [last] => table.remove(last).is_some(),
        [first, rest @ ..] => match table.get_mut(first) {
            Some(Value::Table(inner)) => remove(inner, rest),
            _ => false,
        },
    }
}

fn describe(key: &str, kind: Kind) -> (String, Option<String>) {
    match kind {
        Kind::UnknownField(name, known) => (
            format!("unknown key `{key}`"),
            suggestion(&name, known.iter().copied()),
        ),
        Kind::UnknownVariant(name, known) => (
            format!("`{key}` is \"{name}\"; it can be {}", known.join(", ")),
            suggestion(&name, known.iter().copied()).filter(|hint| hint.starts_with("did")),
        ),
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            (format!("`{key}` is {found}; it must be {expected}"), None)
        }
        other => (format!("`{key}`: {other}"), None),
    }
}
