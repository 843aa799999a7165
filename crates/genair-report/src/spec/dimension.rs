//! What tells the cells of a table apart, and what is measured in them.

use std::fmt;
use std::str::FromStr;

use genair_protocol::Metric;
use serde::{Deserialize, Serialize};

/// A label that tells values apart. All but the last three belong to a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Dimension {
    /// The sweep's name.
    Sweep,
    /// The dataset's name.
    Dataset,
    /// The backbone's name.
    Backbone,
    /// The representation's name.
    Representation,
    /// All swept axes beyond the named ones, such as `alpha=1e-4,gamma=4`.
    Variant,
    /// One swept axis of the variant, such as `alpha`.
    Axis(String),
    /// Which candidates a target is ranked among.
    Protocol,
    /// The users averaged over.
    Cohort,
    /// What is measured.
    Metric,
}

impl Dimension {
    /// Its name in a spec.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sweep => "sweep",
            Self::Dataset => "dataset",
            Self::Backbone => "backbone",
            Self::Representation => "representation",
            Self::Variant => "variant",
            Self::Axis(name) => name,
            Self::Protocol => "protocol",
            Self::Cohort => "cohort",
            Self::Metric => "metric",
        }
    }

    /// Whether it says what is measured, rather than of which run.
    pub fn is_measured(&self) -> bool {
        matches!(self, Self::Protocol | Self::Cohort | Self::Metric)
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<String> for Dimension {
    fn from(name: String) -> Self {
        match name.as_str() {
            "sweep" => Self::Sweep,
            "dataset" => Self::Dataset,
            "backbone" => Self::Backbone,
            "representation" => Self::Representation,
            "variant" => Self::Variant,
            "protocol" => Self::Protocol,
            "cohort" => Self::Cohort,
            "metric" => Self::Metric,
            _ => Self::Axis(name),
        }
    }
}

impl From<Dimension> for String {
    fn from(dimension: Dimension) -> Self {
        dimension.to_string()
    }
}

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Measure {
    /// A ranking metric cut off at `k`, at least 1; written `ndcg@10`.
    Ranking {
        /// What is measured of a rank.
        metric: Metric,
        /// Cut-off.
        k: u32,
    },
    /// Trainable scalars.
    Parameters,
    /// Epochs trained.
    Epochs,
    /// Wall-clock seconds of training per epoch, without validation.
    SecondsPerEpoch,
    /// Processor seconds of the whole worker.
    CpuSeconds,
    /// Peak resident memory of the worker, in MiB.
    PeakMemoryMib,
}

impl Measure {
    /// What a run costs, by its name in a spec.
    const COSTS: [(&'static str, Self); 5] = [
        ("parameters", Self::Parameters),
        ("epochs", Self::Epochs),
        ("seconds-per-epoch", Self::SecondsPerEpoch),
        ("cpu-seconds", Self::CpuSeconds),
        ("peak-memory-mib", Self::PeakMemoryMib),
    ];

    /// Whether more is better.
    pub fn higher_is_better(self) -> bool {
        matches!(self, Self::Ranking { metric, .. } if metric.higher_is_better())
    }

    /// Whether it depends on the machine.
    pub fn of_machine(self) -> bool {
        matches!(
            self,
            Self::SecondsPerEpoch | Self::CpuSeconds | Self::PeakMemoryMib
        )
    }

    /// Decimals shown, where a ranking metric shows `digits`.
    pub fn decimals(self, digits: usize) -> usize {
        match self {
            Self::Ranking { .. } => digits,
            Self::Parameters | Self::PeakMemoryMib => 0,
            Self::Epochs | Self::CpuSeconds => 1,
            Self::SecondsPerEpoch => 2,
        }
    }

    /// What a header says.
    pub fn title(self) -> String {
        match self {
            Self::Ranking { metric, k } => format!("{}@{k}", metric.title()),
            Self::Parameters => "Parameters".to_owned(),
            Self::Epochs => "Epochs".to_owned(),
            Self::SecondsPerEpoch => "s/epoch".to_owned(),
            Self::CpuSeconds => "CPU s".to_owned(),
            Self::PeakMemoryMib => "Peak MiB".to_owned(),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Ranking { metric, k } = self {
            return write!(f, "{metric}@{k}");
        }
        let name = Self::COSTS.iter().find(|(_, cost)| cost == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

impl FromStr for Measure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, cost)) = Self::COSTS.iter().find(|(name, _)| *name == text) {
            return Ok(*cost);
        }
        let measured = text.split_once('@').and_then(|(metric, k)| {
            let k = k.parse().ok().filter(|&k| k >= 1)?;
            let metric = metric.parse().ok()?;
            Some(Self::Ranking { metric, k })
        });
        measured.ok_or_else(|| {
            let metrics = Metric::NAMES.join(", ");
            let costs = Self::COSTS.map(|(name, _)| name).join(", ");
            format!("`{text}` is not a metric; write one of {metrics} with a cut-off, as in `ndcg@10`, or one of {costs}")
        })
    }
}

impl TryFrom<String> for Measure {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Measure> for String {
    fn from(measure: Measure) -> Self {
        measure.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for name in [
            "ndcg@10",
            "hr@1",
            "tail-share@5",
            "parameters",
            "epochs",
            "seconds-per-epoch",
            "cpu-seconds",
            "peak-memory-mib",
        ] {
            assert_eq!(name.parse::<Measure>().unwrap().to_string(), name);
        }
        for name in ["ndcg", "ndcg@0", "precision@10", "seconds"] {
            assert!(
                name.parse::<Measure>()
                    .unwrap_err()
                    .starts_with(&format!("`{name}` is not a metric"))
            );
        }
        for name in [
            "sweep",
            "dataset",
            "backbone",
            "representation",
            "variant",
            "alpha",
            "protocol",
            "cohort",
            "metric",
        ] {
            assert_eq!(Dimension::from(name.to_owned()).as_str(), name);
        }
    }
}
