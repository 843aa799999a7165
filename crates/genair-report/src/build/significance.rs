//! Paired tests against the baseline, user by user, from stored ranks.
//!
//! A user's value is the mean over the configuration's seeds, so that a test is about users, not about
//! seeds taken for users.

use std::collections::{BTreeMap, BTreeSet};

use genair_protocol::{Cohort, Protocol, RankMetric};
use genair_store::{RunId, RunRanks, Store};

use super::pivot::{At, CellRuns, Pivot};
use super::{is_testable, listed};
use crate::ReportError;
use crate::error::TableError;
use crate::spec::{Measure, TableSpec, TestKind, TestSpec};
use crate::table::{Tested, Verdict};
use genair_eval::statistics::{StatisticsError, holm, paired_bootstrap, paired_t_test};

/// Ranks on the test split by protocol and run.
type Ranks = BTreeMap<(Protocol, RunId), RunRanks>;
/// A cell, its baseline, and what both are measured by.
type Pair = (At, At, (RankMetric, u32), Protocol, Cohort);
/// A value of each user, in the order of their numbers.
type OfUsers = Vec<(u64, f64)>;

/// Tests every cell that has a baseline and can be tested; p values are corrected over all of them.
pub(super) fn test(
    store: &mut Store,
    pivot: &Pivot<'_>,
    baselines: &BTreeMap<At, At>,
    spec: &TableSpec,
    fail: &dyn Fn(&str, TableError) -> ReportError,
) -> Result<BTreeMap<At, Tested>, ReportError> {
    let measured: Vec<_> = pivot.measured().collect();
    let pair = |(&at, &other): (&At, &At)| {
        let own = measured[at.1];
        let is_tested = spec.test.kind != TestKind::None && is_testable(own);
        match (own.measure, own.protocol, own.cohort) {
            (Measure::Ranking { metric, k }, Some(protocol), Some(cohort)) if is_tested => {
                Some((at, other, (metric.of_rank()?, k), protocol, cohort))
            }
            _ => None,
        }
    };
    let pairs: Vec<Pair> = baselines.iter().filter_map(pair).collect();
    require_resamples(&spec.test, pairs.len()).map_err(|kind| fail("test", kind))?;
    let mut wanted: BTreeMap<Protocol, BTreeSet<RunId>> = BTreeMap::new();
    for (at, other, _, protocol, cohort) in &pairs {
        let cold = (*cohort != Cohort::All).then_some(Protocol::Cold);
        for protocol in [Some(*protocol), cold].into_iter().flatten() {
            let runs = pivot.cells[at].iter().chain(&pivot.cells[other]);
            let runs = runs.map(|(run, _)| run.run_id);
            wanted.entry(protocol).or_default().extend(runs);
        }
    }
    let ranks = load(store, &wanted, fail)?;

    let mut tested = BTreeMap::new();
    for (at, other, (metric, k), protocol, cohort) in pairs {
        let of_protocol = |runs: &CellRuns<'_>, protocol: Protocol| -> Vec<&RunRanks> {
            let ranks = runs.iter().map(|(run, _)| &ranks[&(protocol, run.run_id)]);
            ranks.collect()
        };
        let has_several = |run: &&RunRanks| run.ranks.len() as u64 != run.ranked_users();
        let own = of_protocol(&pivot.cells[&at], protocol);
        if cohort != Cohort::All && own.iter().any(has_several) {
            // A user may have cold targets and warm ones.
            continue;
        }
        let of_users = |runs: &CellRuns<'_>| -> Result<OfUsers, StatisticsError> {
            let mut values = mean_over_seeds(of_protocol(runs, protocol), metric, k)?;
            if cohort != Cohort::All {
                let cold = of_protocol(runs, Protocol::Cold);
                let cold: BTreeSet<u64> = cold.iter().flat_map(|run| run.users.clone()).collect();
                let wanted = cohort == Cohort::ColdItem;
                values.retain(|(user, _)| cold.contains(user) == wanted);
            }
            Ok(values)
        };
        let result = of_users(&pivot.cells[&at]).and_then(|own| {
            let base = of_users(&pivot.cells[&other])?;
            compare(&own, &base, &spec.test)
        });
        let error = |source| TableError::Statistics {
            configuration: pivot.configuration(at).to_string(),
            source,
        };
        tested.insert(at, result.map_err(|source| fail("test", error(source)))?);
    }
    let p_values: Vec<f64> = tested.values().map(|test: &Tested| test.p).collect();
    for ((at, test), p_holm) in tested.iter_mut().zip(holm(&p_values)) {
        test.p_holm = p_holm;
        let levels = spec.test.levels.iter();
        test.marks = levels.filter(|&&level| p_holm < level).count();
        let higher_is_better = measured[at.1].measure.higher_is_better();
        test.verdict =
            (test.marks > 0).then_some(match (test.mean_difference > 0.0) == higher_is_better {
                true => Verdict::Better,
                false => Verdict::Worse,
            });
    }
    Ok(tested)
}

