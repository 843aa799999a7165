//! The list that a user is shown: the candidates of the highest scores.

use std::cmp::Ordering;

use crate::EvalError;

/// An item of a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Listed {
    /// Its number, from 1.
    pub item: u32,
    /// Its score.
    pub score: f32,
}

impl Listed {
    /// By score, the highest first; of equal scores the lesser number first.
    fn order(&self, other: &Self) -> Ordering {
        let by_score = other.score.total_cmp(&self.score);
        by_score.then(self.item.cmp(&other.item))
    }
}

/// The `k` candidates of the highest scores, best first; fewer where there are fewer candidates. Of equal scores the
/// lesser item number comes first, whatever the target is.
///
/// `scores` and `excluded` are as for [`rank`](crate::rank()). An item whose score is negative infinity is no candidate.
/// One pass that keeps at most `2 k` items.
///
/// # Errors
/// [`EvalError::NanScore`] for a NaN anywhere in the items' scores.
pub fn top_k(scores: &[f32], excluded: &[u32], k: usize) -> Result<Vec<Listed>, EvalError> {
    if let Some(before) = scores[1..].iter().position(|score| score.is_nan()) {
        return Err(EvalError::NanScore { item: before + 1 });
    }
    let mut list: Vec<Listed> = Vec::with_capacity(2 * k);
    let mut least = f32::NEG_INFINITY;
    for (at, &score) in scores.iter().enumerate().skip(1) {
        // Later items have greater numbers, so one that only equals the least does not enter.
        if score <= least {
            continue;
        }
        let item = at as u32;
        if excluded.binary_search(&item).is_ok() {
            continue;
        }
        list.push(Listed { item, score });
        if list.len() == 2 * k {
            least = keep(&mut list, k).unwrap_or(least);
        }
    }
    keep(&mut list, k);
    list.sort_unstable_by(Listed::order);
    Ok(list)
}

/// Keeps the best `k`, in any order; returns the least score among them where some had to go.
fn keep(list: &mut Vec<Listed>, k: usize) -> Option<f32> {
    if k == 0 || list.len() <= k {
        list.truncate(k);
        return None;
    }
    let (_, last, _) = list.select_nth_unstable_by(k - 1, Listed::order);
    let least = last.score;
    list.truncate(k);
    Some(least)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items(list: &[Listed]) -> Vec<u32> {
        list.iter().map(|listed| listed.item).collect()
    }

    #[test]
    fn lists_begin_with_the_best() {
        let scores = [f32::INFINITY, 0.5, 0.9, 0.5, f32::NEG_INFINITY, 0.1];
        let of = |excluded: &[u32], k| items(&top_k(&scores, excluded, k).unwrap());
        assert_eq!(of(&[], 2), [2, 1]);
        assert_eq!(of(&[], 3), [2, 1, 3]);
        assert_eq!(of(&[1, 2], 9), [3, 5]);
        assert_eq!(of(&[], 0), Vec::<u32>::new());
        let nan = top_k(&[0.0, 1.0, f32::NAN], &[], 1);
        assert_eq!(nan, Err(EvalError::NanScore { item: 2 }));
    }

    proptest! {
        #[test]
        fn a_list_is_the_start_of_a_sorted_catalogue(
            scores in prop::collection::vec(-8_i8..8, 1..120),
            excluded in prop::collection::btree_set(1_u32..120, 0..40),
            k in 0_usize..50,
        ) {
            let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
            let excluded: Vec<u32> = excluded.into_iter().collect();
            let mut sorted: Vec<u32> = (1..scores.len() as u32).filter(|item| !excluded.contains(item)).collect();
            sorted.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]));
            sorted.truncate(k);
            prop_assert_eq!(items(&top_k(&scores, &excluded, k).unwrap()), sorted);
        }

        /// Without ties, a target is at the place of a list that its rank names.
        #[test]
        fn a_rank_is_a_place_in_the_list(
            scores in prop::collection::hash_set(-1_000_i32..1_000, 2..60),
            target in 0_usize..60,
        ) {
            let mut scores: Vec<f32> = scores.into_iter().map(|score| score as f32).collect();
            scores.insert(0, f32::NAN);
            let target = 1 + target % (scores.len() - 1);
            let rank = crate::rank(&scores, target, &[]).unwrap();
            let list = top_k(&scores, &[], scores.len()).unwrap();
            prop_assert_eq!(list[rank as usize].item, target as u32);
        }
    }
}
