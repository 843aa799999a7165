//! What a user writes under `[dataset.NAME]`, and every mistake in it that shows without the data.
//!
//! Owns keys, defaults and their meaning. Opens no file: that a folder or a column is there is the
//! readers' business.

use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Column, Columns, FileNames, FormatKind, ItemsFormat, Missing, Ranges, Repeats, SpecProblem,
    SplitSpec, TableFormat,
};

/// Users the synthetic generator makes at the most: all of them are held in memory.
const MAX_USERS: usize = 10_000_000;

/// Items the synthetic generator makes at the most.
const MAX_CATALOGUE: usize = 1_000_000;

/// Audiences the synthetic generator has words for.
pub const MAX_AUDIENCES: usize = 12;

/// Every key a dataset may have, as one flat table.
///
/// Keys that make sense for some kinds only are `Option`, so that [`DatasetSpec::validate`] can tell
/// an absent key from one that was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DatasetSpec {
    /// Where the interactions come from.
    pub kind: DatasetKind,
    /// Folder of the files, absolute by the time it is read. For `table` and `recbole`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Files of interactions in the folder: a name, a pattern or a list of them, read as one log. `a.zip/b.csv` is a
    /// member of an archive. Default for `table`: the only `interactions.*`; for `recbole`: the only `*.inter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interactions: Option<FileNames>,
    /// Files of item metadata in the folder. Default, where there is one: the only `items.*` for `table`, the only
    /// `*.item` for `recbole`. `false`: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<ItemsFiles>,
    /// How the interactions are written. For `recbole`, `encoding` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<TableFormat>,
    /// How the items are written. For `recbole`, `duplicates` and `missing` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items_format: Option<ItemsFormat>,
    /// The columns of the interactions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Columns>,
    /// How times are written, with the signs of strftime, such as `%d/%b/%Y:%H:%M:%S %z`. Default: numbers, or dates
    /// and times of ISO 8601. Without a zone, a time is UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub time_format: Option<String>,
    /// What to do with a row without a user, an item or a time. Default: `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// What to do with a user's interactions with an item met before; applied in the order of time, before `k_core`.
    /// Default: `keep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Repeats>,
    /// What to do with an interaction whose item the items file lacks. Default: `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_items: Option<UnknownItems>,
    /// A row counts if its rating is above this; 0 by default. Needs a rating column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_rating: Option<f64>,
    /// Drops interactions of rare users and items. Absent: none are dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k_core: Option<KCore>,
    /// Longest history a model sees, `L`, at least 2; the newest items are kept. 50 by default.
    #[schemars(range(min = 2))]
    pub max_len: usize,
    /// Where groups of users and items are cut for reporting.
    pub cohorts: Cohorts,
    /// Which interactions are for training, for validation and for the test. Default: leave-one-out.
    #[serde(skip_serializing_if = "SplitSpec::is_default")]
    pub split: SplitSpec,
    /// Users to generate, 1 to 10,000,000; 500 by default. For `synthetic`, as all keys below.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_USERS))]
    pub users: Option<usize>,
    /// Items to generate, 20 to 1,000,000 and at least 4 per audience; 300 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 20, max = MAX_CATALOGUE))]
    pub catalogue: Option<usize>,
    /// Latent audiences, 1 to 12; 6 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_AUDIENCES))]
    pub audiences: Option<usize>,
    /// Mean interactions per user, from 5 to half the catalogue; 12 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5))]
    pub mean_length: Option<usize>,
    /// Seed of the generator; 1 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

impl Default for DatasetSpec {
    fn default() -> Self {
        Self {
            kind: DatasetKind::Table,
            path: None,
            interactions: None,
            items: None,
            format: None,
            items_format: None,
            columns: None,
            time_format: None,
            missing: None,
            repeats: None,
            unknown_items: None,
            min_rating: None,
            k_core: None,
            max_len: 50,
            cohorts: Cohorts::default(),
            split: SplitSpec::default(),
            users: None,
            catalogue: None,
            audiences: None,
            mean_length: None,
            seed: None,
        }
    }
}

/// Where interactions come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DatasetKind {
    /// A folder with a TSV or CSV table of interactions and, optionally, `items.jsonl`.
    Table,
    /// A folder with RecBole atomic files, `.inter` and, optionally, `.item`.
    Recbole,
    /// Nothing on disk: the built-in generator.
    Synthetic,
}

/// The files of item metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ItemsFiles {
    /// `false`: none, even if there is one of the default name.
    Off(bool),
    /// These.
    Named(FileNames),
}

impl From<&str> for ItemsFiles {
    fn from(name: &str) -> Self {
        Self::Named(name.into())
    }
}

