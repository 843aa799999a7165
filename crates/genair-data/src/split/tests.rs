//! What splits leave for training, and what they hold out.

use std::collections::BTreeSet;

use genair_protocol::{DatasetKind, DatasetSpec, Split, SplitSpec};
use proptest::prelude::*;

use crate::interactions::{Interaction, Interactions, OrderedBy};
use crate::{Case, DataError, Dataset, ItemId, LeftOut};

type Row = (u32, u32, u32);

fn interactions(rows: &[Row]) -> Interactions {
    let mut result = Interactions::default();
    for &(user, item, time) in rows {
        let user = result.users.insert_full(format!("u{user}")).0 as u32;
        let item = result.items.insert_full(format!("i{item}")).0 as u32;
        let time = f64::from(time);
        result.rows.push(Interaction { user, item, time });
    }
    result
}

fn spec(split: &str) -> DatasetSpec {
    let split: SplitSpec = toml::from_str(split).unwrap();
    let spec = DatasetSpec {
        kind: DatasetKind::Synthetic,
        split,
        ..DatasetSpec::default()
    };
    assert_eq!(spec.validate(), []);
    spec
}

fn dataset(rows: &[Row], split: &str) -> Result<Dataset, DataError> {
    Dataset::new(interactions(rows), &spec(split))
}

fn raw(dataset: &Dataset, items: &[ItemId]) -> Vec<String> {
    let names = items.iter().map(|&item| dataset.raw_item(item).to_owned());
    names.collect()
}

/// `u1: i1 i2 > i3` for each case of a split.
fn shown(dataset: &Dataset, split: Split) -> Vec<String> {
    let case = |case: Case<'_>| {
        let (input, targets) = (raw(dataset, case.input), raw(dataset, case.targets));
        let user = dataset.raw_user(case.user);
        format!("{user}: {} > {}", input.join(" "), targets.join(" "))
    };
    dataset.cases(split).map(case).collect()
}

/// Times 1 to 20. User 1 is there throughout, 2 at the beginning, 3 at the end, 4 in the middle.
const LOG: [Row; 18] = [
    (1, 1, 1),
    (1, 2, 3),
    (1, 3, 9),
    (1, 4, 11),
    (1, 5, 15),
    (1, 4, 17),
    (1, 1, 19),
    (2, 2, 2),
    (2, 1, 4),
    (2, 6, 6),
    (2, 3, 10),
    (3, 1, 16),
    (3, 7, 18),
    (3, 2, 20),
    (4, 3, 5),
    (4, 2, 7),
    (4, 8, 12),
    (4, 1, 14),
];

#[test]
fn a_time_split_holds_out_what_lies_after_its_boundaries() {
    // numpy.quantile of the times and .6 is 12.4, that of the times up to it and .7 is 9.
    let split = |target: &str| {
        let split = format!(
            "kind = \"time\"\nquantile = 0.6\ntarget = \"{target}\"\nvalidation = {{ quantile = 0.7 }}"
        );
        dataset(&LOG, &split).unwrap()
    };
    let first = split("first");
    let boundary = first.statistics().test.boundary.unwrap();
    assert!((boundary - 12.4).abs() < 1e-9, "{boundary}");
    assert_eq!(first.statistics().valid.boundary, Some(9.0));
    let train: Vec<String> = (0..4)
        .map(|user| raw(&first, first.train(user)).join(" "))
        .collect();
    assert_eq!(train, ["i1 i2 i3", "i2 i1 i6", "", "i3 i2"]);
    // Items 4 and 8 are new in validation, 5 and 7 in the test.
    assert_eq!((first.num_items(), first.num_warm_items()), (8, 4));
    assert_eq!(first.cold_items(Split::Valid), 5..7);
    assert_eq!(first.cold_items(Split::Test), 5..9);
    assert_eq!(
        (first.outside(Split::Valid), first.outside(Split::Test)),
        (7..9, 9..9)
    );
    // Models see no cold item.
    assert_eq!(
        shown(&first, Split::Valid),
        ["u1: i1 i2 i3 > i4", "u2: i2 i1 i6 > i3", "u4: i3 i2 > i8"]
    );
    assert_eq!(
        shown(&first, Split::Test),
        ["u1: i1 i2 i3 > i5", "u4: i3 i2 > i1"]
    );
    let left_out = LeftOut {
        without_target: 1,
        without_input: 1,
        cold_elsewhere: 0,
    };
    assert_eq!(first.statistics().test.left_out, left_out, "u2, u3");
    let last = split("last");
    assert_eq!(shown(&last, Split::Valid), shown(&first, Split::Valid));
    assert_eq!(
        shown(&last, Split::Test),
        ["u1: i1 i2 i3 > i1", "u3: i1 > i2", "u4: i3 i2 > i1"]
    );
    let all = split("all");
    assert_eq!(shown(&all, Split::Valid), shown(&first, Split::Valid));
    assert_eq!(
        shown(&all, Split::Test),
        ["u1: i1 i2 i3 > i5 i4 i1", "u4: i3 i2 > i1"]
    );
    let random = shown(&split("random"), Split::Test);
    assert_eq!(random, shown(&split("random"), Split::Test));
    assert_eq!(all.statistics().test.targets, 4);
    assert_eq!(all.statistics().test.targets_not_in_train, 2, "i5, i4");
}

