//! Statistics beside SciPy's and statsmodels' numbers (`tests/oracles/statistics/make.py`).

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use genair_eval::statistics::{StatisticsError, holm, paired_bootstrap, paired_t_test, summarise};
use genair_protocol::RankMetric;
use serde::Deserialize;

#[derive(Deserialize)]
struct Oracle {
    summaries: Vec<SummaryCase>,
    paired: Vec<PairedCase>,
    holm: Vec<HolmCase>,
}

#[derive(Deserialize)]
struct SummaryCase {
    values: Vec<f64>,
    mean: f64,
    std: Option<f64>,
    interval: Option<[f64; 2]>,
}

#[derive(Deserialize)]
struct PairedCase {
    ranks_a: Vec<Vec<u32>>,
    ranks_b: Vec<Vec<u32>>,
    k: u32,
    mean_difference: f64,
    t: f64,
    p: f64,
    interval: [f64; 2],
    effect_size: f64,
    bootstrap_interval: [f64; 2],
    bootstrap_standard_error: f64,
}

#[derive(Deserialize)]
struct HolmCase {
    p: Vec<f64>,
    adjusted: Vec<f64>,
}

fn oracle() -> Oracle {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/oracles/statistics/statistics.json"
    );
    let oracle: Oracle = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(!oracle.summaries.is_empty() && !oracle.paired.is_empty() && !oracle.holm.is_empty());
    oracle
}

/// Equal to nine digits, also of a number as small as 1e-96.
#[track_caller]
fn assert_close(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() <= 1e-9 * expected.abs().max(1e-300),
        "{found} is not {expected}"
    );
}

/// NDCG@k of each user, mean over seeds.
fn of_users(seeds: &[Vec<u32>], k: u32) -> Vec<f64> {
    let users = 0..seeds[0].len();
    let mean = |user: usize| {
        let sum: f64 = seeds
            .iter()
            .map(|ranks| genair_eval::value_of_rank(RankMetric::Ndcg, ranks[user], k))
            .sum();
        sum / seeds.len() as f64
    };
    users.map(mean).collect()
}

#[test]
fn means_over_seeds() {
    for case in oracle().summaries {
        let found = summarise(&case.values).unwrap();
        assert_eq!(found.n, case.values.len());
        assert_close(found.mean, case.mean);
        assert_eq!(found.std.is_some(), case.std.is_some());
        for (found, expected) in found.std.into_iter().zip(case.std) {
            assert_close(found, expected);
        }
        assert_eq!(found.interval.is_some(), case.interval.is_some());
        let bounds = found.interval.into_iter().flatten();
        for (found, expected) in bounds.zip(case.interval.into_iter().flatten()) {
            assert_close(found, expected);
        }
    }
}

#[test]
fn paired_t_tests() {
    for case in oracle().paired {
        let (a, b) = (
            of_users(&case.ranks_a, case.k),
            of_users(&case.ranks_b, case.k),
        );
        let found = paired_t_test(&a, &b).unwrap();
        assert_close(found.mean_difference, case.mean_difference);
        assert_close(found.t, case.t);
        assert_close(found.p, case.p);
        assert_close(found.effect_size, case.effect_size);
        for (found, expected) in std::iter::zip(found.interval, case.interval) {
            assert_close(found, expected);
        }
    }
}

/// Both are random, so their intervals may differ by the noise of 20,000 resamples: a bound of the
/// interval has a standard error of sqrt(.025 * .975 / 20000) / f, f the density there, .058 of a
/// standard normal one: .019 standard errors of the mean. The mean over 12 users takes few values.
#[test]
fn paired_bootstraps() {
    for case in oracle().paired {
        let (a, b) = (
            of_users(&case.ranks_a, case.k),
            of_users(&case.ranks_b, case.k),
        );
        let found = paired_bootstrap(&a, &b, 20_000, 3).unwrap();
        assert_close(found.mean_difference, case.mean_difference);
        for (found, expected) in std::iter::zip(found.interval, case.bootstrap_interval) {
            let off = (found - expected).abs() / case.bootstrap_standard_error;
            assert!(
                off < 0.1,
                "{found} is {off} standard errors from {expected}"
            );
        }
        // The bootstrap agrees with the t-test about who is better, and roughly how surely.
        assert!(
            (found.p - case.p).abs() < 0.02 + 0.2 * case.p,
            "{} {}",
            found.p,
            case.p
        );
    }
}

#[test]
fn holm_corrections() {
    for case in oracle().holm {
        for (found, expected) in std::iter::zip(holm(&case.p), case.adjusted) {
            assert_close(found, expected);
        }
    }
    assert!(holm(&[]).is_empty());
}

#[test]
fn degenerate_samples() {
    let same = paired_t_test(&[0.5; 4], &[0.5; 4]).unwrap();
    assert_eq!((same.t, same.p, same.effect_size), (0.0, 1.0, 0.0));
    let shifted = paired_t_test(&[0.75; 4], &[0.5; 4]).unwrap();
    assert_eq!((shifted.t, shifted.p), (f64::INFINITY, 0.0));
    assert_eq!(
        paired_t_test(&[0.5; 4], &[0.5; 3]),
        Err(StatisticsError::Unpaired { left: 4, right: 3 })
    );
    assert_eq!(
        paired_t_test(&[0.5], &[0.25]).unwrap_err().to_string(),
        "1 values, where a paired t-test needs at least 2"
    );
    assert_eq!(
        summarise(&[0.5, f64::NAN]).unwrap_err().to_string(),
        "value 1 is NaN, which is not finite"
    );
    assert!(summarise(&[]).is_err());
}
