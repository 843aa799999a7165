//! `[dataset.NAME.split]`: which interactions are for training, for validation and for the test, and which items
//! training never sees.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SpecProblem;

/// How a dataset is split. Keys that make sense for some kinds only are `Option`, so that [`SplitSpec::validate`] can
/// tell an absent key from one that was written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SplitSpec {
    /// What decides which interactions are held out.
    pub kind: SplitKind,
    /// The share of all interactions, in (0, 1), that the test boundary leaves before it: the boundary is this
    /// quantile of all times. For `time`, as all keys below up to `seed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub quantile: Option<f64>,
    /// The test boundary as a date, `YYYY-MM-DD`: midnight in UTC, at the start of that day. Times must be Unix
    /// times in seconds or milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Which of a user's interactions after a boundary are targets. Default: `last`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetRule>,
    /// What is held out for validation. Default: by time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<ValidationSpec>,
    /// Seed of `target = "random"`; 1 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Items that are taken out of training. For `leave-one-out`; a time split has cold items of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cold_items: Option<ColdItemsSpec>,
    /// Whether a model gets to see cold items in a user's history. Default: `drop`. For splits with cold items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cold_in_history: Option<ColdInHistory>,
}

/// What decides which interactions are held out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SplitKind {
    /// The last item of each user is the test target, the one before it the validation target.
    #[default]
    LeaveOneOut,
    /// What lies after one moment, the same for all users, is held out (arXiv:2507.16289).
    Time,
}

/// Which of a user's interactions after a boundary are targets; the input is what lies before the first of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TargetRule {
    /// The first.
    First,
    /// The last.
    #[default]
    Last,
    /// One that is drawn uniformly, by the split's seed.
    Random,
    /// Each distinct item.
    All,
}

/// What a time split holds out for validation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ValidationSpec {
    /// The rule.
    pub by: ValidationRule,
    /// The validation boundary as a quantile, in (0, 1), of the times up to the test boundary of users with at least
    /// two of them. Default: the split's `quantile`, or 0.9 beside a `date`. For `time`, as `date`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub quantile: Option<f64>,
    /// The validation boundary as a date, before the test boundary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
}

/// How validation targets are chosen in a time split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ValidationRule {
    /// By a second boundary before that of the test, with the same rule for targets.
    #[default]
    Time,
    /// Each user's last item up to the test boundary.
    LastItem,
}

/// Items that are taken out of every training sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColdItemsSpec {
    /// Share of the items with training interactions that are cold in the test, in (0, 1).
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub share: f64,
    /// Share of them that are cold in validation, in [0, 1); other items than those of the test.
    #[serde(default)]
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    pub validation: f64,
    /// Which items.
    #[serde(default)]
    pub by: ColdItemsRule,
    /// Seed of the draw; 1 by default. For `random`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// Which items are taken out of training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ColdItemsRule {
    /// Drawn by the split's seed, the same share of each tenth of the items by popularity.
    #[default]
    Random,
    /// Those whose first interaction is the latest.
    Newest,
}

/// What becomes of cold items in a user's history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ColdInHistory {
    /// No model sees them.
    #[default]
    Drop,
    /// Models see them, whatever vector they have for them.
    Keep,
}

impl SplitSpec {
    /// Whether nothing is set, so that a dataset without the table has the same split.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether items may be cold: unseen in training and, in the test, candidates.
    pub fn has_cold_items(&self) -> bool {
        self.kind == SplitKind::Time || self.cold_items.is_some()
    }

    /// Whether boundaries or first appearances are compared between users, which needs real times.
    pub fn needs_times(&self) -> bool {
        let by = self.cold_items.as_ref().map(|cold| cold.by);
        self.kind == SplitKind::Time || by == Some(ColdItemsRule::Newest)
    }

