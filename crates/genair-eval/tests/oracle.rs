//! The public API against numbers computed elsewhere: `tests/fixtures/metrics.json` at the root,
//! made in Python from the published code's own metric functions, and hand-checked ties.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as the tests may"
)]

use std::path::Path;

use genair_eval::{
    CohortThresholds, ItemFacts, ListSums, Listed, Membership, RankedTarget, evaluate, rank,
};
use genair_protocol::{Cohort, EvalSpec, Metric, RankMetric};
use serde_json::Value;

fn fixture() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/metrics.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<u64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_f64().unwrap() as u64)
        .collect()
}

const EVERYONE: Membership = Membership {
    long_user: true,
    head_item: true,
    cold_item: None,
};

/// Users with one target each.
fn users(
    ranks: Vec<u32>,
    memberships: impl IntoIterator<Item = Membership>,
) -> Vec<Vec<RankedTarget>> {
    let targets = ranks.into_iter().zip(memberships);
    let user = |(rank, membership)| vec![RankedTarget { rank, membership }];
    targets.map(user).collect()
}

fn ranks(fixture: &Value) -> Vec<u32> {
    numbers(&fixture["ranks0"])
        .iter()
        .map(|&rank| rank as u32)
        .collect()
}

fn assert_close(found: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap();
    assert!(
        (found - expected).abs() < 1e-12,
        "{what}: {found}, the fixture says {expected}"
    );
}

#[test]
fn metrics_are_the_fixtures() {
    let fixture = fixture();
    let ranks = ranks(&fixture);
    let k: Vec<u32> = numbers(&fixture["K"]).iter().map(|&k| k as u32).collect();
    let spec = EvalSpec {
        k: k.clone(),
        ..EvalSpec::default()
    };
    let everyone = std::iter::repeat(EVERYONE);
    let rows = evaluate(&users(ranks.clone(), everyone), &spec);
    let of_all = rows.iter().filter(|row| row.cohort == Cohort::All);
    assert_eq!(of_all.clone().count(), 3 * k.len());
    for row in of_all {
        let table = row.metric.title();
        assert_close(
            row.value,
            &fixture[table][row.k.to_string()],
            &format!("{table}@{}", row.k),
        );
        assert_eq!(row.users, ranks.len() as u64);
    }
}

/// The cut-offs that the published code reports, and a reciprocal rank that nothing cuts off.
#[test]
fn reports_are_the_fixtures() {
    let fixture = fixture();
    let ranks = ranks(&fixture);
    let beyond_all = ranks.iter().max().unwrap() + 1;
    let spec = EvalSpec {
        k: vec![5, 10, 20, 50, beyond_all],
        ..EvalSpec::default()
    };
    let everyone = std::iter::repeat(EVERYONE);
    let rows = evaluate(&users(ranks.clone(), everyone), &spec);
    let mut checked = 0;
    for row in rows.iter().filter(|row| row.cohort == Cohort::All) {
        let name = format!("{}@{}", row.metric.as_str().to_uppercase(), row.k);
        let expected = match (row.metric, row.k) {
            (Metric::Mrr, k) if k == beyond_all => &fixture["MRR_full"],
            (Metric::Mrr, _) => continue,
            (_, k) if k == beyond_all => continue,
            _ => &fixture["reference_metric_report"][&name],
        };
        assert_close(row.value, expected, &name);
        checked += 1;
    }
    assert_eq!(checked, 2 * 4 + 1);
}

#[test]
fn cohorts_are_the_fixtures() {
    let fixture = fixture();
    let inputs = &fixture["group_inputs"];
    let thresholds = CohortThresholds {
        long_user: inputs["ts_user"].as_u64().unwrap(),
        head_item: inputs["ts_item"].as_u64().unwrap(),
    };
    let popularity = numbers(&inputs["item_pop_by_id"]);
    let memberships = std::iter::zip(numbers(&inputs["seq_len"]), numbers(&inputs["targets"]));
    let memberships = memberships
        .map(|(length, target)| thresholds.membership(length, popularity[target as usize], None));
    let spec = EvalSpec {
        metrics: vec![RankMetric::Ndcg, RankMetric::Hr],
        ..EvalSpec::default()
    };
    let mut checked = 0;
    for row in evaluate(&users(ranks(&fixture), memberships), &spec) {
        let (report, cohort) = match row.cohort {
            Cohort::All | Cohort::ColdItem | Cohort::WarmItem => continue,
            Cohort::ShortUser => ("len_report", "Short"),
            Cohort::LongUser => ("len_report", "Long"),
            Cohort::TailItem => ("pop_report_fixed", "Tail"),
            Cohort::HeadItem => ("pop_report_fixed", "Popular"),
        };
        let name = format!("{cohort} {}@{}", row.metric.as_str().to_uppercase(), row.k);
        assert_close(row.value, &fixture[report][&name], &name);
        checked += 1;
    }
    assert_eq!(checked, 4 * 2 * 4);
}

#[test]
fn ties_are_pessimistic() {
    let fixture = fixture();
    let ties = fixture["ties"].as_array().unwrap();
    assert_eq!(ties.len(), 4);
    for tie in ties {
        let of_items = tie["scores"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s.as_f64().unwrap() as f32);
        let scores: Vec<f32> = std::iter::once(f32::NAN).chain(of_items).collect();
        let target = 1 + tie["target_index"].as_u64().unwrap() as usize;
        assert_eq!(
            u64::from(rank(&scores, target, &[]).unwrap()),
            tie["pessimistic"].as_u64().unwrap()
        );
    }
}

/// Made with RecTools and loops (tests/oracles/lists/make.py).
#[test]
fn lists_are_measured_as_rectools_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/lists.json");
    let fixture: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let of_items = |values: &Value| -> Vec<u32> {
        let own = numbers(values).into_iter().map(|value| value as u32);
        std::iter::once(0).chain(own).collect()
    };
    let popularity = of_items(&fixture["popularity"]);
    let mut unit = vec![0.0_f32; 4];
    for row in fixture["unit"].as_array().unwrap() {
        unit.extend(
            row.as_array()
                .unwrap()
                .iter()
                .map(|x| x.as_f64().unwrap() as f32),
        );
    }
    let facts = ItemFacts {
        popularity: &popularity,
        users_of: &popularity,
        users: fixture["users"].as_u64().unwrap(),
        candidates: popularity.len() - 1,
        head_item: fixture["head_item"].as_u64().unwrap(),
        vectors: Some((&unit, 4)),
    };
    let expected = fixture["expected"].as_object().unwrap();
    let cutoffs: Vec<u32> = expected.keys().map(|k| k.parse().unwrap()).collect();
    let mut sums = ListSums::new(facts, &cutoffs);
    for list in fixture["lists"].as_array().unwrap() {
        let listed = |item: u64| Listed {
            item: item as u32,
            score: 0.0,
        };
        let list: Vec<Listed> = numbers(list).into_iter().map(listed).collect();
        sums.add(&list);
    }
    let rows = sums.rows(Cohort::All);
    let mut found = 0;
    for (k, metrics) in expected {
        for (metric, value) in metrics.as_object().unwrap() {
            let metric: Metric = metric.parse().unwrap();
            let own = rows
                .iter()
                .find(|row| row.metric == metric && row.k.to_string() == *k);
            let (own, value) = (own.unwrap().value, value.as_f64().unwrap());
            assert!(
                (own - value).abs() < 1e-6,
                "{metric}@{k}: {own}, not {value}"
            );
            found += 1;
        }
    }
    assert_eq!((found, rows.len()), (14, 14));
}
