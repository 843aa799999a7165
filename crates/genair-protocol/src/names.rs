//! The names of splits, protocols, cohorts and metrics, as specs, events and the database spell
//! them, and how enums with such names are declared. They are public and stable: people write SQL against them.

/// A name that is none of an enum's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a {what}; it is one of {known}")]
pub struct UnknownName {
    /// What the name should have been, such as `metric`.
    pub what: &'static str,
    /// The name as given.
    pub found: String,
    /// Every name there is, separated by commas.
    pub known: String,
}

/// Declares an enum whose every variant has exactly one spelling, in serde as in text.
macro_rules! named_enum {
    ($what:literal, $(#[$meta:meta])* $enum:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
            schemars::JsonSchema,
        )]
        pub enum $enum {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)+
        }

        impl $enum {
            /// Every value, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name of every value, in that order.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The name in specs, events and the database.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        impl std::fmt::Display for $enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl TryFrom<String> for $enum {
            type Error = $crate::UnknownName;

            fn try_from(name: String) -> Result<Self, Self::Error> {
                name.parse()
            }
        }

        impl std::str::FromStr for $enum {
            type Err = $crate::UnknownName;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|value| value.as_str() == name).ok_or_else(|| {
                    $crate::UnknownName {
                        what: $what,
                        found: name.to_owned(),
                        known: Self::NAMES.join(", "),
                    }
                })
            }
        }
    };
}

pub(crate) use named_enum;

named_enum! {
    "protocol",
    /// Which items a target is ranked against.
    Protocol {
        /// Every item the user has not interacted with, and the target.
        Full = "full",
        /// 100 uniform negatives of the user's own, the same for every run, and the target.
        Sampled100 = "sampled-100",
        /// 99 uniform negatives of the user's own, the same for every run, and the target.
        Sampled99 = "sampled-99",
        /// 100 negatives of the user's own, the same for every run, drawn in proportion to training popularity, and
        /// the target.
        Sampled100Popularity = "sampled-100-popularity",
        /// Every item, those that the user has interacted with included.
        FullWithHistory = "full-with-history",
        /// Every cold item of the split that the user has not interacted with, and the target, which is cold too.
        Cold = "cold",
    }
}

impl Protocol {
    /// The candidates in words, such as `against 100 sampled negatives`.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Full => "among all items",
            Self::Sampled100 => "against 100 sampled negatives",
            Self::Sampled99 => "against 99 sampled negatives",
            Self::Sampled100Popularity => "against 100 negatives sampled by popularity",
            Self::FullWithHistory => "among all items and the history",
            Self::Cold => "cold targets among cold items",
        }
    }

    /// Negatives that are drawn, where the ranking is against a sample.
    pub fn sample(self) -> Option<usize> {
        match self {
            Self::Sampled100 | Self::Sampled100Popularity => Some(100),
            Self::Sampled99 => Some(99),
            Self::Full | Self::FullWithHistory | Self::Cold => None,
        }
    }

    /// What the title of a column has after its metric, such as `of 100`; nothing for the full ranking.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Full => "",
            Self::Sampled100 => "of 100",
            Self::Sampled99 => "of 99",
            Self::Sampled100Popularity => "of 100 popular",
            Self::FullWithHistory => "with history",
            Self::Cold => "of cold",
        }
    }
}

named_enum! {
    "split",
    /// Which held-out items are targets.
    Split {
        /// Those of validation: in leave-one-out, the last but one of each user.
        Valid = "valid",
        /// Those of the test: in leave-one-out, the last; the input then holds the validation item, too.
        Test = "test",
    }
}

named_enum! {
    "cohort",
    /// Which users a metric is averaged over.
    Cohort {
        /// Everyone.
        All = "all",
        /// Those whose target of the split has few training interactions.
        TailItem = "tail-item",
        /// Those whose target of the split has many.
        HeadItem = "head-item",
        /// Those with a short test input; the same users on both splits.
        ShortUser = "short-user",
        /// Those with a long test input; the same users on both splits.
        LongUser = "long-user",
        /// Those whose target has no interaction in training, where a split has such items.
        ColdItem = "cold-item",
        /// Those whose target has some, in the same splits.
        WarmItem = "warm-item",
    }
}

impl Cohort {
    /// The cohorts that every split has users of.
    pub const OF_EVERY_SPLIT: [Self; 5] = [
        Self::All,
        Self::TailItem,
        Self::HeadItem,
        Self::ShortUser,
        Self::LongUser,
    ];
}

