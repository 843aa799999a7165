//! Which cohorts a user belongs to. The thresholds come from the dataset; see docs/data.md, "Cohorts".

use genair_protocol::Cohort;

/// Where short ends and long begins, and tail and head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CohortThresholds {
    /// Items that the test input of a long user has at least.
    pub long_user: u64,
    /// Training interactions a head item has at least.
    pub head_item: u64,
}

impl CohortThresholds {
    /// Cohorts of one target, from the length of the user's test input (all of it, not what a model's window
    /// leaves; the same for both splits, so that a user is long on both or on neither), from how often the target
    /// is in the training part of all users and, where a split has cold items, from whether it is one.
    pub fn membership(
        &self,
        test_input_length: u64,
        target_popularity: u64,
        cold_item: Option<bool>,
    ) -> Membership {
        Membership {
            long_user: test_input_length >= self.long_user,
            head_item: target_popularity >= self.head_item,
            cold_item,
        }
    }
}

/// The cohorts that one target of a user belongs to: all, one by the user's length and one or two by the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Long test input rather than short.
    pub long_user: bool,
    /// Popular target rather than rare.
    pub head_item: bool,
    /// Cold target rather than warm; absent where a split has no cold items.
    pub cold_item: Option<bool>,
}

impl Membership {
    /// Whether the target is part of `cohort`.
    pub fn contains(self, cohort: Cohort) -> bool {
        match cohort {
            Cohort::All => true,
            Cohort::TailItem => !self.head_item,
            Cohort::HeadItem => self.head_item,
            Cohort::ShortUser => !self.long_user,
            Cohort::LongUser => self.long_user,
            Cohort::ColdItem => self.cold_item == Some(true),
            Cohort::WarmItem => self.cold_item == Some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_belongs_to_the_upper_cohort() {
        let thresholds = CohortThresholds {
            long_user: 10,
            head_item: 4,
        };
        let cohorts = |length, popularity| -> Vec<&str> {
            let membership = thresholds.membership(length, popularity, None);
            Cohort::ALL
                .iter()
                .filter(|c| membership.contains(**c))
                .map(|c| c.as_str())
                .collect()
        };
        assert_eq!(cohorts(9, 3), ["all", "tail-item", "short-user"]);
        assert_eq!(cohorts(10, 3), ["all", "tail-item", "long-user"]);
        assert_eq!(cohorts(9, 4), ["all", "head-item", "short-user"]);
        assert_eq!(cohorts(10, 4), ["all", "head-item", "long-user"]);
        for (cold, own) in [(true, Cohort::ColdItem), (false, Cohort::WarmItem)] {
            let membership = thresholds.membership(9, 0, Some(cold));
            assert!(membership.contains(own));
            let both = [Cohort::ColdItem, Cohort::WarmItem];
            assert_eq!(
                both.iter().filter(|of| membership.contains(**of)).count(),
                1
            );
        }
    }
}
