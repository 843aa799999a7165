//! What holds of every ranking and every set of ranks.

use genair_eval::{Membership, RankedTarget, evaluate, rank, sampled_rank};
use genair_protocol::{Cohort, EvalSpec, Metric, MetricRow, RankMetric};
use proptest::prelude::*;

/// Few distinct values, so that ties are common.
fn scores() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec((-5_i8..5).prop_map(f32::from), 2..60)
}

fn users() -> impl Strategy<Value = Vec<(u32, Membership)>> {
    let membership =
        any::<(bool, bool, bool)>().prop_map(|(long_user, head_item, cold)| Membership {
            long_user,
            head_item,
            cold_item: Some(cold),
        });
    prop::collection::vec((0_u32..100, membership), 1..80)
}

fn measure(users: &[(u32, Membership)], k: Vec<u32>) -> Vec<MetricRow> {
    let user = |&(rank, membership): &(u32, Membership)| vec![RankedTarget { rank, membership }];
    let users: Vec<Vec<RankedTarget>> = users.iter().map(user).collect();
    evaluate(
        &users,
        &EvalSpec {
            k,
            ..EvalSpec::default()
        },
    )
}

fn value(rows: &[MetricRow], cohort: Cohort, metric: Metric, k: u32) -> Option<f64> {
    rows.iter()
        .find(|r| (r.cohort, r.metric, r.k) == (cohort, metric, k))
        .map(|r| r.value)
}

proptest! {
    #[test]
    fn values_are_bounded_and_ordered(users in users(), low in 1_u32..60, step in 1_u32..60) {
        let high = low + step;
        let rows = measure(&users, vec![low, high]);
        for row in &rows {
            prop_assert!((0.0..=1.0).contains(&row.value), "{row:?}");
            prop_assert!(row.users > 0);
        }
        for &cohort in Cohort::ALL {
            let Some(hr) = value(&rows, cohort, Metric::Hr, low) else {
                prop_assert_ne!(cohort, Cohort::All);
                continue;
            };
            let ndcg = value(&rows, cohort, Metric::Ndcg, low).unwrap();
            let mrr = value(&rows, cohort, Metric::Mrr, low).unwrap();
            prop_assert!(mrr <= ndcg + 1e-12 && ndcg <= hr + 1e-12);
            for metric in RankMetric::ALL.iter().copied().map(Metric::from) {
                prop_assert!(value(&rows, cohort, metric, high) >= value(&rows, cohort, metric, low));
            }
        }
    }

    #[test]
    fn cohorts_split_all_users(users in users()) {
        let rows = measure(&users, vec![10]);
        let of = |cohort| rows.iter().find(|r| r.cohort == cohort && r.metric == Metric::Hr);
        let sum = |a, b| [a, b].into_iter().filter_map(of).map(|r| r.users).sum::<u64>();
        prop_assert_eq!(sum(Cohort::ShortUser, Cohort::LongUser), users.len() as u64);
        prop_assert_eq!(sum(Cohort::TailItem, Cohort::HeadItem), users.len() as u64);
        prop_assert_eq!(sum(Cohort::ColdItem, Cohort::WarmItem), users.len() as u64);
    }

    #[test]
    fn the_order_of_users_does_not_matter(
        (users, shuffled) in users().prop_flat_map(|users| (Just(users.clone()), Just(users).prop_shuffle()))
    ) {
        let (rows, of_shuffled) = (measure(&users, vec![5, 10]), measure(&shuffled, vec![5, 10]));
        prop_assert_eq!(rows.len(), of_shuffled.len());
        for (a, b) in std::iter::zip(rows, of_shuffled) {
            prop_assert!((a.value - b.value).abs() < 1e-12); // The sums' order differs, so may the last bit.
            prop_assert_eq!((a.cohort, a.metric, a.k, a.users), (b.cohort, b.metric, b.k, b.users));
        }
    }

    #[test]
    fn a_constant_scorer_gets_the_worst_rank(items in 1_usize..200, score in -1e9_f32..1e9, target in 0_usize..200) {
        let target = 1 + target % items;
        prop_assert_eq!(rank(&vec![score; items + 1], target, &[]), Ok(items as u32 - 1));
    }

    #[test]
    fn the_rank_is_the_place_in_a_sorted_list(
        scores in scores(),
        target in 0_usize..60,
        excluded in prop::collection::btree_set(1_u32..60, 0..20),
    ) {
        let target = 1 + target % (scores.len() - 1);
        let excluded: Vec<u32> =
            excluded.into_iter().filter(|&item| (item as usize) < scores.len()).collect();
        let mut candidates: Vec<usize> = (1..scores.len())
            .filter(|&item| item == target || !excluded.contains(&(item as u32)))
            .collect();
        candidates.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then((a == target).cmp(&(b == target))));
        let place = candidates.iter().position(|&item| item == target).unwrap() as u32;
        prop_assert_eq!(rank(&scores, target, &excluded), Ok(place));
        let others: Vec<u32> =
            candidates.iter().filter(|&&item| item != target).map(|&item| item as u32).collect();
        prop_assert_eq!(sampled_rank(&scores, target, &others), Ok(place));
    }

    #[test]
    fn renumbering_items_changes_no_rank(
        (scores, order) in scores().prop_flat_map(|scores| {
            let items: Vec<usize> = (1..scores.len()).collect();
            (Just(scores), Just(items).prop_shuffle())
        })
    ) {
        let mut renumbered = vec![0.0; scores.len()];
        for (item, &new) in (1..).zip(&order) {
            renumbered[new] = scores[item];
        }
        for (item, &new) in (1..).zip(&order) {
            prop_assert_eq!(rank(&scores, item, &[]), rank(&renumbered, new, &[]));
        }
    }
}
