//! The leaderboard for people: one line per configuration, mean and deviation over its seeds.

use std::collections::{BTreeMap, HashMap, HashSet};

use genair_protocol::{Axes, Cohort, Metric, Protocol, Split};
use genair_store::{LeaderboardMean, MeanFilter};
use itertools::Itertools;
use serde::Serialize;

use crate::output::table;
use selection::{SelectedBy, chosen};

mod selection;

pub(crate) use selection::keep_chosen;

/// One configuration's results over its seeds.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Standing {
    sweep: String,
    dataset: String,
    backbone: String,
    representation: String,
    /// The axes as they are shown.
    variant: String,
    axes: Axes,
    /// Hash of all that its runs share.
    configuration: String,
    /// What tells it from others of its labels, which only a merge leaves beside each other.
    differences: Option<String>,
    /// The axes, and what tells it from others of its labels.
    #[serde(skip)]
    apart: Axes,
    /// The same without axes whose values validation chose: what it must share with its baseline.
    #[serde(skip)]
    paired: Axes,
    seeds: u64,
    /// How validation chose it; none where it stands for itself alone.
    selected: Option<SelectedBy>,
    scores: Vec<Score>,
}

/// One metric over the seeds.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Score {
    protocol: Protocol,
    metric: Metric,
    k: u32,
    mean: f64,
    /// Of the sample; none for a single seed.
    std: Option<f64>,
}

/// The representation that others are compared with.
const ID: &str = "id";

/// A column of the text form.
type Column = (Protocol, Metric, u32);

/// The cut-off of the text form.
pub(crate) const CUT: u32 = 10;

/// Columns of the text form: by default both protocols, NDCG and HR at [`CUT`].
fn columns_of(shown: &MeanFilter) -> Vec<Column> {
    let protocols = shown
        .protocol
        .map_or(vec![Protocol::Full, Protocol::Sampled100], |own| vec![own]);
    let metrics = shown
        .metric
        .map_or(vec![Metric::Ndcg, Metric::Hr], |own| vec![own]);
    let k = shown.k.unwrap_or(CUT);
    let columns = protocols.into_iter().cartesian_product(metrics);
    columns
        .map(|(protocol, metric)| (protocol, metric, k))
        .collect()
}

/// [`columns_of`], and those among cold items where there are results of such.
fn columns_with_cold(standings: &[Standing], shown: &MeanFilter) -> Vec<Column> {
    let mut columns = columns_of(shown);
    let full = columns
        .iter()
        .filter(|(protocol, ..)| *protocol == Protocol::Full);
    let cold = full.map(|&(_, metric, k)| (Protocol::Cold, metric, k));
    let is_known = |column: &Column| standings.iter().any(|own| own.score(*column).is_some());
    let cold: Vec<Column> = cold.filter(is_known).collect();
    columns.extend(cold);
    columns
}

/// `NDCG@10`, or `NDCG@10 of 100` among sampled negatives.
pub(crate) fn title((protocol, metric, k): Column) -> String {
    let name = metric.title();
    let title = format!("{name}@{k} {}", protocol.suffix());
    title.trim_end().to_owned()
}

/// Groups rows of one split and cohort, which come configuration by configuration; best of a dataset first, by
/// the first column of the text form.
pub(crate) fn standings(rows: Vec<LeaderboardMean>, shown: &MeanFilter) -> Vec<Standing> {
    let first = columns_of(shown)[0];
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
                variant: row.axes.to_string(),
                apart: row.axes.and(row.differences.as_ref()),
                paired: row.axes.and(row.differences.as_ref()),
                selected: None,
                axes: row.axes,
                configuration: row.configuration,
                differences: row.differences.map(|axes| axes.to_string()),
                seeds: row.n,
                scores: vec![score],
            }),
        }
    }
    standings.sort_by(|a, b| {
        let best_first = b.mean(first).total_cmp(&a.mean(first));
        (&a.sweep, &a.dataset)
            .cmp(&(&b.sweep, &b.dataset))
            .then(best_first)
            .then_with(|| a.labels().cmp(&b.labels()))
            .then_with(|| {
                (&a.differences, &a.configuration).cmp(&(&b.differences, &b.configuration))
            })
    });
    standings
}

