//! Reading a report spec: preset < `[report]` < `[table.NAME]`, then all checks that need no database.

use std::fmt::Display;
use std::path::Path;

use genair_files::spec_text;
use genair_protocol::text::escaped;
use genair_toml::{
    Document, KeyPath, Problem, Problems, Sources, SpecError, read_section, suggestion,
};
use strum::VariantNames;
use toml::Table;

use super::names::{check_caption, check_printed_names};
use super::{
    Delta, Dimension, FigureKind, FigureSpec, Measure, Preset, ReportSection, ReportSpec, TableSpec,
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

/// What a report spec has at its top level.
const SECTIONS: [&str; 3] = ["report", "table", "figure"];

impl ReportSpec {
    /// Reads a report spec.
    ///
    /// # Errors
    /// Everything that is wrong with it: a file that cannot be read, text that is not TOML, unknown
    /// keys, values that do not fit.
    pub fn read(path: &Path) -> Result<Self, SpecError> {
        let text = spec_text::read(path).map_err(|error| {
            Problem::of_file(path, format!("cannot read the report spec: {error}"))
        })?;
        Self::parse(path, &text)
    }

    /// Reads the text of a report spec; `path` is what errors call it.
    ///
    /// # Errors
    /// As of [`ReportSpec::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, SpecError> {
        let document = Document::parse(path, text)?;
        let tree = document.tree.clone();
        let sources = Sources::new(vec![document], Vec::new());
        let mut reader = Reader {
            tree: &tree,
            sources: &sources,
            problems: Problems::new(&sources),
        };
        reader.check_sections();
        let at = KeyPath::new([SECTIONS[0]]);
        let report = reader.table_at(&at).unwrap_or_default();
        let report: ReportSection =
            read_section(&at, &report, &mut reader.problems).unwrap_or_default();
        check_colours(&report, &mut reader.problems);
        check_printed_names(&report, &mut reader.problems);
        let [tables, figures] = [SECTIONS[1], SECTIONS[2]].map(|section| reader.tables(section));
        let taken = sources.names(&KeyPath::new([SECTIONS[1]]));
        let tables = tables
            .into_iter()
            .filter_map(|(name, table)| reader.table(name, table, &report))
            .collect();
        let figures = figures
            .into_iter()
            .filter_map(|(name, figure)| reader.figure(name, &figure, &report, &taken))
            .collect();
        reader.problems.finish()?;
        Ok(Self {
            path: path.to_owned(),
            names: report.names,
            colours: report.colours,
            specs: report.specs,
            tables,
            figures,
            sources,
        })
    }
}

/// One pass over a report spec.
struct Reader<'s> {
    tree: &'s Table,
    sources: &'s Sources,
    problems: Problems<'s>,
}