    /// Mistakes that concern more than one key.
    pub(crate) fn problems(&self) -> Vec<SpecProblem> {
        let mut found = Vec::new();
        let mut add = |key: &str, message: &str| {
            found.push(SpecProblem::new(&format!("split.{key}"), message));
        };
        let of_time = "is for `kind = \"time\"` alone; remove it, or change `kind`";
        match self.kind {
            SplitKind::LeaveOneOut => {
                for (key, is_set) in [
                    ("quantile", self.quantile.is_some()),
                    ("date", self.date.is_some()),
                    ("target", self.target.is_some()),
                    ("validation", self.validation.is_some()),
                    ("seed", self.seed.is_some()),
                ] {
                    if is_set {
                        add(key, of_time);
                    }
                }
            }
            SplitKind::Time => {
                match (self.quantile, &self.date) {
                    (None, None) => {
                        add("quantile", "is missing; write it, such as 0.9, or a `date`")
                    }
                    (Some(_), Some(_)) => {
                        add("date", "is set beside `quantile`; remove one of the two")
                    }
                    _ => {}
                }
                if self.cold_items.is_some() {
                    add(
                        "cold_items",
                        "is for `kind = \"leave-one-out\"`; a time split has cold items of its own, those without an \
                         interaction in its training part; remove it",
                    );
                }
                if self.seed.is_some() && self.target != Some(TargetRule::Random) {
                    add("seed", "is for `target = \"random\"` alone; remove it");
                }
            }
        }
        if let Some(validation) = &self.validation {
            match (validation.by, validation.quantile, &validation.date) {
                (ValidationRule::LastItem, quantile, date) => {
                    for (key, is_set) in [
                        ("validation.quantile", quantile.is_some()),
                        ("validation.date", date.is_some()),
                    ] {
                        if is_set {
                            add(key, "is for `by = \"time\"` alone; remove it");
                        }
                    }
                }
                (ValidationRule::Time, Some(_), Some(_)) => {
                    add(
                        "validation.date",
                        "is set beside `quantile`; remove one of the two",
                    );
                }
                (ValidationRule::Time, ..) => {}
            }
        }
        let dates = [
            ("date", self.date.as_ref()),
            (
                "validation.date",
                self.validation.as_ref().and_then(|own| own.date.as_ref()),
            ),
        ];
        for (key, date) in dates {
            if let Some(date) = date.filter(|date| unix_seconds(date).is_none()) {
                add(
                    key,
                    &format!("is `{date}`; write a date as in \"2014-05-01\""),
                );
            }
        }
        if let Some(cold) = &self.cold_items {
            if cold.share + cold.validation >= 1.0 {
                let both = cold.share + cold.validation;
                add(
                    "cold_items.validation",
                    &format!("makes {both} with `share`; together they must be below 1"),
                );
            }
            if cold.seed.is_some() && cold.by != ColdItemsRule::Random {
                add(
                    "cold_items.seed",
                    "is for `by = \"random\"` alone; remove it",
                );
            }
        }
        if self.cold_in_history.is_some() && !self.has_cold_items() {
            add(
                "cold_in_history",
                "has no meaning without cold items; set `cold_items`, or remove it",
            );
        }
        found
    }
}

/// Seconds from 1970 to the midnight (UTC) at which a day, `YYYY-MM-DD`, begins; `None` for another text.
pub fn unix_seconds(date: &str) -> Option<i64> {
    let fields: Vec<&str> = date.split('-').collect();
    let &[year, month, day] = fields.as_slice() else {
        return None;
    };
    let number = |text: &str, digits: usize| {
        let is_number = text.len() == digits && text.bytes().all(|c| c.is_ascii_digit());
        is_number.then(|| text.parse::<i64>().ok()).flatten()
    };
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if is_leap { 29 } else { 28 };
    let days = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month - 1)
        .ok()
        .filter(|&at| at < days.len())?;
    if !(1..=days[before]).contains(&day) {
        return None;
    }
    // Leap years before a year; the difference of two counts needs no year 0.
    let leaps = |year: i64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    let years = (year - 1970) * 365 + leaps(year) - leaps(1970);
    let in_year: i64 = days[..before].iter().sum::<i64>() + day - 1;
    Some((years + in_year) * 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(toml: &str) -> Vec<String> {
        let spec: SplitSpec = toml::from_str(toml).unwrap();
        let problems = spec.problems();
        problems.iter().map(|own| own.key.join(".")).collect()
    }

    #[test]
    fn dates_are_those_of_date_minus_u() {
        // date -u -d 2014-05-01 +%s
        for (date, seconds) in [
            ("1970-01-01", Some(0)),
            ("2014-05-01", Some(1_398_902_400)),
            ("2000-03-01", Some(951_868_800)),
            ("2024-02-29", Some(1_709_164_800)),
            ("1969-12-31", Some(-86_400)),
            ("2023-02-29", None),
            ("2014-13-01", None),
            ("2014-00-01", None),
            ("2014-5-1", None),
            ("2014-05-01T00", None),
            ("", None),
        ] {
            assert_eq!(unix_seconds(date), seconds, "{date}");
        }
    }

    #[test]
    fn keys_that_contradict_each_other_are_named() {
        let none: [&str; 0] = [];
        assert_eq!(keys(""), none);
        assert_eq!(
            keys("kind = \"time\"\nquantile = 0.9\ntarget = \"all\""),
            none
        );
        assert_eq!(
            keys("cold_items = { share = 0.1, validation = 0.05, seed = 3 }"),
            none
        );
        assert_eq!(keys("kind = \"time\""), ["split.quantile"]);
        assert_eq!(
            keys("quantile = 0.9\ntarget = \"first\"\ncold_in_history = \"keep\""),
            ["split.quantile", "split.target", "split.cold_in_history"]
        );
        assert_eq!(
            keys(
                "kind = \"time\"\nquantile = 0.9\ndate = \"2014-5-1\"\nseed = 1\ncold_items = { share = 0.5 }"
            ),
            ["split.date", "split.cold_items", "split.seed", "split.date"]
        );
        assert_eq!(
            keys(
                "kind = \"time\"\nquantile = 0.9\nvalidation = { by = \"last-item\", quantile = 0.9 }"
            ),
            ["split.validation.quantile"]
        );
        assert_eq!(
            keys("cold_items = { share = 0.6, validation = 0.4, by = \"newest\", seed = 1 }"),
            ["split.cold_items.validation", "split.cold_items.seed"]
        );
    }
}