/// Fails on a bootstrap that could not reach its own levels: no p value is below 2 / (resamples + 1).
fn require_resamples(spec: &TestSpec, tests: usize) -> Result<(), TableError> {
    let Some(&level) = spec.levels.last() else {
        return Ok(());
    };
    let needed = (2.0 * tests as f64 / level).ceil() as usize;
    if spec.kind == TestKind::Bootstrap && spec.resamples < needed {
        return Err(TableError::TooFewResamples {
            tests,
            level,
            needed,
            resamples: spec.resamples,
        });
    }
    Ok(())
}

/// Each user's metric, mean over the runs.
fn mean_over_seeds(
    runs: Vec<&RunRanks>,
    metric: RankMetric,
    k: u32,
) -> Result<OfUsers, StatisticsError> {
    let mut sums: Option<OfUsers> = None;
    for run in &runs {
        let value = |(user, ranks)| (user, genair_eval::value_of_ranks(metric, ranks, k));
        let own: OfUsers = run.by_user().map(value).collect();
        match &mut sums {
            None => sums = Some(own),
            Some(sums) => {
                require_pairs(sums, &own)?;
                for ((_, sum), (_, value)) in sums.iter_mut().zip(own) {
                    *sum += value;
                }
            }
        }
    }
    let count = runs.len() as f64;
    let sums = sums.unwrap_or_default().into_iter();
    Ok(sums.map(|(user, sum)| (user, sum / count)).collect())
}

/// Fails if the values are not of the same users.
fn require_pairs(left: &OfUsers, right: &OfUsers) -> Result<(), StatisticsError> {
    let users = |of: &OfUsers| of.iter().map(|(user, _)| *user).collect::<Vec<_>>();
    match users(left) == users(right) {
        true => Ok(()),
        false => Err(StatisticsError::Unpaired {
            left: left.len(),
            right: right.len(),
        }),
    }
}

fn compare(own: &OfUsers, base: &OfUsers, spec: &TestSpec) -> Result<Tested, StatisticsError> {
    require_pairs(own, base)?;
    let values = |of: &OfUsers| of.iter().map(|(_, value)| *value).collect::<Vec<_>>();
    let (own, base) = (&values(own), &values(base));
    let t_test = paired_t_test(own, base)?;
    let tested = Tested {
        users: t_test.n,
        mean_difference: t_test.mean_difference,
        interval: t_test.interval,
        t: Some(t_test.t),
        p: t_test.p,
        p_holm: t_test.p,
        effect_size: t_test.effect_size,
        verdict: None,
        marks: 0,
    };
    if spec.kind != TestKind::Bootstrap {
        return Ok(tested);
    }
    let bootstrap = paired_bootstrap(own, base, spec.resamples, spec.seed)?;
    Ok(Tested {
        interval: bootstrap.interval,
        t: None,
        p: bootstrap.p,
        p_holm: bootstrap.p,
        ..tested
    })
}

fn load(
    store: &mut Store,
    wanted: &BTreeMap<Protocol, BTreeSet<RunId>>,
    fail: &dyn Fn(&str, TableError) -> ReportError,
) -> Result<Ranks, ReportError> {
    let mut ranks = Ranks::new();
    for (&protocol, runs) in wanted {
        let runs: Vec<RunId> = runs.iter().copied().collect();
        for row in store.test_ranks(&runs, Some(protocol))? {
            let found = row.ranked_users();
            if found != row.measured {
                let error = TableError::IncompleteRanks {
                    run: row.run_id,
                    protocol: protocol.to_string(),
                    found,
                    measured: row.measured,
                };
                return Err(fail("test", error));
            }
            ranks.insert((protocol, row.run_id), row);
        }
        let is_missing = |run: &RunId| !ranks.contains_key(&(protocol, *run));
        let missing = listed(runs.into_iter().filter(is_missing));
        if !missing.is_empty() {
            let error = TableError::NoRanks {
                runs: missing,
                protocol: protocol.to_string(),
            };
            return Err(fail("test", error));
        }
    }
    Ok(ranks)
}
