//! Ranks to metrics: means over the users of each cohort.

use crate::Membership;
use genair_protocol::{Cohort, EvalSpec, MetricRow, RankMetric};

/// A target of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RankedTarget {
    /// Its rank, from 0, among candidates that are no targets of the user.
    pub rank: u32,
    /// What it belongs to.
    pub membership: Membership,
}

/// The metric of one user whose only target has `rank`, from 0, in [0, 1] (docs/method.md, section 7).
pub fn value_of_rank(metric: RankMetric, rank: u32, k: u32) -> f64 {
    if rank >= k {
        return 0.0;
    }
    match metric {
        RankMetric::Hr | RankMetric::Recall => 1.0,
        RankMetric::Ndcg => discount(rank),
        RankMetric::Mrr | RankMetric::Map => (f64::from(rank) + 1.0).recip(),
    }
}

fn discount(place: u32) -> f64 {
    (f64::from(place) + 2.0).log2().recip()
}

/// The metric of one user with one or more targets, in [0, 1]. `ranks` are from 0, in any order, each among candidates
/// that are no targets: so the target of the `i`-th smallest rank `r_i` (from 0) stands at place `r_i + i` of the list
/// of all candidates, and every metric of a list can be computed.
///
/// HR is 1 if any target is among the first `k`, MRR the reciprocal place of the first one, NDCG the discounted gain of
/// all of them over that of a list that begins with them, recall the share of targets among the first `k`, and MAP the
/// sum of the precision at each of their places over the number of targets (docs/method.md, section 7). Of one target
/// they are [`value_of_rank`]; of none they are 0.
pub fn value_of_ranks(metric: RankMetric, ranks: &[u32], k: u32) -> f64 {
    match ranks {
        [] => return 0.0,
        [only] => return value_of_rank(metric, *only, k),
        _ => {}
    }
    let mut sorted = ranks.to_vec();
    sorted.sort_unstable();
    let places = (0..)
        .zip(&sorted)
        .map(|(before, rank)| rank.saturating_add(before));
    let mut hits = places.take_while(|&place| place < k);
    let targets = u32::try_from(ranks.len()).unwrap_or(u32::MAX);
    match metric {
        RankMetric::Hr | RankMetric::Mrr => hits
            .next()
            .map_or(0.0, |first| value_of_rank(metric, first, k)),
        RankMetric::Ndcg => {
            let ideal: f64 = (0..targets.min(k)).map(discount).sum();
            hits.map(discount).sum::<f64>() / ideal
        }
        RankMetric::Recall => hits.count() as f64 / f64::from(targets),
        RankMetric::Map => {
            let precision = |(hits, place): (u32, u32)| f64::from(hits) / (f64::from(place) + 1.0);
            (1..).zip(hits).map(precision).sum::<f64>() / f64::from(targets)
        }
    }
}

/// Measures one split and protocol: one row for each cohort, metric and cut-off, in this order, the last two as the spec
/// lists them. A cohort without users has no rows.
///
/// `users` has the targets of each user. A user is part of a cohort with the targets that belong to it, and is not with
/// none. Sums are taken in the order of the users, so that the same users give the same bits.
pub fn evaluate(users: &[Vec<RankedTarget>], spec: &EvalSpec) -> Vec<MetricRow> {
    let mut rows = Vec::new();
    for &cohort in Cohort::ALL {
        let of_cohort = users.iter().map(|targets| {
            let targets = targets.iter();
            let own = targets.filter(|target| target.membership.contains(cohort));
            own.map(|target| target.rank).collect()
        });
        let of_cohort: Vec<Vec<u32>> = of_cohort.filter(|own: &Vec<u32>| !own.is_empty()).collect();
        if of_cohort.is_empty() {
            continue;
        }
        for &metric in &spec.metrics {
            for &k in &spec.k {
                let value = mean_over_users(&of_cohort, metric, k);
                rows.push(MetricRow {
                    cohort,
                    metric: metric.into(),
                    k,
                    value,
                    users: of_cohort.len() as u64,
                });
            }
        }
    }
    rows
}

/// Mean of a metric over the ranks of at least one user.
fn mean_over_users(users: &[Vec<u32>], metric: RankMetric, k: u32) -> f64 {
    let sum: f64 = users
        .iter()
        .map(|ranks| value_of_ranks(metric, ranks, k))
        .sum();
    sum / users.len() as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A list of candidates with the places of the targets, measured by its definition.
    fn by_definition(metric: RankMetric, places: &[u32], k: u32) -> f64 {
        let hits: Vec<u32> = places.iter().copied().filter(|&place| place < k).collect();
        match metric {
            RankMetric::Hr => f64::from(u8::from(!hits.is_empty())),
            RankMetric::Mrr => hits
                .iter()
                .min()
                .map_or(0.0, |&first| 1.0 / f64::from(first + 1)),
            RankMetric::Ndcg => {
                let gain = |place: u32| 1.0 / (f64::from(place) + 2.0).log2();
                let ideal: f64 = (0..k.min(places.len() as u32)).map(gain).sum();
                hits.into_iter().map(gain).sum::<f64>() / ideal
            }
            RankMetric::Recall => hits.len() as f64 / places.len() as f64,
            RankMetric::Map => {
                let up_to = |place| hits.iter().filter(|&&hit| hit <= place).count() as f64;
                let precision = hits
                    .iter()
                    .map(|&place| up_to(place) / f64::from(place + 1));
                precision.sum::<f64>() / places.len() as f64
            }
        }
    }

    proptest! {
        #[test]
        fn several_targets_are_measured_as_in_the_list_they_stand_in(
            places in prop::collection::btree_set(0_u32..40, 1..8), k in 1_u32..30, seed: u64,
        ) {
            let places: Vec<u32> = places.into_iter().collect();
            // Among candidates that are no targets.
            let mut ranks: Vec<u32> = (0..).zip(&places).map(|(before, place)| place - before).collect();
            let middle = (seed % ranks.len() as u64) as usize;
            ranks.rotate_left(middle);
            for &metric in RankMetric::ALL {
                let (found, expected) = (value_of_ranks(metric, &ranks, k), by_definition(metric, &places, k));
                prop_assert!((found - expected).abs() < 1e-12, "{metric}@{k}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn one_target_has_the_value_of_its_rank_to_the_bit() {
        for &metric in RankMetric::ALL {
            for rank in 0..12 {
                assert_eq!(
                    value_of_ranks(metric, &[rank], 10),
                    value_of_rank(metric, rank, 10)
                );
            }
            assert_eq!(value_of_ranks(metric, &[], 10), 0.0);
        }
    }
}
