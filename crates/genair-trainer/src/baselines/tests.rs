//! Scores against those of other programs (tests/oracles/baselines/make.py).

use genair_data::{Interaction, Interactions};
use genair_protocol::{ContentKnnSpec, DatasetSpec, ItemKnnSpec, Pooling, SessionKnnSpec, Split};
use serde::Deserialize;
use tch::Tensor;

use super::*;
use crate::evaluation::inputs_of;

#[derive(Deserialize)]
struct Oracle {
    sequences: Vec<Vec<usize>>,
    vectors: Vec<Vec<f32>>,
    neighbours: u32,
    popularity: Vec<f32>,
    item_knn: Vec<Vec<f32>>,
    session_knn: Vec<Vec<f32>>,
    content_knn: Pooled,
}

#[derive(Deserialize)]
struct Pooled {
    last: Vec<Vec<f32>>,
    mean: Vec<Vec<f32>>,
    max: Vec<Vec<f32>>,
}

fn oracle() -> (Oracle, Dataset) {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/baselines.json"
    );
    let oracle: Oracle = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut interactions = Interactions::default();
    for (user, items) in oracle.sequences.iter().enumerate() {
        let user = interactions.users.insert_full(user.to_string()).0 as u32;
        for (time, item) in items.iter().enumerate() {
            let item = interactions.items.insert_full(item.to_string()).0 as u32;
            interactions.rows.push(Interaction {
                user,
                item,
                time: time as f64,
            });
        }
    }
    let dataset = Dataset::new(interactions, &DatasetSpec::default()).unwrap();
    (oracle, dataset)
}

/// The scores of all users on the test split by the oracle's numbers of items.
fn scores(scorer: &dyn Scorer, dataset: &Dataset) -> Vec<Vec<f32>> {
    let mut scores = Vec::new();
    let inputs = inputs_of(&dataset.cases(Split::Test).collect::<Vec<_>>());
    scorer.score(&inputs, &mut scores).unwrap();
    let rows = scores.chunks_exact(dataset.num_items() + 1);
    rows.map(|row| {
        let mut own = vec![0.0; dataset.num_items()];
        for item in dataset.items() {
            own[dataset.raw_item(item).parse::<usize>().unwrap()] = row[item.row()];
        }
        own
    })
    .collect()
}

fn assert_near(found: &[Vec<f32>], expected: &[Vec<f32>]) {
    assert_eq!(found.len(), expected.len());
    for (user, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len());
        for (item, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!(
                (found - expected).abs() < 1e-5,
                "user {user}, item {item}: {found}, not {expected}"
            );
        }
    }
}

#[test]
fn popularity_is_that_of_rectools() {
    let (oracle, dataset) = oracle();
    let all = Popularity::new(&dataset, PopularitySpec::default()).unwrap();
    let found = scores(&all, &dataset);
    assert_near(&found, &vec![oracle.popularity; dataset.num_users()]);
}

/// The users of the oracle have times from 0, which are taken for seconds.
#[test]
fn recent_popularity_counts_the_last_days() {
    let mut interactions = Interactions::default();
    let day = 86_400.0;
    // Item `a` is old, `b` and `c` are recent; the last two rows of a user are held out.
    for (user, rows) in [
        [("a", 0.0), ("a", 1.0), ("b", 9.0), ("a", 10.0), ("c", 11.0)],
        [("a", 0.5), ("c", 5.0), ("b", 9.9), ("a", 10.0), ("b", 11.0)],
    ]
    .iter()
    .enumerate()
    {
        interactions.users.insert(user.to_string());
        for (item, time) in rows {
            let item = interactions.items.insert_full((*item).to_owned()).0 as u32;
            interactions.rows.push(Interaction {
                user: user as u32,
                item,
                time: time * day,
            });
        }
    }
    let dataset = Dataset::new(interactions, &DatasetSpec::default()).unwrap();
    let score = |days, raw: &str| {
        let scorer = Popularity::new(&dataset, PopularitySpec { days }).unwrap();
        let item = dataset.items().find(|&item| dataset.raw_item(item) == raw);
        scorer.scores[item.unwrap().row()]
    };
    assert_eq!(
        ["a", "b", "c"].map(|item| score(None, item)),
        [3.0, 2.0, 1.0]
    );
    let order = |days| {
        let mut items = ["a", "b", "c"];
        items.sort_by(|a, b| score(Some(days), b).total_cmp(&score(Some(days), a)));
        items
    };
    // Counts 0, 2, 0: of `a` and `c`, all interactions decide. Then 0, 2, 1, then all.
    assert_eq!(order(1), ["b", "a", "c"]);
    assert_eq!(order(5), ["b", "c", "a"]);
    assert_eq!(order(400), ["a", "b", "c"]);
}

#[test]
fn item_knn_is_that_of_implicit() {
    let (oracle, dataset) = oracle();
    let neighbours = oracle.neighbours;
    let scorer = ItemKnn::new(&dataset, ItemKnnSpec { neighbours });
    assert_near(&scores(&scorer, &dataset), &oracle.item_knn);
}

#[test]
fn session_knn_is_that_of_session_rec() {
    let (oracle, dataset) = oracle();
    let neighbours = oracle.neighbours;
    let scorer = SessionKnn::new(&dataset, SessionKnnSpec { neighbours });
    assert_near(&scores(&scorer, &dataset), &oracle.session_knn);
}

#[test]
fn content_knn_is_that_of_numpy() {
    let (oracle, dataset) = oracle();
    let width = oracle.vectors[0].len();
    let mut rows = vec![0.0; width];
    for item in dataset.items() {
        let raw: usize = dataset.raw_item(item).parse().unwrap();
        rows.extend_from_slice(&oracle.vectors[raw]);
    }
    let rows = Tensor::from_slice(&rows).view([-1, width as i64]);
    for (pooling, expected) in [
        (Pooling::Last, &oracle.content_knn.last),
        (Pooling::Mean, &oracle.content_knn.mean),
        (Pooling::Max, &oracle.content_knn.max),
    ] {
        let scorer = ContentKnn::new(&dataset, &rows, pooling).unwrap();
        assert_near(&scores(&scorer, &dataset), expected);
    }
}

#[test]
fn a_random_order_is_that_of_its_seed_and_user() {
    let (_, dataset) = oracle();
    let of_seed = |seed| {
        let scorer = scorer(Baseline::Random, seed, &dataset, None).unwrap();
        scores(&*scorer, &dataset)
    };
    let own = of_seed(1);
    assert_eq!(own, of_seed(1));
    assert_ne!(own, of_seed(2));
    assert_ne!(own[0], own[1]);
    let settings = ContentKnnSpec::default();
    let without = scorer(Baseline::ContentKnn(settings), 1, &dataset, None);
    assert!(matches!(without, Err(RunErrorKind::MissingInput { .. })));
}
