//! Ranks to metrics: means over the users of each cohort.

use crate::{EvalError, Membership};
use genair_protocol::{Cohort, EvalSpec, Metric, MetricRow};

/// The metric of one user whose target has `rank`, from 0, in [0, 1] (docs/method.md, section 7).
pub fn value_of_rank(metric: Metric, rank: u32, k: u32) -> f64 {
    if rank >= k {
        return 0.0;
    }
    match metric {
        Metric::Hr => 1.0,
        Metric::Ndcg => (f64::from(rank) + 2.0).log2().recip(),
        Metric::Mrr => (f64::from(rank) + 1.0).recip(),
    }
}

/// Measures one split and protocol: one row for each cohort, metric and cut-off, in this order, the
/// last two as the spec lists them. A cohort without users has no rows.
///
/// `ranks` (from 0) and `memberships` hold one entry per user, in the same order. Sums are taken in
/// that order, so that the same users give the same bits.
pub fn evaluate(
    ranks: &[u32],
    memberships: &[Membership],
    spec: &EvalSpec,
) -> Result<Vec<MetricRow>, EvalError> {
    if ranks.len() != memberships.len() {
        return Err(EvalError::LengthMismatch {
            ranks: ranks.len(),
            memberships: memberships.len(),
        });
    }
    let mut rows = Vec::new();
    for &cohort in Cohort::ALL {
        let of_cohort: Vec<u32> = std::iter::zip(ranks, memberships)
            .filter(|(_, membership)| membership.contains(cohort))
            .map(|(&rank, _)| rank)
            .collect();
        if of_cohort.is_empty() {
            continue;
        }
        for &metric in &spec.metrics {
            for &k in &spec.k {
                let value = mean_over_users(&of_cohort, metric, k);
                rows.push(MetricRow {
                    cohort,
                    metric,
                    k,
                    value,
                    users: of_cohort.len() as u64,
                });
            }
        }
    }
    Ok(rows)
}

/// Mean of a metric over at least one user's rank.
fn mean_over_users(ranks: &[u32], metric: Metric, k: u32) -> f64 {
    let sum: f64 = ranks
        .iter()
        .map(|&rank| value_of_rank(metric, rank, k))
        .sum();
    sum / ranks.len() as f64
}