/// What becomes of an interaction whose item has no line in the items file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownItems {
    /// Loading ends, naming the line.
    #[default]
    Error,
    /// The interaction is dropped, and counted.
    Drop,
    /// The interaction counts; its item has no metadata.
    Keep,
}

/// Least interactions a user and an item must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KCore {
    /// How often the rule is applied.
    pub mode: KCoreMode,
    /// Least interactions of a user, at least 1.
    #[schemars(range(min = 1))]
    pub user: u32,
    /// Least interactions of an item, at least 1.
    #[schemars(range(min = 1))]
    pub item: u32,
}

/// How often [`KCore`] is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KCoreMode {
    /// Counts once, before anything is dropped, as the paper's code does. Some users and items may
    /// end up below the thresholds.
    SinglePass,
    /// Repeats until nothing is dropped any more, as RecBole and most papers do.
    Iterative,
}

/// Where users count as long and items as head. Unset: the smallest threshold that leaves at most
/// 20 % of the users long (of the items head).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cohorts {
    /// A long user's test input (training items and the validation item) has at least this length. A user
    /// is long on both splits or on neither.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub long_user: Option<u32>,
    /// A head item has at least this many training interactions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub head_item: Option<u32>,
}

impl DatasetSpec {
    /// Every mistake that shows without opening a file; empty for a spec that may be loaded.
    pub fn validate(&self) -> Vec<SpecProblem> {
        static RANGES: LazyLock<Ranges> = LazyLock::new(Ranges::of::<DatasetSpec>);
        let mut problems = Problems(RANGES.problems(self));
        match self.kind {
            DatasetKind::Table | DatasetKind::Recbole => self.check_files(&mut problems),
            DatasetKind::Synthetic => self.check_generator(&mut problems),
        }
        problems.0.extend(self.split.problems());
        problems.0
    }

    fn check_files(&self, problems: &mut Problems) {
        if self.path.is_none() {
            problems.add("path", "is missing; name the folder of the data");
        }
        let items = match &self.items {
            Some(ItemsFiles::Off(true)) => {
                problems.add("items", "is true; name the file, or write false for none");
                None
            }
            Some(ItemsFiles::Named(names)) => Some(names),
            Some(ItemsFiles::Off(false)) | None => None,
        };
        for (key, names) in [
            ("interactions", self.interactions.as_ref()),
            ("items", items),
        ] {
            let names = names.map(FileNames::names);
            if names.is_some_and(<[String]>::is_empty) {
                problems.add(key, "is an empty list; name at least one file");
            }
            for name in names
                .into_iter()
                .flatten()
                .filter(|name| !lies_in_folder(name))
            {
                let what = "which does not lie in the folder `path`";
                problems.add(key, format!("names `{name}`, {what}"));
            }
        }
        if let Some(columns) = &self.columns {
            check_columns(columns, problems);
        }
        self.check_formats(problems);
        if let Some(rating) = self.min_rating.filter(|rating| !rating.is_finite()) {
            problems.add("min_rating", format!("is {rating}; write a finite number"));
        }
        let alone = "is for `kind = \"synthetic\"` alone; remove it, or change `kind`";
        for (key, is_set) in [
            ("users", self.users.is_some()),
            ("catalogue", self.catalogue.is_some()),
            ("audiences", self.audiences.is_some()),
            ("mean_length", self.mean_length.is_some()),
            ("seed", self.seed.is_some()),
        ] {
            if is_set {
                problems.add(key, alone);
            }
        }
    }

    fn check_formats(&self, problems: &mut Problems) {
        if let Some(format) = &self.format {
            let own = TableFormat {
                encoding: format.encoding,
                ..TableFormat::default()
            };
            if self.kind == DatasetKind::Recbole && *format != own {
                let message = "has more than `encoding`; a RecBole `.inter` has one form";
                problems.add("format", message);
            }
            check_format("format", format, problems);
        }
        if let Some(format) = &self.items_format {
            let own = ItemsFormat {
                duplicates: format.duplicates,
                missing: format.missing,
                ..ItemsFormat::default()
            };
            if self.kind == DatasetKind::Recbole && *format != own {
                let message =
                    "has more than `duplicates` and `missing`; a RecBole `.item` has one form";
                problems.add("items_format", message);
            }
            check_format("items_format", &format.table(), problems);
            if format
                .id_map
                .as_ref()
                .is_some_and(|name| !lies_in_folder(name))
            {
                problems.add(
                    "items_format.id_map",
                    "names a file that does not lie in the folder `path`",
                );
            }
            if format.kind == Some(FormatKind::Sequences) {
                problems.add(
                    "items_format.kind",
                    "is `sequences`, which is a form of interactions",
                );
            }
            if format.id == Some(Column::Off) {
                problems.add("items_format.id", "is false; every item has an id");
            }
        }
    }