impl Reader<'_> {
    fn check_sections(&mut self) {
        let root = KeyPath::default();
        for name in self.tree.keys() {
            if !SECTIONS.contains(&name.as_str()) {
                let key = root.child(name);
                let hint = suggestion(name, SECTIONS);
                self.report(&key, format!("unknown key `{key}`"), hint.as_deref());
            }
        }
        if !SECTIONS[1..]
            .iter()
            .any(|name| self.tree.contains_key(*name))
        {
            let hint = "add one, such as\n[table.main]\npreset = \"main\"";
            let message = "the report has no table and no figure";
            self.report(&root.child("table"), message, Some(hint));
        }
    }

    fn report(&mut self, key: &KeyPath, message: impl Into<String>, hint: Option<&str>) {
        self.problems.report(key, message, hint.map(str::to_owned));
    }

    /// The table at `at`; none where there is none.
    fn table_at(&mut self, at: &KeyPath) -> Option<Table> {
        let value = at.get(self.tree)?;
        if !value.is_table() {
            let message = format!("`{at}` is {value}; it must be a table");
            self.report(at, message, None);
        }
        value.as_table().cloned()
    }

    /// The tables of a section with their names, in the order of the file.
    fn tables(&mut self, section: &str) -> Vec<(String, Table)> {
        let at = KeyPath::new([section]);
        if self.table_at(&at).is_none() {
            return Vec::new();
        }
        let names = self.sources.names(&at).into_iter();
        let table = |name: String| Some((self.table_at(&at.child(&name))?, name));
        let tables = names.filter_map(table).map(|(table, name)| (name, table));
        tables.collect()
    }

    /// One table with its preset and the report's defaults below it.
    fn table(&mut self, name: String, own: Table, report: &ReportSection) -> Option<TableSpec> {
        let at = KeyPath::new(["table", &name]);
        self.check_name(&at, &name);
        let preset = own.get("preset").and_then(|name| name.as_str());
        let preset = Preset::ALL.iter().find(|(known, _)| Some(*known) == preset);
        let table = preset.and_then(|(_, keys)| keys.parse().ok());
        let mut table: Table = table.unwrap_or_default();
        table.extend(own);
        let mut spec: TableSpec = read_section(&at, &table, &mut self.problems)?;
        spec.name = name;
        spec.section = at.to_string();
        if spec.sweeps.is_empty() {
            spec.sweeps.clone_from(&report.sweeps);
        }
        self.check(&at, &spec);
        Some(spec)
    }

    /// One figure with the report's defaults below it; `taken` are the names of tables.
    fn figure(
        &mut self,
        name: String,
        own: &Table,
        report: &ReportSection,
        taken: &[String],
    ) -> Option<FigureSpec> {
        let at = KeyPath::new(["figure", &name]);
        self.check_name(&at, &name);
        if taken.contains(&name) {
            let hint = "give it another name: both would write the same files";
            self.report(&at, format!("there is a table `{name}`, too"), Some(hint));
        }
        if !own.contains_key("kind") {
            let (key, kinds) = (at.child("kind"), FigureKind::VARIANTS.join(", "));
            self.report(&key, format!("`{key}` is missing; it can be {kinds}"), None);
            return None;
        }
        let mut spec: FigureSpec = read_section(&at, own, &mut self.problems)?;
        spec.name = name;
        if spec.sweeps.is_empty() {
            spec.sweeps.clone_from(&report.sweeps);
        }
        self.check_x(&at, &spec);
        if spec.series.is_empty() {
            let key = at.child("series");
            self.report(&key, format!("`{key}` is empty"), None);
        }
        self.check(&at, &spec.table());
        Some(spec)
    }

    fn check_x(&mut self, at: &KeyPath, spec: &FigureSpec) {
        let key = at.child("x");
        let kind = spec.kind.as_str();
        match (spec.kind, &spec.x) {
            (FigureKind::Sensitivity, None) => {
                let hint = "name a swept axis, as in x = \"alpha\"";
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

    fn check_name(&mut self, at: &KeyPath, name: &str) {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !name.chars().all(plain) || name.is_empty() {
            let hint = "name it with letters, digits, `-` and `_`";
            let message = format!("`{}` cannot name a file", escaped(name));
            self.report(at, message, Some(hint));
        }
        if name == "index" {
            let hint = "give it another name: `index` is the report's overview";
            self.report(at, "`index` is taken", Some(hint));
        }
    }

    /// What the types cannot say.
    fn check(&mut self, at: &KeyPath, spec: &TableSpec) {
        check_caption(at, spec.caption.as_deref(), &mut self.problems);
        if spec.sweeps.is_empty() {
            let hint = "name the sweeps here, or in [report] for all tables";
            let key = at.child("sweeps");
            self.report(&key, format!("`{at}` names no sweep"), Some(hint));
        }
        self.check_list(&at.child("sweeps"), &spec.sweeps);
        self.check_list(&at.child("rows"), &spec.rows);
        self.check_list(&at.child("columns"), &spec.columns);
        self.check_list(&at.child("metrics"), &spec.metrics);
        self.check_list(&at.child("protocols"), &spec.protocols);
        self.check_list(&at.child("cohorts"), &spec.cohorts);
        for (key, empty) in [
            ("rows", spec.rows.is_empty()),
            ("metrics", spec.metrics.is_empty()),
            ("protocols", spec.protocols.is_empty()),
            ("cohorts", spec.cohorts.is_empty()),
        ] {
            if empty {
                let key = at.child(key);
                self.report(&key, format!("`{key}` is empty"), None);
            }
        }
        self.check_dimensions(at, spec);
        if spec.delta != Delta::None && spec.baseline.is_empty() {
            let key = at.child("baseline");
            let hint = "name it, as in baseline = { representation = \"id\" }";
            let message = format!("`{key}` is missing: the table shows differences from it");
            self.report(&key, message, Some(hint));
        }
        if !(1..=8).contains(&spec.digits) {
            let key = at.child("digits");
            let message = format!("`{key}` is {}; it must be from 1 to 8", spec.digits);
            self.report(&key, message, None);
        }
        let levels = &spec.test.levels;
        let falling = levels.windows(2).all(|pair| pair[0] > pair[1]);
        if !falling || levels.iter().any(|level| !(*level > 0.0 && *level < 1.0)) {
            let key = at.child("test").child("levels");
            let message = format!("`{key}` is {levels:?}; it must fall, between 1 and 0");
            self.report(&key, message, None);
        }
        if spec.test.resamples < 100 {
            let key = at.child("test").child("resamples");
            let message = format!("`{key}` is {}; the least is 100", spec.test.resamples);
            self.report(&key, message, None);
        }
    }

    fn check_dimensions(&mut self, at: &KeyPath, spec: &TableSpec) {
        let runs_only = "here go labels of runs: sweep, dataset, backbone, representation, variant or a swept axis";
        let rows = spec.rows.iter().map(|own| ("rows", own));
        let within = spec.best_within.iter().map(|own| ("best_within", own));
        let filter = spec.filter.keys().map(|own| ("where", own));
        let baseline = spec.baseline.keys().map(|own| ("baseline", own));
        let all = rows.chain(within).chain(filter).chain(baseline);
        for (key, dimension) in all.filter(|(_, own)| own.is_measured()) {
            let key = at.child(key);
            self.report(
                &key,
                format!("`{key}` names `{dimension}`"),
                Some(runs_only),
            );
        }
        for dimension in &spec.rows {
            if spec.columns.contains(dimension) {
                let key = at.child("columns");
                let message = format!("`{dimension}` is in both rows and columns; name it once");
                self.report(&key, message, None);
            }
        }
        for dimension in &spec.best_within {
            if !spec.rows.contains(dimension) {
                let key = at.child("best_within");
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
                self.report(&at.child(key), message, Some(&hint));
            }
        }
    }

    fn check_list<T: PartialEq + Display>(&mut self, key: &KeyPath, list: &[T]) {
        for (at, value) in list.iter().enumerate() {
            if list[..at].contains(value) {
                let message = format!("`{key}` lists `{value}` twice; list it once");
                self.report(key, message, None);
            }
        }
    }
}

fn check_colours(report: &ReportSection, problems: &mut Problems<'_>) {
    for (name, colour) in &report.colours {
        let digits = colour.strip_prefix('#').unwrap_or_default();
        if digits.len() != 6 || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            let key = KeyPath::new(["report", "colours", name]);
            let message = format!("`{key}` is \"{colour}\"; write it as in \"#0072b2\"");
            problems.report(&key, message, None);
        }
    }
}
