//! Paired tests against the baseline, user by user, from stored ranks.
//!
//! A user's value is the mean over the configuration's seeds, so that a test is about users, not about
//! seeds taken for users.

use std::collections::{BTreeMap, BTreeSet};

use genair_protocol::{Metric, Protocol};
use genair_store::{RunId, Store};

use super::pivot::{At, CellRuns, Pivot};
use super::{is_testable, listed};
use crate::ReportError;
use crate::error::TableError;
use crate::spec::{Measure, TableSpec, TestKind, TestSpec};
use crate::table::{Tested, Verdict};
use genair_eval::statistics::{StatisticsError, holm, paired_bootstrap, paired_t_test};

/// Ranks on the test split, from 0, by protocol and run; users in order of their number.
type Ranks = BTreeMap<(Protocol, RunId), Vec<u32>>;

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
        match (own.measure, own.protocol) {
            (Measure::Ranking { metric, k }, Some(protocol)) if is_tested => {
                Some((at, other, metric, k, protocol))
            }
            _ => None,
        }
    };
    let pairs: Vec<(At, At, Metric, u32, Protocol)> = baselines.iter().filter_map(pair).collect();
    require_resamples(&spec.test, pairs.len()).map_err(|kind| fail("test", kind))?;
    let mut wanted: BTreeMap<Protocol, BTreeSet<RunId>> = BTreeMap::new();
    for (at, other, _, _, protocol) in &pairs {
        let runs = pivot.cells[at].iter().chain(&pivot.cells[other]);
        let runs = runs.map(|(run, _)| run.run_id);
        wanted.entry(*protocol).or_default().extend(runs);
    }
    let ranks = load(store, &wanted, fail)?;

    let mut tested = BTreeMap::new();
    for (at, other, metric, k, protocol) in pairs {
        let of_users = |runs: &CellRuns<'_>| {
            let ranks = runs.iter().map(|(run, _)| &ranks[&(protocol, run.run_id)]);
            mean_over_seeds(ranks.collect(), metric, k)
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
    runs: Vec<&Vec<u32>>,
    metric: Metric,
    k: u32,
) -> Result<Vec<f64>, StatisticsError> {
    let users = runs.first().map_or(0, |ranks| ranks.len());
    let mut sums = vec![0.0; users];
    for ranks in &runs {
        if ranks.len() != users {
            return Err(StatisticsError::Unpaired {
                left: users,
                right: ranks.len(),
            });
        }
        for (sum, &rank) in sums.iter_mut().zip(*ranks) {
            *sum += genair_eval::value_of_rank(metric, rank, k);
        }
    }
    let count = runs.len() as f64;
    Ok(sums.into_iter().map(|sum| sum / count).collect())
}

fn compare(own: &[f64], base: &[f64], spec: &TestSpec) -> Result<Tested, StatisticsError> {
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
            if row.ranks.len() as u64 != row.last {
                let error = TableError::IncompleteRanks {
                    run: row.run_id,
                    protocol: protocol.to_string(),
                    found: row.ranks.len(),
                    last: row.last,
                };
                return Err(fail("test", error));
            }
            ranks.insert((protocol, row.run_id), row.ranks);
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