    fn check_generator(&self, problems: &mut Problems) {
        let no_file = "has no meaning for `kind = \"synthetic\"`, which reads no file; remove it";
        for (key, is_set) in [
            ("path", self.path.is_some()),
            ("interactions", self.interactions.is_some()),
            ("items", self.items.is_some()),
            ("format", self.format.is_some()),
            ("items_format", self.items_format.is_some()),
            ("columns", self.columns.is_some()),
            ("time_format", self.time_format.is_some()),
            ("missing", self.missing.is_some()),
            ("unknown_items", self.unknown_items.is_some()),
            ("min_rating", self.min_rating.is_some()),
        ] {
            if is_set {
                problems.add(key, no_file);
            }
        }
        let settings = self.generator();
        let (catalogue, length) = (settings.catalogue, settings.mean_length);
        let (least, half) = (settings.audiences.min(MAX_AUDIENCES) * 4, catalogue / 2);
        if catalogue < least {
            let must = format!("it must be at least {least}, 4 per audience");
            problems.add("catalogue", format!("is {catalogue}; {must}"));
        } else if length > half {
            let must = format!("it must be at most {half}, half the catalogue");
            problems.add("mean_length", format!("is {length}; {must}"));
        }
    }

    /// Settings of the synthetic generator, defaults filled in.
    pub fn generator(&self) -> GeneratorSettings {
        GeneratorSettings {
            users: self.users.unwrap_or(500),
            catalogue: self.catalogue.unwrap_or(300),
            audiences: self.audiences.unwrap_or(6),
            mean_length: self.mean_length.unwrap_or(12),
            seed: self.seed.unwrap_or(1),
        }
    }
}

/// Settings of the synthetic generator; see the keys of the same names in [`DatasetSpec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneratorSettings {
    /// See [`DatasetSpec::users`].
    pub users: usize,
    /// See [`DatasetSpec::catalogue`].
    pub catalogue: usize,
    /// See [`DatasetSpec::audiences`].
    pub audiences: usize,
    /// See [`DatasetSpec::mean_length`].
    pub mean_length: usize,
    /// See [`DatasetSpec::seed`].
    pub seed: u64,
}

struct Problems(Vec<SpecProblem>);

impl Problems {
    fn add(&mut self, key: &str, message: impl Into<String>) {
        self.0.push(SpecProblem::new(key, message));
    }
}

fn check_columns(columns: &Columns, problems: &mut Problems) {
    let named = [
        ("columns.user", Some(&columns.user)),
        ("columns.item", Some(&columns.item)),
        ("columns.time", columns.time.as_ref()),
        ("columns.rating", columns.rating.as_ref()),
    ];
    for (i, (key, column)) in named.iter().enumerate() {
        let Some(column) = column else { continue };
        let same = named[..i]
            .iter()
            .find(|(_, earlier)| *earlier == Some(column));
        match column {
            Column::Name(name) if name.is_empty() => {
                problems.add(key, "is empty; name a column of the interactions file");
            }
            Column::Off if i < 2 => {
                problems.add(key, "is false; every interaction has a user and an item");
            }
            Column::Off => {}
            _ => {
                if let Some((other, _)) = same {
                    let meaning = "a column has one meaning";
                    let message = format!("is `{column}`, as `{other}` is already; {meaning}");
                    problems.add(key, message);
                }
            }
        }
    }
}

fn check_format(key: &str, format: &TableFormat, problems: &mut Problems) {
    let mut problem = |name: &str, message: &str| problems.add(&format!("{key}.{name}"), message);
    if format
        .separator
        .as_deref()
        .is_some_and(|separator| separator.is_empty() || separator.contains(['\n', '\r', '"']))
    {
        problem(
            "separator",
            "must be a text without quotes and line ends, such as \",\" or \"::\"",
        );
    }
    if format.header == Some(true) && format.names.is_some() {
        problem(
            "names",
            "is for a file without a header; remove it or `header`",
        );
    }
    let splits_lines = format
        .separator
        .as_ref()
        .is_some_and(|separator| separator.len() > 1);
    if format.quotes == Some(true) && splits_lines {
        problem(
            "quotes",
            "is true; fields can be quoted only if one character separates them",
        );
    }
    let is_delimited = format.kind.is_none_or(|kind| kind == FormatKind::Delimited);
    let takes_separator = is_delimited || format.kind == Some(FormatKind::Sequences);
    for (name, is_set, fits) in [
        ("separator", format.separator.is_some(), takes_separator),
        ("header", format.header.is_some(), is_delimited),
        ("names", format.names.is_some(), is_delimited),
        ("quotes", format.quotes.is_some(), is_delimited),
        (
            "encoding",
            format.encoding.is_some(),
            format.kind != Some(FormatKind::Parquet),
        ),
    ] {
        if is_set && !fits {
            problem(name, "has no meaning for this `kind` of file; remove it");
        }
    }
}

