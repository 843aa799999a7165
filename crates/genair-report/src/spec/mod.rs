//! The report spec: which results become which tables. Owns its format, its presets and what is said
//! about a mistake in it; knows no database.

mod dimension;
mod figure;
mod names;
mod read;

use std::collections::BTreeMap;
use std::path::PathBuf;

use genair_protocol::{Cohort, Protocol};
use genair_toml::{KeyPath, Sources};
use serde::{Deserialize, Serialize};

pub use dimension::{Dimension, Measure};
pub use figure::{FigureKind, FigureSpec};

/// A report, checked as far as that goes without a database.
#[derive(Clone, Debug)]
pub struct ReportSpec {
    /// The file it was read from.
    pub path: PathBuf,
    /// What results are called in print, by their name in the database.
    pub names: BTreeMap<String, String>,
    /// `#rrggbb` of backbones, representations or whatever else a figure tells apart by colour.
    pub colours: BTreeMap<String, String>,
    /// The spec that trains each sweep, as a path from this file's folder.
    pub specs: BTreeMap<String, String>,
    /// Its tables, in the order of the file.
    pub tables: Vec<TableSpec>,
    /// Its figures, in the order of the file.
    pub figures: Vec<FigureSpec>,
    /// Where each key was written.
    sources: Sources,
}

impl ReportSpec {
    /// Where a key of a section, such as `table.main`, was written: `report.toml:12`. The section's own
    /// line where the key comes from a preset.
    pub(crate) fn place(&self, section: &str, key: &str) -> String {
        let section = KeyPath::new(section.split('.'));
        let keys = [section.child(key), KeyPath::new(["report", key])];
        let written = keys.iter().find(|key| self.sources.is_own(key));
        self.sources.place(written.unwrap_or(&section)).to_string()
    }
}

/// The `[report]` section.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ReportSection {
    /// Sweeps of every table and figure that names none.
    sweeps: Vec<String>,
    names: BTreeMap<String, String>,
    colours: BTreeMap<String, String>,
    specs: BTreeMap<String, String>,
}

/// One table, `[table.NAME]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    /// Its name, which is that of its files.
    #[serde(skip)]
    pub name: String,
    /// Where it was written, such as `table.main`; `figure.alpha` for the numbers of a figure.
    #[serde(skip)]
    pub(crate) section: String,
    /// What the other keys default to.
    #[serde(default)]
    pub preset: Option<Preset>,
    /// What stands above it.
    #[serde(default)]
    pub caption: Option<String>,
    /// Sweeps whose finished runs it shows; at least one.
    #[serde(default)]
    pub sweeps: Vec<String>,
    /// What tells rows apart, from the outermost; labels that never vary are not shown.
    #[serde(default = "default_rows")]
    pub rows: Vec<Dimension>,
    /// What tells columns apart, from the outermost.
    #[serde(default = "default_columns")]
    pub columns: Vec<Dimension>,
    /// What is measured.
    #[serde(default = "default_metrics")]
    pub metrics: Vec<Measure>,
    /// Among which candidates.
    #[serde(default = "default_protocols")]
    pub protocols: Vec<Protocol>,
    /// Over which users.
    #[serde(default = "default_cohorts")]
    pub cohorts: Vec<Cohort>,
    /// Runs with one of these values only; also the order in which they are shown.
    #[serde(default, rename = "where")]
    pub select: BTreeMap<Dimension, Vec<String>>,
    /// Runs with one of these seeds only.
    #[serde(default)]
    pub seeds: Vec<u64>,
    /// What makes the baseline of a configuration: the configuration with these labels instead of its
    /// own. Differences and tests are against it.
    #[serde(default)]
    pub baseline: BTreeMap<Dimension, String>,
    /// Best and second are sought among the rows alike in these labels; without any, in the column.
    #[serde(default)]
    pub best_within: Vec<Dimension>,
    /// What may differ between runs that are compared. Anything else that does is an error.
    #[serde(default)]
    pub may_differ: Vec<Fact>,
    /// Whether a cell shows its difference from the baseline.
    #[serde(default)]
    pub delta: Delta,
    /// What a cell shows beside the mean over seeds.
    #[serde(default)]
    pub spread: Spread,
    /// Decimals of ranking metrics, from 1 to 8.
    #[serde(default = "default_digits")]
    pub digits: usize,
    /// How configurations are tested against the baseline.
    #[serde(default)]
    pub test: TestSpec,
}

fn default_rows() -> Vec<Dimension> {
    vec![
        Dimension::Backbone,
        Dimension::Representation,
        Dimension::Variant,
    ]
}

fn default_columns() -> Vec<Dimension> {
    vec![
        Dimension::Dataset,
        Dimension::Protocol,
        Dimension::Cohort,
        Dimension::Metric,
    ]
}

fn default_metrics() -> Vec<Measure> {
    let metrics = [genair_protocol::Metric::Hr, genair_protocol::Metric::Ndcg];
    metrics
        .map(|metric| Measure::Ranking { metric, k: 10 })
        .to_vec()
}

fn default_protocols() -> Vec<Protocol> {
    vec![Protocol::Full]
}

fn default_cohorts() -> Vec<Cohort> {
    vec![Cohort::All]
}

fn default_digits() -> usize {
    4
}

/// A kind of table a paper has; `presets/NAME.toml` holds its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Backbones and representations on each dataset.
    Main,
    /// What each part does.
    Ablation,
    /// One swept setting.
    Sensitivity,
    /// Rare and popular items, short and long users.
    Cohorts,
    /// Traps of the published code.
    Traps,
    /// Parameters, time and memory.
    Efficiency,
}

/// A fact of runs that are compared, which should be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// The id sequences after filters, and with them the split: users, items, targets.
    Data,
    /// Longest input a model sees.
    MaxLen,
    /// Training interactions a head item has at least; for item cohorts.
    HeadItem,
    /// Length of the test input that a long user has at least; for user cohorts.
    LongUser,
    /// Version of the trainer's numbers.
    ResultsVersion,
    /// Host, device and threads; for times and memory.
    Machine,
    /// The seeds averaged over.
    Seeds,
}

impl Fact {
    /// Its name in a spec.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::MaxLen => "max-len",
            Self::HeadItem => "head-item",
            Self::LongUser => "long-user",
            Self::ResultsVersion => "results-version",
            Self::Machine => "machine",
            Self::Seeds => "seeds",
        }
    }
}

/// How a cell shows its difference from the baseline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delta {
    /// Not at all.
    #[default]
    None,
    /// As a difference of means.
    Absolute,
    /// As a share of the baseline, in per cent.
    Relative,
}

/// What a cell shows beside the mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// Nothing.
    None,
    /// Standard deviation over seeds.
    #[default]
    Std,
    /// Half the width of the mean's 95 % interval.
    Interval,
}

/// How configurations are tested against the baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TestSpec {
    /// Which test.
    pub kind: TestKind,
    /// Levels of one mark, two marks and so on; falling, in (0, 1).
    pub levels: Vec<f64>,
    /// Resamples of a bootstrap, at least 100.
    pub resamples: usize,
    /// Seed of a bootstrap.
    pub seed: u64,
}

impl Default for TestSpec {
    fn default() -> Self {
        Self {
            kind: TestKind::T,
            levels: vec![0.05, 0.01],
            resamples: 10_000,
            seed: 0,
        }
    }
}

/// A paired test over users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestKind {
    /// None.
    None,
    /// Student's paired t-test.
    T,
    /// Paired bootstrap with a percentile interval.
    Bootstrap,
}