#[test]
fn kept_cold_items_are_seen_and_the_last_training_item_validates() {
    let split = "kind = \"time\"\nquantile = 0.6\ncold_in_history = \"keep\"\nvalidation = { by = \"last-item\" }";
    let dataset = dataset(&LOG, split).unwrap();
    assert_eq!(
        shown(&dataset, Split::Valid),
        ["u1: i1 i2 i3 > i4", "u2: i2 i1 i6 > i3", "u4: i3 i2 > i8"]
    );
    assert_eq!(
        shown(&dataset, Split::Test),
        [
            "u1: i1 i2 i3 i4 i5 i4 > i1",
            "u3: i1 i7 > i2",
            "u4: i3 i2 i8 > i1"
        ]
    );
}

/// 40 users over 50 items, 12 interactions each.
fn larger() -> Vec<Row> {
    let row = |at: u32| {
        let (user, step) = (at / 12, at % 12);
        let item = (user * 7 + step * step * 3 + step) % 50;
        (user, item, 1_000 + step * 40 + user)
    };
    (0..480).map(row).collect()
}

#[test]
fn cold_items_are_drawn_alike_from_every_popularity() {
    let drawn = |seed: u32| {
        let split = format!("cold_items = {{ share = 0.2, validation = 0.1, seed = {seed} }}");
        dataset(&larger(), &split).unwrap()
    };
    let plain = dataset(&larger(), "").unwrap();
    let in_training = plain
        .train_popularity()
        .iter()
        .filter(|&&count| count > 0)
        .count();
    let (one, other) = (drawn(1), drawn(2));
    let cold = |dataset: &Dataset, split| -> BTreeSet<String> {
        let items: Vec<ItemId> = dataset.cold_items(split).map(ItemId::new).collect();
        raw(dataset, &items).into_iter().collect()
    };
    let never_trained = plain.statistics().items_not_in_train as usize;
    let share = |share: f64| (share * in_training as f64).round() as usize;
    assert_eq!(cold(&one, Split::Test).len(), share(0.2) + never_trained);
    assert_eq!(cold(&one, Split::Valid).len(), share(0.1));
    assert!(cold(&one, Split::Valid).is_disjoint(&cold(&one, Split::Test)));
    assert_eq!(cold(&one, Split::Test), cold(&drawn(1), Split::Test));
    assert_ne!(cold(&one, Split::Test), cold(&other, Split::Test));
    // By popularity: the drawn items are as popular as all.
    let count = |dataset: &Dataset, name: &str| {
        let item = dataset.items().find(|&item| dataset.raw_item(item) == name);
        f64::from(plain.train_popularity()[item.unwrap().row()])
    };
    let plain_mean = 400.0 / in_training as f64;
    let names: Vec<String> = cold(&one, Split::Test).into_iter().collect();
    let mean = names.iter().map(|name| count(&plain, name)).sum::<f64>() / share(0.2) as f64;
    assert!(
        (mean / plain_mean - 1.0).abs() < 0.25,
        "{mean} against {plain_mean}"
    );
}

