//! `genair results diff`: two runs beside each other.

use genair_eval::statistics::{PairedTest, paired_t_test};
use genair_protocol::Metric;
use genair_runner::{Difference, Differing, ResultPair};
use genair_store::{RankList, RunDetails, RunId, Store};
use serde::Serialize;

use crate::exit::Exit;
use crate::output::{Output, cell, metric, table};

#[derive(Serialize)]
struct Compared {
    #[serde(flatten)]
    difference: Difference,
    /// Of each test result that both have, user by user; none where the runs have other data.
    tests: Vec<Test>,
}

#[derive(Serialize)]
struct Test {
    protocol: String,
    metric: String,
    k: u32,
    #[serde(flatten)]
    test: PairedTest,
}

pub(super) fn diff(output: &Output, store: &mut Store, [a, b]: [RunId; 2]) -> anyhow::Result<Exit> {
    let mut read = |run| anyhow::Ok((store.show_run(run)?, store.ranks(run)?));
    let (a, b) = (read(a)?, read(b)?);
    let difference = Difference::new((&a.0, &a.1), (&b.0, &b.1));
    let compared = Compared {
        tests: tests(&difference, &a, &b),
        difference,
    };
    output.show(&compared, || text(&compared))
}

/// Tests the second run against the first, on the users of the test split.
fn tests(
    difference: &Difference,
    a: &(RunDetails, Vec<RankList>),
    b: &(RunDetails, Vec<RankList>),
) -> Vec<Test> {
    // Without these pairs the users are others.
    let paired = |pair: &&ResultPair| {
        let own = (&pair.split, &pair.protocol);
        let mut ranks = difference.ranks.iter();
        shown(pair) && ranks.any(|ranks| (&ranks.split, &ranks.protocol) == own)
    };
    let test = |pair: &ResultPair| {
        let of_metric = pair.metric.parse::<Metric>().ok()?.of_rank()?;
        let values = |lists: &[RankList]| -> Option<Vec<f64>> {
            let own = (&pair.split, &pair.protocol);
            let list = lists
                .iter()
                .find(|list| (&list.split, &list.protocol) == own)?;
            let value = |(_, ranks)| genair_eval::value_of_ranks(of_metric, ranks, pair.k);
            Some(list.by_user().map(value).collect())
        };
        // Too few users for a test have none.
        let test = paired_t_test(&values(&b.1)?, &values(&a.1)?).ok()?;
        Some(Test {
            protocol: pair.protocol.clone(),
            metric: pair.metric.clone(),
            k: pair.k,
            test,
        })
    };
    let pairs = difference.results.iter().filter(paired);
    pairs.filter_map(test).collect()
}

fn shown(pair: &ResultPair) -> bool {
    pair.split == "test" && pair.cohort == "all"
}

fn text(compared: &Compared) -> String {
    let difference = &compared.difference;
    let runs = difference.runs.each_ref();
    let [a, b] = runs.map(|run| format!("run {}", run.run_id));
    let mut parts = results(compared, &a, &b);
    let part = |title: &str, pairs: &[Differing]| {
        if pairs.is_empty() {
            return format!("{title}: the same");
        }
        let row = |pair: &Differing| [pair.key.clone(), cell(&pair.a), cell(&pair.b)];
        table(&[title, &a, &b], &[], pairs.iter().map(row))
    };
    parts.extend([
        part("spec", &difference.spec),
        part("provenance", &difference.provenance),
        part("course", &difference.course),
    ]);
    if !difference.ranks.is_empty() {
        let rows = difference.ranks.iter().map(|pair| {
            let counts = [pair.a_better, pair.b_better, pair.equal];
            [pair.split.clone(), pair.protocol.clone()]
                .into_iter()
                .chain(counts.map(|count| count.to_string()))
        });
        let (a, b) = (format!("{a} higher"), format!("{b} higher"));
        let headers = ["ranks", "protocol", &a, &b, "equal"];
        parts.push(table(&headers, &headers[2..], rows));
    }
    parts.join("\n\n")
}

/// The metrics of both, how they differ, and whether that may be luck.
fn results(compared: &Compared, a: &str, b: &str) -> Vec<String> {
    let difference = &compared.difference;
    let rows = difference.results.iter().filter(|pair| shown(pair));
    let rows: Vec<[String; 7]> = rows
        .map(|pair| {
            let test = compared.tests.iter().find(|test| {
                (&test.protocol, &test.metric, test.k) == (&pair.protocol, &pair.metric, pair.k)
            });
            let interval = test.map(|test| {
                let [low, high] = test.test.interval;
                format!("{low:+.4} to {high:+.4}")
            });
            [
                pair.protocol.clone(),
                format!("{}@{}", pair.metric, pair.k),
                metric(pair.a),
                metric(pair.b),
                pair.difference
                    .map(|difference| format!("{difference:+.4}"))
                    .unwrap_or_default(),
                interval.unwrap_or_default(),
                test.map(|test| p_value(test.test.p)).unwrap_or_default(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return vec!["no test results to compare".to_owned()];
    }
    let headers = [
        "test, all users",
        "metric",
        a,
        b,
        "difference",
        "95 % interval",
        "p",
    ];
    let mut parts = vec![table(&headers, &headers[2..], rows)];
    parts.push(if difference.same_results() {
        "The results are the same, bit for bit.".to_owned()
    } else if compared.tests.is_empty() {
        "There is no paired test: the runs share no users, since their sequences differ, or no ranks are stored."
            .to_owned()
    } else {
        format!(
            "difference: {b} minus {a}; interval and p: paired t-test over {} users, not corrected for the number of tests",
            compared.tests[0].test.n
        )
    });
    parts
}

/// A p value in as many digits as it is worth.
fn p_value(p: f64) -> String {
    match p {
        ..0.0001 => "< 0.0001".to_owned(),
        p => format!("{p:.4}"),
    }
}
