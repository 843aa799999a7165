//! The leaderboard for people: one line per configuration, mean and deviation over its seeds.

use std::collections::{BTreeMap, HashMap};

use genair_eval::{Metric, Protocol};
use genair_store::LeaderboardMean;
use serde::Serialize;

use crate::output::table;

/// One configuration's results over its seeds.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Standing {
    sweep: String,
    dataset: String,
    backbone: String,
    representation: String,
    variant: String,
    seeds: u64,
    scores: Vec<Score>,
}

/// One metric over the seeds.
#[derive(Debug, PartialEq, Serialize)]
struct Score {
    protocol: Protocol,
    metric: Metric,
    k: u32,
    mean: f64,
    /// Of the sample; none for a single seed.
    std: Option<f64>,
}

/// The representation that others are compared with.
const ID: &str = "id";

/// The cut-off of the text form.
pub(crate) const CUT: u32 = 10;

/// Columns of the text form.
const COLUMNS: [(&str, Protocol, Metric); 4] = [
    ("NDCG@10", Protocol::Full, Metric::Ndcg),
    ("HR@10", Protocol::Full, Metric::Hr),
    ("NDCG@10 of 100", Protocol::Sampled100, Metric::Ndcg),
    ("HR@10 of 100", Protocol::Sampled100, Metric::Hr),
];

/// Groups rows of one split and cohort, which come configuration by configuration; best full NDCG@10 of a
/// dataset first.
pub(crate) fn standings(rows: Vec<LeaderboardMean>) -> Vec<Standing> {
    let mut standings: Vec<Standing> = Vec::new();
    for row in rows {
        let score = Score {
            protocol: row.protocol,
            metric: row.metric,
            k: row.k,
            mean: row.mean,
            std: row.std,
        };
        match standings.last_mut() {
            Some(last) if last.is_of(&row) => {
                last.seeds = last.seeds.max(row.n);
                last.scores.push(score);
            }
            _ => standings.push(Standing {
                sweep: row.sweep,
                dataset: row.dataset,
                backbone: row.backbone,
                representation: row.representation,
                variant: row.variant,
                seeds: row.n,
                scores: vec![score],
            }),
        }
    }
    standings.sort_by(|a, b| {
        let best_first = b
            .mean(Protocol::Full, Metric::Ndcg)
            .total_cmp(&a.mean(Protocol::Full, Metric::Ndcg));
        (&a.sweep, &a.dataset)
            .cmp(&(&b.sweep, &b.dataset))
            .then(best_first)
            .then_with(|| a.labels().cmp(&b.labels()))
    });
    standings
}

impl Standing {
    /// The values of its axes, as in `dropout=0.2`.
    fn axes(&self) -> impl Iterator<Item = &str> {
        self.variant.split(',').filter(|axis| !axis.is_empty())
    }

    fn is_of(&self, row: &LeaderboardMean) -> bool {
        self.variant == row.variant
            && self.representation == row.representation
            && self.backbone == row.backbone
            && self.dataset == row.dataset
            && self.sweep == row.sweep
    }

    fn labels(&self) -> (&str, &str, &str) {
        (&self.backbone, &self.representation, &self.variant)
    }

    /// What it must share with its baseline.
    fn place(&self) -> (&str, &str, &str) {
        (&self.sweep, &self.dataset, &self.backbone)
    }

    fn at_10(&self, protocol: Protocol, metric: Metric) -> Option<&Score> {
        self.scores
            .iter()
            .find(|score| (score.protocol, score.metric, score.k) == (protocol, metric, CUT))
    }

    fn mean(&self, protocol: Protocol, metric: Metric) -> f64 {
        self.at_10(protocol, metric)
            .map_or(f64::NEG_INFINITY, |score| score.mean)
    }
}

/// The standings as a table.
pub(crate) fn text(standings: &[Standing]) -> String {
    if standings.is_empty() {
        return "no finished runs".to_owned();
    }
    let mut headers = vec!["dataset", "backbone", "representation", "variant", "seeds"];
    headers.extend(COLUMNS.map(|(name, ..)| name));
    let several_sweeps = standings
        .iter()
        .any(|standing| standing.sweep != standings[0].sweep);
    if several_sweeps {
        headers.insert(0, "sweep");
    }
    let rows = standings.iter().map(|standing| {
        let names = [
            &standing.dataset,
            &standing.backbone,
            &standing.representation,
            &standing.variant,
        ]
        .map(Clone::clone);
        let scores = COLUMNS.map(
            |(_, protocol, metric)| match standing.at_10(protocol, metric) {
                Some(Score {
                    mean,
                    std: Some(std),
                    ..
                }) => format!("{mean:.4} ± {std:.4}"),
                Some(Score { mean, .. }) => format!("{mean:.4}"),
                None => String::new(),
            },
        );
        let sweep = several_sweeps.then(|| standing.sweep.clone());
        sweep
            .into_iter()
            .chain(names)
            .chain([standing.seeds.to_string()])
            .chain(scores)
            .collect::<Vec<_>>()
    });
    let right = [
        "seeds",
        COLUMNS[0].0,
        COLUMNS[1].0,
        COLUMNS[2].0,
        COLUMNS[3].0,
    ];
    let table = table(&headers, &right, rows);
    let differences = differences(standings)
        .map(|table| format!("\n\nMean difference from id over datasets and backbones:\n{table}"))
        .unwrap_or_default();
    format!(
        "{table}\n\nTest split, all users; \"of 100\": against 100 sampled negatives, otherwise among all items.\
         {differences}"
    )
}