#[test]
fn the_newest_items_are_those_that_came_last() {
    let split = "cold_items = { share = 0.2, by = \"newest\" }";
    let cold = dataset(&larger(), split).unwrap();
    let mut first = [u32::MAX; 50];
    for (_, item, time) in larger() {
        first[item as usize] = first[item as usize].min(time);
    }
    let time = |item: ItemId| {
        let number: usize = cold.raw_item(item)[1..].parse().unwrap();
        first[number]
    };
    let drawn = cold.items().filter(|&item| cold.is_cold(item));
    let oldest_cold = drawn.map(time).min();
    let newest_warm = cold.warm_items().map(time).max();
    assert!(
        newest_warm <= oldest_cold,
        "{newest_warm:?} {oldest_cold:?}"
    );
}

#[test]
fn a_split_that_does_not_fit_the_data_is_refused() {
    let time = "kind = \"time\"\nquantile = 0.6";
    for ordered_by in [OrderedBy::FileOrder, OrderedBy::Position] {
        for split in [time, "cold_items = { share = 0.1, by = \"newest\" }"] {
            let mut rows = interactions(&LOG);
            rows.ordered_by = ordered_by;
            let refused = Dataset::new(rows, &spec(split));
            assert!(matches!(refused, Err(DataError::NoTimes { .. })), "{split}");
        }
    }
    let late = dataset(&LOG, "kind = \"time\"\ndate = \"2030-01-01\"").unwrap_err();
    let said = late.to_string();
    let expected =
        "the split leaves no test target of 4 users (4 have no interaction there); change `split`";
    assert_eq!(said, expected);
    let early = dataset(
        &LOG,
        "kind = \"time\"\ndate = \"1960-01-01\"\nvalidation = { date = \"1950-01-01\" }",
    );
    let said = early.unwrap_err().to_string();
    assert!(
        said.starts_with("the split leaves no training interaction of 4 users"),
        "{said}"
    );
}

#[test]
fn the_hash_covers_the_split() {
    let hash = |split: &str| dataset(&larger(), split).unwrap().sequences_sha256();
    let splits = [
        "",
        "cold_items = { share = 0.2 }",
        "cold_items = { share = 0.2, seed = 2 }",
        "cold_items = { share = 0.2 }\ncold_in_history = \"keep\"",
        "kind = \"time\"\nquantile = 0.7",
        "kind = \"time\"\nquantile = 0.8",
        "kind = \"time\"\nquantile = 0.8\ntarget = \"first\"",
        "kind = \"time\"\nquantile = 0.8\nvalidation = { by = \"last-item\" }",
    ];
    let hashes: BTreeSet<String> = splits.iter().map(|split| hash(split)).collect();
    assert_eq!(hashes.len(), splits.len());
    assert_eq!(hash(""), hash("kind = \"leave-one-out\""));
}

#[test]
fn a_prepared_file_has_the_split() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.json");
    for split in [
        "",
        "cold_items = { share = 0.2, validation = 0.1 }",
        "kind = \"time\"\nquantile = 0.7\ntarget = \"all\"",
    ] {
        let made = dataset(&larger(), split).unwrap();
        made.write_prepared(&path).unwrap();
        let read = Dataset::read_prepared(&path, &spec(split)).unwrap();
        assert_eq!(read.statistics(), made.statistics(), "{split}");
        assert_eq!(read.sequences_sha256(), made.sequences_sha256());
        assert_eq!(read.train_popularity(), made.train_popularity());
        for part in [Split::Valid, Split::Test] {
            assert_eq!(shown(&read, part), shown(&made, part));
            assert_eq!(read.outside(part), made.outside(part));
            assert_eq!(read.cold_items(part), made.cold_items(part));
        }
    }
}

