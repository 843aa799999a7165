//! The report spec: which results become which tables. Owns its format, its presets and what is said
//! about a mistake in it; knows no database.

mod dimension;
mod figure;
mod names;
mod read;

use std::collections::BTreeMap;
use std::path::PathBuf;

use genair_protocol::{Cohort, Protocol};
use genair_store::Select;
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
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TableSpec {
    /// Its name, which is that of its files.
    #[serde(skip)]
    pub name: String,
    /// Where it was written, such as `table.main`; `figure.alpha` for the numbers of a figure.
    #[serde(skip)]
    pub(crate) section: String,
    /// What the other keys default to.
    pub preset: Option<Preset>,
    /// What stands above it.
    pub caption: Option<String>,
    /// Sweeps whose finished runs it shows; at least one.
    pub sweeps: Vec<String>,
    /// What tells rows apart, from the outermost; labels that never vary are not shown.
    pub rows: Vec<Dimension>,
    /// What tells columns apart, from the outermost.
    pub columns: Vec<Dimension>,
    /// What is measured.
    pub metrics: Vec<Measure>,
    /// Among which candidates.
    pub protocols: Vec<Protocol>,
    /// Over which users.
    pub cohorts: Vec<Cohort>,
    /// Runs with one of these values only; also the order in which they are shown.
    #[serde(rename = "where")]
    pub filter: BTreeMap<Dimension, Vec<String>>,
    /// Which axes are searched: of configurations that differ in these alone, validation chooses one.
    pub select: Select,
    /// Runs with one of these seeds only.
    pub seeds: Vec<u64>,
    /// What makes the baseline of a configuration: the configuration with these labels instead of its
    /// own. Differences and tests are against it.
    pub baseline: BTreeMap<Dimension, String>,
    /// Best and second are sought among the rows alike in these labels; without any, in the column.
    pub best_within: Vec<Dimension>,
    /// What may differ between runs that are compared. Anything else that does is an error.
    pub may_differ: Vec<Fact>,
    /// Whether a cell shows its difference from the baseline.
    pub delta: Delta,
    /// What a cell shows beside the mean over seeds.
    pub spread: Spread,
    /// Decimals of ranking metrics, from 1 to 8.
    pub digits: usize,
    /// How configurations are tested against the baseline.
    pub test: TestSpec,
}

impl Default for TableSpec {
    fn default() -> Self {
        use genair_protocol::Metric::{Hr, Ndcg};
        Self {
            name: String::new(),
            section: String::new(),
            preset: None,
            caption: None,
            sweeps: Vec::new(),
            rows: default_rows(),
            columns: vec![
                Dimension::Dataset,
                Dimension::Protocol,
                Dimension::Cohort,
                Dimension::Metric,
            ],
            metrics: [Hr, Ndcg]
                .map(|metric| Measure::Ranking { metric, k: 10 })
                .to_vec(),
            protocols: vec![Protocol::Full],
            cohorts: vec![Cohort::All],
            filter: BTreeMap::new(),
            select: Select::Auto,
            seeds: Vec::new(),
            baseline: BTreeMap::new(),
            best_within: Vec::new(),
            may_differ: Vec::new(),
            delta: Delta::None,
            spread: Spread::Std,
            digits: 4,
            test: TestSpec::default(),
        }
    }
}

impl TableSpec {
    /// Whether rows or columns tell sweeps apart.
    pub(crate) fn by_sweep(&self) -> bool {
        let mut all = self.rows.iter().chain(&self.columns);
        all.any(|own| *own == Dimension::Sweep)
    }

    /// Whether an axis tells rows or columns apart, or a baseline from others, so that nothing is chosen among its
    /// values.
    pub(crate) fn names_axis(&self, axis: &str) -> bool {
        let baseline = self.baseline.keys();
        let mut named = self.rows.iter().chain(&self.columns).chain(baseline);
        named.any(|own| matches!(own, Dimension::Axis(name) if name == axis))
    }
}

/// What tells the runs of a sweep apart.
fn default_rows() -> Vec<Dimension> {
    vec![
        Dimension::Backbone,
        Dimension::Representation,
        Dimension::Variant,
    ]
}

/// A kind of table a paper has; `presets/NAME.toml` holds its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
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
        self.into()
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
#[derive(Clone, Debug, PartialEq, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestKind {
    /// None.
    None,
    /// Student's paired t-test.
    T,
    /// Paired bootstrap with a percentile interval.
    Bootstrap,
}