/// Whether a name leads to something in the folder, or in a folder or archive in it.
fn lies_in_folder(name: &str) -> bool {
    let mut parts = Path::new(name).components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(spec: &DatasetSpec) -> Vec<String> {
        let problems = spec.validate().into_iter();
        let mut keys: Vec<String> = problems.map(|problem| problem.key.join(".")).collect();
        keys.sort();
        keys
    }

    fn parse(json: &str) -> DatasetSpec {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let spec = parse(r#"{"path": "/data/x"}"#);
        assert_eq!(spec.kind, DatasetKind::Table);
        assert_eq!(spec.max_len, 50);
        assert_eq!(spec.validate(), []);
        let synthetic = parse(r#"{"kind": "synthetic"}"#);
        assert_eq!(synthetic.validate(), []);
        assert_eq!(
            synthetic.generator(),
            GeneratorSettings {
                users: 500,
                catalogue: 300,
                audiences: 6,
                mean_length: 12,
                seed: 1
            }
        );
    }

    #[test]
    fn the_flat_table_of_a_spec_file_is_understood() {
        let spec: DatasetSpec = toml::from_str(
            r#"
            path = "data/beauty"
            columns = { user = "reviewer", time = "day" }
            min_rating = 3
            k_core = { mode = "iterative", user = 5, item = 5 }
            cohorts = { long_user = 9, head_item = 4 }
            "#,
        )
        .unwrap();
        let columns = Columns {
            user: "reviewer".into(),
            time: Some("day".into()),
            ..Columns::default()
        };
        assert_eq!(spec.columns, Some(columns));
        assert_eq!(spec.min_rating, Some(3.0));
        assert_eq!(
            spec.k_core,
            Some(KCore {
                mode: KCoreMode::Iterative,
                user: 5,
                item: 5
            })
        );
        assert_eq!(
            spec.cohorts,
            Cohorts {
                long_user: Some(9),
                head_item: Some(4)
            }
        );
        assert_eq!(spec.validate(), []);
    }

    #[test]
    fn unknown_keys_are_refused() {
        for json in [
            r#"{"pth": "x"}"#,
            r#"{"columns": {"usr": "x"}}"#,
            r#"{"k_core": {"mode": "iterative", "user": 5, "item": 5, "x": 1}}"#,
        ] {
            assert!(serde_json::from_str::<DatasetSpec>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let spec = parse(
            r#"{"kind": "table", "interactions": "../b.tsv", "columns": {"user": "x", "item": "x"}, "users": 3, "seed": 1,
                "max_len": 1, "k_core": {"mode": "single_pass", "user": 0, "item": 5}, "cohorts": {"head_item": 0}}"#,
        );
        let expected = [
            "cohorts.head_item",
            "columns.item",
            "interactions",
            "k_core.user",
            "max_len",
            "path",
            "seed",
            "users",
        ];
        assert_eq!(keys(&spec), expected);
    }

    #[test]
    fn keys_of_files_are_wrong_for_the_generator() {
        let spec = parse(
            r#"{"kind": "synthetic", "path": "x", "min_rating": 3, "columns": {}, "audiences": 13, "catalogue": 30, "mean_length": 4}"#,
        );
        assert_eq!(
            keys(&spec),
            [
                "audiences",
                "catalogue",
                "columns",
                "mean_length",
                "min_rating",
                "path"
            ]
        );
        let spec = parse(r#"{"kind": "synthetic", "catalogue": 30, "mean_length": 16}"#);
        assert_eq!(keys(&spec), ["mean_length"]);
    }

    #[test]
    fn the_default_split_is_no_part_of_the_text() {
        let spec = parse(r#"{"kind": "synthetic", "split": {"kind": "leave-one-out"}}"#);
        let json = serde_json::to_string(&spec).unwrap();
        assert!(!json.contains("split"), "{json}");
        let spec = parse(
            r#"{"kind": "synthetic", "split": {"kind": "time", "quantile": 1.5, "cold_items": {"share": 0}}}"#,
        );
        let expected = [
            "split.cold_items",
            "split.cold_items.share",
            "split.quantile",
        ];
        assert_eq!(keys(&spec), expected);
    }

    #[test]
    fn serialisation_is_a_round_trip() {
        let spec = parse(
            r#"{"path": "/d", "min_rating": 3, "k_core": {"mode": "single_pass", "user": 5, "item": 5}, "unknown_items": "drop"}"#,
        );
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(parse(&json), spec);
        assert!(
            !json.contains("audiences"),
            "absent keys stay absent: {json}"
        );
    }
}