const SPLITS: [&str; 8] = [
    "",
    "cold_items = { share = 0.3 }",
    "cold_items = { share = 0.2, validation = 0.2 }\ncold_in_history = \"keep\"",
    "cold_items = { share = 0.2, by = \"newest\", validation = 0.1 }",
    "kind = \"time\"\nquantile = 0.8",
    "kind = \"time\"\nquantile = 0.6\ntarget = \"first\"\ncold_in_history = \"keep\"",
    "kind = \"time\"\nquantile = 0.7\ntarget = \"random\"",
    "kind = \"time\"\nquantile = 0.7\ntarget = \"all\"\nvalidation = { by = \"last-item\" }",
];

fn rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((0_u32..8, 0_u32..12, 0_u32..40), 12..120)
}

proptest! {
    #[test]
    fn training_sees_nothing_that_is_held_out_or_cold(rows in rows(), split in 0..SPLITS.len()) {
        let Ok(dataset) = dataset(&rows, SPLITS[split]) else { return Ok(()) };
        let spec = &spec(SPLITS[split]).split;
        let mut popularity = vec![0; dataset.num_items() + 1];
        for user in 0..dataset.num_users() {
            let train = dataset.train(user);
            for item in train {
                prop_assert!(!dataset.is_cold(*item));
                popularity[item.row()] += 1;
            }
            let warm: Vec<ItemId> = dataset.sequence(user).iter().copied().filter(|&item| !dataset.is_cold(item)).collect();
            prop_assert!(warm.starts_with(train));
            for part in [Split::Valid, Split::Test] {
                let Some(case) = dataset.case_of(user, part) else { continue };
                prop_assert!(!case.input.is_empty() && !case.targets.is_empty());
                // The input is what lies before the first target, and training is part of it.
                prop_assert!(case.input.len() >= train.len());
                let first = case.targets[0];
                let seen: Vec<ItemId> = case.input.iter().copied().filter(|&item| !dataset.is_cold(item)).collect();
                prop_assert!(warm.starts_with(&seen));
                if !dataset.is_cold(first) {
                    prop_assert!(warm[seen.len()..].contains(&first));
                }
                for target in case.targets {
                    prop_assert!(!dataset.outside(part).contains(&target.get()));
                    prop_assert_eq!(dataset.cold_items(part).contains(&target.get()), dataset.is_cold(*target));
                }
                let distinct: BTreeSet<_> = case.targets.iter().collect();
                prop_assert_eq!(distinct.len(), case.targets.len());
            }
        }
        prop_assert_eq!(dataset.train_popularity(), &popularity[..]);
        if dataset.has_cold_items() {
            let all_warm_are_trained = popularity[1..=dataset.num_warm_items()].iter().all(|&count| count > 0);
            prop_assert!(all_warm_are_trained);
        } else {
            prop_assert_eq!(dataset.num_warm_items(), dataset.num_items());
        }
        for part in [Split::Valid, Split::Test] {
            let out = dataset.cases_of(part).left_out;
            let left_out = out.without_target + out.without_input + out.cold_elsewhere;
            prop_assert_eq!(dataset.num_cases(part) as u64 + left_out, dataset.num_users() as u64);
        }
        prop_assert_eq!(spec.has_cold_items(), dataset.has_cold_items());
    }

    /// Other items after the boundary leave training as it is: nothing of them enters it.
    #[test]
    fn what_is_held_out_makes_no_difference_to_training(rows in rows(), split in 4..SPLITS.len()) {
        let Ok(one) = dataset(&rows, SPLITS[split]) else { return Ok(()) };
        let boundary = match one.statistics().valid.boundary {
            Some(boundary) => boundary,
            None => return Ok(()),
        };
        let changed: Vec<Row> = rows.iter().map(|&(user, item, time)| match f64::from(time) > boundary {
            true => (user, (item * 5 + 3) % 12, time),
            false => (user, item, time),
        }).collect();
        let Ok(other) = dataset(&changed, SPLITS[split]) else { return Ok(()) };
        for user in 0..one.num_users() {
            prop_assert_eq!(raw(&one, one.train(user)), raw(&other, other.train(user)));
        }
        prop_assert_eq!(one.num_warm_items(), other.num_warm_items());
    }
}