named_enum! {
    "metric",
    /// What is measured of a rank, cut off at `k`.
    RankMetric {
        /// Hit rate: whether the target is among the first `k`.
        Hr = "hr",
        /// Normalised discounted cumulative gain with one relevant item.
        Ndcg = "ndcg",
        /// Reciprocal rank, 0 past the first `k`.
        Mrr = "mrr",
        /// Share of the targets that are among the first `k`; of one target it is HR.
        Recall = "recall",
        /// Mean average precision: of each target among the first `k`, the share of targets up to its place; their sum over
        /// the number of targets. Of one target it is MRR.
        Map = "map",
    }
}

named_enum! {
    "metric",
    /// What is measured of a run, cut off at `k`: of the ranks of targets, or of the lists of users.
    Metric {
        /// See [`RankMetric::Hr`].
        Hr = "hr",
        /// See [`RankMetric::Ndcg`].
        Ndcg = "ndcg",
        /// See [`RankMetric::Mrr`].
        Mrr = "mrr",
        /// See [`RankMetric::Recall`].
        Recall = "recall",
        /// See [`RankMetric::Map`].
        Map = "map",
        /// Share of the catalogue that is in some list.
        Coverage = "coverage",
        /// How unevenly lists show items, from 0 (all alike) to 1.
        Gini = "gini",
        /// Mean self-information of listed items, in bits.
        Novelty = "novelty",
        /// Share of listed items that are no head items.
        TailShare = "tail-share",
        /// Mean cosine of the vectors of pairs of a list, where the run has vectors before training.
        IntraListSimilarity = "intra-list-similarity",
    }
}

impl Metric {
    /// The same as what is measured of a rank; `None` for what is measured of lists.
    pub fn of_rank(self) -> Option<RankMetric> {
        match self {
            Self::Hr => Some(RankMetric::Hr),
            Self::Ndcg => Some(RankMetric::Ndcg),
            Self::Mrr => Some(RankMetric::Mrr),
            Self::Recall => Some(RankMetric::Recall),
            Self::Map => Some(RankMetric::Map),
            Self::Coverage
            | Self::Gini
            | Self::Novelty
            | Self::TailShare
            | Self::IntraListSimilarity => None,
        }
    }

    /// The name as headers have it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Hr => "HR",
            Self::Ndcg => "NDCG",
            Self::Mrr => "MRR",
            Self::Recall => "Recall",
            Self::Map => "MAP",
            Self::Coverage => "Coverage",
            Self::Gini => "Gini",
            Self::Novelty => "Novelty",
            Self::TailShare => "Tail share",
            Self::IntraListSimilarity => "ILS",
        }
    }

    /// Whether the higher of two values is the one that is looked for.
    pub fn higher_is_better(self) -> bool {
        !matches!(self, Self::Gini | Self::IntraListSimilarity)
    }
}

impl From<RankMetric> for Metric {
    fn from(metric: RankMetric) -> Self {
        match metric {
            RankMetric::Hr => Self::Hr,
            RankMetric::Ndcg => Self::Ndcg,
            RankMetric::Mrr => Self::Mrr,
            RankMetric::Recall => Self::Recall,
            RankMetric::Map => Self::Map,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_published_ones() {
        let names = |all: Vec<&str>| all.join(" ");
        assert_eq!(
            names(Protocol::ALL.iter().map(|p| p.as_str()).collect()),
            "full sampled-100 sampled-99 sampled-100-popularity full-with-history cold"
        );
        assert_eq!(
            names(Split::ALL.iter().map(|s| s.as_str()).collect()),
            "valid test"
        );
        assert_eq!(
            names(Cohort::ALL.iter().map(|c| c.as_str()).collect()),
            "all tail-item head-item short-user long-user cold-item warm-item"
        );
        assert_eq!(
            names(Metric::ALL.iter().map(|m| m.as_str()).collect()),
            "hr ndcg mrr recall map coverage gini novelty tail-share intra-list-similarity"
        );
    }

    #[test]
    fn metrics_of_ranks_are_metrics() {
        for &metric in RankMetric::ALL {
            let own = Metric::from(metric);
            assert_eq!(
                (own.as_str(), own.of_rank()),
                (metric.as_str(), Some(metric))
            );
        }
        let of_rank = Metric::ALL.iter().filter_map(|metric| metric.of_rank());
        assert_eq!(of_rank.count(), RankMetric::ALL.len());
    }

    #[test]
    fn text_and_serde_agree() {
        for &protocol in Protocol::ALL {
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
            let json = serde_json::to_string(&protocol).unwrap();
            assert_eq!(json, format!("\"{protocol}\""));
            assert_eq!(serde_json::from_str::<Protocol>(&json).unwrap(), protocol);
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        assert_eq!(
            "precision".parse::<RankMetric>().unwrap_err().to_string(),
            "`precision` is not a metric; it is one of hr, ndcg, mrr, recall, map"
        );
    }
}
