//! One figure of a report: what is drawn, of which runs.

use std::collections::BTreeMap;

use genair_protocol::{Cohort, Metric, Protocol};
use genair_store::Select;
use serde::Deserialize;

use super::{Dimension, Fact, Measure, Spread, TableSpec, TestKind, TestSpec};

/// One figure, `[figure.NAME]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureSpec {
    /// Its name, which is that of its files.
    #[serde(skip)]
    pub name: String,
    /// What is drawn.
    pub kind: FigureKind,
    /// What stands below it.
    #[serde(default)]
    pub caption: Option<String>,
    /// Sweeps whose runs it shows; at least one.
    #[serde(default)]
    pub sweeps: Vec<String>,
    /// What lies on the horizontal axis: a swept axis for a sensitivity curve, a cost (by default
    /// `cpu-seconds`) for accuracy against cost. No other kind has it.
    #[serde(default)]
    pub x: Option<String>,
    /// What tells lines, bars or points of a panel apart: the first that varies by colour, the others by
    /// shape.
    #[serde(default = "super::default_rows")]
    pub series: Vec<Dimension>,
    /// What is measured; a panel each.
    #[serde(default = "default_metrics")]
    pub metrics: Vec<Measure>,
    /// Among which candidates; a panel each.
    #[serde(default = "default_protocols")]
    pub protocols: Vec<Protocol>,
    /// Over which users; by default everyone, and every cohort for bars by cohort.
    #[serde(default)]
    pub cohorts: Vec<Cohort>,
    /// Runs with one of these values only; also the order in which they are shown.
    #[serde(default, rename = "where")]
    pub filter: BTreeMap<Dimension, Vec<String>>,
    /// As of a table; the trajectories of a search are of all its runs.
    #[serde(default)]
    pub select: Select,
    /// Runs with one of these seeds only.
    #[serde(default)]
    pub seeds: Vec<u64>,
    /// What may differ between runs of a panel. Anything else that does is an error.
    #[serde(default)]
    pub may_differ: Vec<Fact>,
    /// What a band or an error bar spans.
    #[serde(default)]
    pub spread: Spread,
}

fn default_metrics() -> Vec<Measure> {
    vec![Measure::Ranking {
        metric: Metric::Ndcg,
        k: 10,
    }]
}

fn default_protocols() -> Vec<Protocol> {
    vec![Protocol::Full]
}

/// What a figure draws.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Deserialize, strum::IntoStaticStr, strum::VariantNames,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum FigureKind {
    /// A metric by a swept setting, a line for each series, with a band over seeds.
    Sensitivity,
    /// A metric by cohort of users, a bar for each series.
    Cohorts,
    /// Loss and validation by epoch, a line for each series, with a band over seeds.
    LearningCurves,
    /// A metric against what it costs, a point for each series.
    Cost,
    /// Items on the two principal axes of a run's item space, before training and after.
    ItemSpace,
    /// Validation of each run by epoch until it was pruned or done, the configurations of a search.
    Trajectories,
}

impl FigureKind {
    /// Its name in a spec.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl FigureSpec {
    /// The table whose cells the figure draws, so that it takes the same runs by the same rules: what
    /// stands in one panel is what would stand in one column.
    pub(crate) fn table(&self) -> TableSpec {
        let mut rows = self.series.clone();
        let mut metrics = self.metrics.clone();
        if let (FigureKind::Sensitivity, Some(x)) = (self.kind, &self.x) {
            let x = Dimension::from(x.clone());
            rows.retain(|dimension| *dimension != x && *dimension != Dimension::Variant);
            rows.push(x);
        }
        if self.kind == FigureKind::Cost {
            metrics.push(self.cost());
        }
        let mut cohorts = self.cohorts.clone();
        if cohorts.is_empty() {
            cohorts = match self.kind {
                FigureKind::Cohorts => Cohort::OF_EVERY_SPLIT.to_vec(),
                _ => vec![Cohort::All],
            };
        }
        let usual = TableSpec::default();
        let mut columns = usual.columns;
        columns.retain(|dimension| !rows.contains(dimension));
        TableSpec {
            name: self.name.clone(),
            section: format!("figure.{}", self.name),
            caption: self.caption.clone(),
            sweeps: self.sweeps.clone(),
            columns,
            rows,
            metrics,
            protocols: self.protocols.clone(),
            cohorts,
            filter: self.filter.clone(),
            select: self.select,
            seeds: self.seeds.clone(),
            may_differ: self.may_differ.clone(),
            spread: self.spread,
            test: TestSpec {
                kind: TestKind::None,
                ..TestSpec::default()
            },
            ..usual
        }
    }

    /// The cost on the horizontal axis.
    pub(crate) fn cost(&self) -> Measure {
        let x = self.x.as_deref().and_then(|x| x.parse().ok());
        x.filter(|x: &Measure| !x.higher_is_better())
            .unwrap_or(Measure::CpuSeconds)
    }
}