impl Standing {
    fn is_of(&self, row: &LeaderboardMean) -> bool {
        self.configuration == row.configuration
            && self.axes == row.axes
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

    fn score(&self, column: Column) -> Option<&Score> {
        self.scores
            .iter()
            .find(|score| (score.protocol, score.metric, score.k) == column)
    }

    fn mean(&self, column: Column) -> f64 {
        self.score(column)
            .map_or(f64::NEG_INFINITY, |score| score.mean)
    }
}

/// The standings as a table.
///
/// `few` has datasets whose samples are smaller than they should be: see [`genair_store::Store::fewest_negatives`].
pub(crate) fn text(standings: &[Standing], shown: &MeanFilter, few: &[(String, u64)]) -> String {
    if standings.is_empty() {
        return "no finished runs".to_owned();
    }
    let columns = columns_with_cold(standings, shown);
    let titles: Vec<String> = columns.iter().map(|&column| title(column)).collect();
    let mut headers = vec!["dataset", "backbone", "representation", "variant", "seeds"];
    headers.extend(titles.iter().map(String::as_str));
    let several_sweeps = !standings.iter().map(|own| &own.sweep).all_equal();
    if several_sweeps {
        headers.insert(0, "sweep");
    }
    let rows = standings.iter().map(|standing| {
        let (apart, own) = (standing.apart.to_string(), standing);
        let names = [&own.dataset, &own.backbone, &own.representation, &apart];
        let names = names.map(String::clone);
        let scores = columns.iter().map(|&column| match standing.score(column) {
            Some(score) => match score.std {
                Some(std) => format!("{:.4} ± {std:.4}", score.mean),
                None => format!("{:.4}", score.mean),
            },
            None => String::new(),
        });
        let sweep = several_sweeps.then(|| standing.sweep.clone()).into_iter();
        let seeds = [standing.seeds.to_string()];
        sweep.chain(names).chain(seeds).chain(scores).collect_vec()
    });
    let right = [&["seeds"][..], &headers[headers.len() - titles.len()..]].concat();
    let table = table(&headers, &right, rows);
    let differences = differences(standings, &columns)
        .map(|table| format!("\n\nMean difference from id over datasets and backbones:\n{table}"))
        .unwrap_or_default();
    let chosen = chosen(standings);
    let small = small_samples(standings, few);
    format!("{table}\n\n{}{small}{chosen}{differences}", caption(shown))
}

/// One result in words, such as `NDCG@10 among all items`.
pub(crate) fn result_name(of: &genair_store::Shown) -> String {
    let (metric, k) = (of.metric.title(), of.k);
    let candidates = of.protocol.in_words();
    match of.cohort {
        Cohort::All => format!("{metric}@{k} {candidates}"),
        cohort => format!("{metric}@{k} {candidates}, cohort {cohort}"),
    }
}

/// What was asked for, in the words of the options.
pub(crate) fn described(shown: &MeanFilter) -> String {
    let parts = [
        Some(format!("split {}", shown.split)),
        Some(format!("cohort {}", shown.cohort)),
        shown
            .protocol
            .map(|protocol| format!("protocol {protocol}")),
        shown.metric.map(|metric| format!("metric {metric}")),
        shown.k.map(|k| format!("k {k}")),
    ];
    parts.iter().flatten().join(", ")
}

/// What the numbers are of.
fn caption(shown: &MeanFilter) -> String {
    let split = match shown.split {
        Split::Test => "Test split",
        Split::Valid => "Validation split",
    };
    let users = match shown.cohort {
        Cohort::All => "all users".to_owned(),
        cohort => format!("cohort {cohort}"),
    };
    let candidates = match shown.protocol {
        None => "\"of 100\": against 100 sampled negatives, otherwise among all items",
        Some(protocol) => protocol.in_words(),
    };
    format!("{split}, {users}; {candidates}.")
}

/// Says of which datasets a sampled ranking that is shown has fewer negatives than its name says.
fn small_samples(standings: &[Standing], few: &[(String, u64)]) -> String {
    let is_sampled = |own: &&Standing| own.scores.iter().any(|own| own.protocol.sample().is_some());
    let shown: HashSet<&String> = standings
        .iter()
        .filter(is_sampled)
        .map(|own| &own.dataset)
        .collect();
    let few = few.iter().filter(|(dataset, _)| shown.contains(dataset));
    few.map(|(dataset, fewest)| {
        format!("\n`{dataset}` is too small for the sample: some users have {fewest} negatives.")
    })
    .collect()
}

/// One row for each score.
pub(crate) fn csv_rows(standings: &[Standing]) -> Vec<[String; COLUMNS.len()]> {
    let scores = standings
        .iter()
        .flat_map(|own| own.scores.iter().map(move |score| (own, score)));
    let row = |(own, score)| COLUMNS.map(|(_, cell)| cell(own, score));
    scores.map(row).collect()
}

/// A header and what it says of a configuration and its score.
type CsvColumn = (&'static str, fn(&Standing, &Score) -> String);

/// The columns of [`csv_rows`].
pub(crate) const COLUMNS: [CsvColumn; 15] = [
    ("sweep", |own, _| own.sweep.clone()),
    ("dataset", |own, _| own.dataset.clone()),
    ("backbone", |own, _| own.backbone.clone()),
    ("representation", |own, _| own.representation.clone()),
    ("variant", |own, _| own.variant.clone()),
    ("configuration", |own, _| own.configuration.clone()),
    ("differences", |own, _| {
        own.differences.clone().unwrap_or_default()
    }),
    ("seeds", |own, _| own.seeds.to_string()),
    ("protocol", |_, score| score.protocol.to_string()),
    ("metric", |_, score| score.metric.to_string()),
    ("k", |_, score| score.k.to_string()),
    ("mean", |_, score| score.mean.to_string()),
    ("std", |_, score| {
        score.std.map(|std| std.to_string()).unwrap_or_default()
    }),
    ("valid", |own, _| {
        let valid = own.selected.as_ref().and_then(|own| own.valid);
        valid.map(|valid| valid.to_string()).unwrap_or_default()
    }),
    ("left_out", |own, _| {
        let left_out = own.selected.as_ref().map(|own| own.left_out);
        left_out.unwrap_or_default().to_string()
    }),
];

/// Each representation against `id`, paired by sweep, dataset, backbone and the other axes; none where
/// there is nothing to compare.
fn differences(standings: &[Standing], columns: &[Column]) -> Option<String> {
    let mut baselines: HashMap<_, Vec<&Standing>> = HashMap::new();
    for own in standings.iter().filter(|own| own.representation == ID) {
        baselines.entry(own.place()).or_default().push(own);
    }
    let mut pairs: BTreeMap<String, Vec<(&Standing, &Standing)>> = BTreeMap::new();
    for standing in standings.iter().filter(|own| own.representation != ID) {
        let has = |of: &Standing, (axis, value): (&str, &str)| of.paired.get(axis) == Some(value);
        // The `id` with no axis that this one lacks.
        let alike = baselines.get(&standing.place()).into_iter().flatten();
        let mut fitting = alike.filter(|other| other.paired.iter().all(|axis| has(standing, axis)));
        let Some(&baseline) = fitting.next() else {
            continue;
        };
        // What is left are the axes of the representation alone.
        let own = standing.paired.iter().filter(|axis| !has(baseline, *axis));
        let own = own.map(|axis| Axes::from_iter([axis]).to_string());
        let label = [standing.representation.clone()]
            .into_iter()
            .chain(own)
            .join(" ");
        pairs.entry(label).or_default().push((standing, baseline));
    }
    let titles: Vec<String> = columns.iter().map(|&column| title(column)).collect();
    let mut headers = vec!["representation", "pairs"];
    headers.extend(titles.iter().map(String::as_str));
    let rows = pairs.iter().map(|(label, pairs)| {
        let mut row = vec![label.clone(), pairs.len().to_string()];
        row.extend(columns.iter().map(|&column| {
            let difference = |(own, base): &(&Standing, &Standing)| {
                Some(own.score(column)?.mean - base.score(column)?.mean)
            };
            let values: Vec<f64> = pairs.iter().filter_map(difference).collect();
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
            axes: Axes::default(),
            configuration: format!("{backbone} {n}"),
            differences: None,
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
        let of = |backbone: &str, representation: &str, axes: &[(&str, &str)], value| {
            let axes: Axes = axes.iter().copied().collect();
            LeaderboardMean {
                representation: representation.to_owned(),
                configuration: format!("{backbone} {representation} {axes}"),
                axes,
                ..row(backbone, value, None, 1)
            }
        };
        let (id, genair) = ([("lr", "1")], [("lr", "1"), ("part", "both")]);
        let rows = vec![
            of("a", "id", &id, 0.1),
            of("a", "genair", &genair, 0.15),
            of("b", "id", &id, 0.2),
            of("b", "genair", &genair, 0.23),
            of("c", "genair", &[("lr", "2"), ("part", "both")], 0.9), // There is no such id.
        ];
        let shown = MeanFilter::default();
        let compared = |rows| differences(&standings(rows, &shown), &columns_of(&shown));
        insta::assert_snapshot!(compared(rows).unwrap(), @r#"
        representation    pairs  NDCG@10  HR@10  NDCG@10 of 100  HR@10 of 100
        genair part=both      2  +0.0400      -               -             -
        "#);
        assert_eq!(compared(vec![row("a", 0.1, None, 1)]), None);
        // A value may hold what stands between axes.
        let (id, genair) = (
            [("q", "1,part=both")],
            [("q", "1,part=both"), ("part", "a\nb")],
        );
        let rows = vec![
            of("a", "id", &[("q", "1")], 0.7),
            of("a", "id", &id, 0.1),
            of("a", "genair", &genair, 0.15),
        ];
        insta::assert_snapshot!(compared(rows).unwrap(), @r#"
        representation      pairs  NDCG@10  HR@10  NDCG@10 of 100  HR@10 of 100
        genair part="a\nb"      1  +0.0500      -               -             -
        "#);
    }

    #[test]
    fn the_best_comes_first() {
        let rows = vec![row("a", 0.1, None, 1), row("b", 0.3, Some(0.1), 3)];
        let shown = MeanFilter::default();
        insta::assert_snapshot!(text(&standings(rows, &shown), &shown, &[]), @r#"
        dataset  backbone  representation  variant  seeds          NDCG@10  HR@10  NDCG@10 of 100  HR@10 of 100
        d        b         id              -            3  0.3000 ± 0.1000      -               -             -
        d        a         id              -            1           0.1000      -               -             -

        Test split, all users; "of 100": against 100 sampled negatives, otherwise among all items.
        "#);
    }
    #[test]
    fn configurations_of_one_label_stand_apart() {
        let of = |rate: &str, mean, n| LeaderboardMean {
            configuration: rate.to_owned(),
            differences: Some([("train.optimizer.lr", rate)].into_iter().collect()),
            ..row("a", mean, None, n)
        };
        let shown = MeanFilter {
            metric: Some(Metric::Ndcg),
            protocol: Some(Protocol::Full),
            split: Split::Valid,
            cohort: Cohort::TailItem,
            ..MeanFilter::default()
        };
        let standings = standings(vec![of("0.001", 0.1, 2), of("0.03", 0.3, 1)], &shown);
        insta::assert_snapshot!(text(&standings, &shown, &[]), @r#"
        dataset  backbone  representation  variant                   seeds  NDCG@10
        d        a         id              train.optimizer.lr=0.03       1   0.3000
        d        a         id              train.optimizer.lr=0.001      2   0.1000

        Validation split, cohort tail-item; among all items.
        "#);
    }
}