/// Each representation against `id`, paired by sweep, dataset, backbone and the other axes; none where
/// there is nothing to compare.
fn differences(standings: &[Standing]) -> Option<String> {
    let mut baselines: HashMap<_, Vec<&Standing>> = HashMap::new();
    for standing in standings.iter().filter(|own| own.representation == ID) {
        baselines
            .entry(standing.place())
            .or_default()
            .push(standing);
    }
    let mut pairs: BTreeMap<String, Vec<(&Standing, &Standing)>> = BTreeMap::new();
    for standing in standings.iter().filter(|own| own.representation != ID) {
        let mut own: Vec<&str> = standing.axes().collect();
        // The `id` with no axis that this one lacks.
        let alike = baselines.get(&standing.place()).into_iter().flatten();
        let mut fitting = alike.filter(|other| other.axes().all(|axis| own.contains(&axis)));
        let Some(&baseline) = fitting.next() else {
            continue;
        };
        // What is left are the axes of the representation alone.
        own.retain(|axis| !baseline.axes().any(|shared| shared == *axis));
        let label = [&[standing.representation.as_str()][..], &own]
            .concat()
            .join(" ");
        pairs.entry(label).or_default().push((standing, baseline));
    }
    let mut headers = vec!["representation", "pairs"];
    headers.extend(COLUMNS.map(|(name, ..)| name));
    let rows = pairs.iter().map(|(label, pairs)| {
        let mut row = vec![label.clone(), pairs.len().to_string()];
        row.extend(COLUMNS.map(|(_, protocol, metric)| {
            let values = pairs.iter().filter_map(|(own, baseline)| {
                let own = own.at_10(protocol, metric)?;
                Some(own.mean - baseline.at_10(protocol, metric)?.mean)
            });
            let values: Vec<f64> = values.collect();
            if values.is_empty() {
                return String::new();
            }
            format!("{:+.4}", values.iter().sum::<f64>() / values.len() as f64)
        }));
        row
    });
    let rows: Vec<_> = rows.collect();
    (!rows.is_empty()).then(|| table(&headers, &headers[1..], rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(backbone: &str, mean: f64, std: Option<f64>, n: u64) -> LeaderboardMean {
        LeaderboardMean {
            sweep: "s".to_owned(),
            dataset: "d".to_owned(),
            backbone: backbone.to_owned(),
            representation: "id".to_owned(),
            variant: String::new(),
            protocol: Protocol::Full,
            metric: Metric::Ndcg,
            k: 10,
            mean,
            std,
            n,
        }
    }

    #[test]
    fn representations_are_compared_with_id_pair_by_pair() {
        let of = |backbone: &str, representation: &str, variant: &str, value| LeaderboardMean {
            representation: representation.to_owned(),
            variant: variant.to_owned(),
            ..row(backbone, value, None, 1)
        };
        let rows = vec![
            of("a", "id", "lr=1", 0.1),
            of("a", "genair", "lr=1,part=both", 0.15),
            of("b", "id", "lr=1", 0.2),
            of("b", "genair", "lr=1,part=both", 0.23),
            of("c", "genair", "lr=2,part=both", 0.9), // There is no such id.
        ];
        insta::assert_snapshot!(differences(&standings(rows)).unwrap(), @r#"
        representation    pairs  NDCG@10  HR@10  NDCG@10 of 100  HR@10 of 100
        genair part=both      2  +0.0400      -               -             -
        "#);
        assert_eq!(differences(&standings(vec![row("a", 0.1, None, 1)])), None);
    }

    #[test]
    fn the_best_comes_first() {
        let rows = vec![row("a", 0.1, None, 1), row("b", 0.3, Some(0.1), 3)];
        insta::assert_snapshot!(text(&standings(rows)), @r#"
        dataset  backbone  representation  variant  seeds          NDCG@10  HR@10  NDCG@10 of 100  HR@10 of 100
        d        b         id              -            3  0.3000 ± 0.1000      -               -             -
        d        a         id              -            1           0.1000      -               -             -

        Test split, all users; "of 100": against 100 sampled negatives, otherwise among all items.
        "#);
    }
}
