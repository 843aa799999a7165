//! The rank of a target among candidates. Ties count against the model, NaN is an error.

use crate::EvalError;

/// Rank of `target`, from 0, among all items: how many candidates score at least as high.
///
/// `scores` is indexed by item number, `[I + 1]`; index 0 is padding, never looked at and never a
/// candidate. `excluded` holds the items of the user's history, ascending and without duplicates;
/// they are no candidates. The target is kept, even where the history holds it.
///
/// # Errors
/// A NaN anywhere in the items' scores, an infinite score of the target, an item without a score,
/// and `excluded` out of order.
pub fn rank(scores: &[f32], target: usize, excluded: &[u32]) -> Result<u32, EvalError> {
    let target_score = score_of_target(scores, target)?;
    // One pass without a branch: it compiles to vector compares, so a catalogue costs microseconds.
    // Wrapping, because a checked sum would put a branch back; no slice holds 2^32 candidates more.
    let (mut at_least, mut not_a_number) = (0_u32, 0_u32);
    for &score in &scores[1..] {
        at_least = at_least.wrapping_add(u32::from(score >= target_score));
        not_a_number |= u32::from(score.is_nan());
    }
    if not_a_number != 0 {
        return Err(first_nan(scores));
    }
    at_least -= 1; // The target itself.
    let mut previous = 0;
    for &item in excluded {
        let score = score_of(scores, item as usize)?;
        if item <= previous {
            return Err(EvalError::NotAscending {
                previous,
                next: item,
            });
        }
        previous = item;
        at_least -= u32::from(score >= target_score && item as usize != target);
    }
    Ok(at_least)
}

/// Rank of `target`, from 0, among `negatives`: how many of them score at least as high.
///
/// `scores` is as for [`rank`]; `negatives` holds distinct items other than the target.
///
/// # Errors
/// A NaN among the negatives' scores, a NaN or infinite score of the target, an item without a
/// score. Other items are not looked at.
pub fn sampled_rank(scores: &[f32], target: usize, negatives: &[u32]) -> Result<u32, EvalError> {
    let target_score = score_of_target(scores, target)?;
    let mut at_least = 0;
    for &item in negatives {
        let score = score_of(scores, item as usize)?;
        if score.is_nan() {
            return Err(EvalError::NanScore {
                item: item as usize,
            });
        }
        at_least += u32::from(score >= target_score);
    }
    Ok(at_least)
}

fn score_of(scores: &[f32], item: usize) -> Result<f32, EvalError> {
    match scores.get(item) {
        Some(&score) if item > 0 => Ok(score),
        _ => Err(EvalError::ItemOutOfRange {
            item,
            last: scores.len().saturating_sub(1),
        }),
    }
}

fn score_of_target(scores: &[f32], target: usize) -> Result<f32, EvalError> {
    let score = score_of(scores, target)?;
    if score.is_nan() {
        return Err(EvalError::NanScore { item: target });
    }
    if score.is_infinite() {
        return Err(EvalError::InfiniteTarget {
            item: target,
            score,
        });
    }
    Ok(score)
}

/// Names the first item whose score is NaN; only called where there is one.
fn first_nan(scores: &[f32]) -> EvalError {
    let after_padding = scores[1..]
        .iter()
        .take_while(|score| !score.is_nan())
        .count();
    EvalError::NanScore {
        item: 1 + after_padding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PADDING: f32 = f32::INFINITY; // Would outrank everything if it were looked at.

    #[test]
    fn ranks_count_candidates_at_least_as_good() {
        let scores = [PADDING, 0.5, 0.9, 0.5, 0.5, 0.1];
        let check = |target: usize, excluded: &[u32], expected: u32| {
            assert_eq!(
                rank(&scores, target, excluded),
                Ok(expected),
                "{target} {excluded:?}"
            );
        };
        check(2, &[], 0);
        check(1, &[], 3);
        check(5, &[], 4);
        check(1, &[2], 2);
        check(1, &[2, 5], 2);
        check(1, &[1, 2, 3], 1); // The target is in the history, and kept.
        check(5, &[1, 2, 3, 4], 0);
    }

    #[test]
    fn padding_may_be_anything() {
        for padding in [f32::NAN, f32::INFINITY, 0.0] {
            assert_eq!(rank(&[padding, 0.0, 1.0], 1, &[]), Ok(1));
            assert_eq!(sampled_rank(&[padding, 0.0, 1.0], 1, &[2]), Ok(1));
        }
    }

    #[test]
    fn sampled_ranks_look_at_the_negatives_alone() {
        let scores = [PADDING, 0.5, 0.9, 0.5, f32::NAN, 0.1];
        assert_eq!(sampled_rank(&scores, 1, &[2, 3, 5]), Ok(2));
        assert_eq!(sampled_rank(&scores, 1, &[]), Ok(0));
        assert_eq!(
            sampled_rank(&scores, 1, &[2, 4]),
            Err(EvalError::NanScore { item: 4 })
        );
    }

    #[test]
    fn what_has_no_rank_is_refused() {
        let nan = [0.0, 1.0, 2.0, f32::NAN, f32::NAN];
        assert_eq!(rank(&nan, 1, &[]), Err(EvalError::NanScore { item: 3 }));
        assert_eq!(rank(&nan, 4, &[]), Err(EvalError::NanScore { item: 4 }));
        assert_eq!(rank(&nan, 1, &[3, 4]), Err(EvalError::NanScore { item: 3 }));
        let infinite = [0.0, f32::NEG_INFINITY, f32::INFINITY, 1.0];
        assert!(matches!(
            rank(&infinite, 1, &[]),
            Err(EvalError::InfiniteTarget { item: 1, .. })
        ));
        assert!(matches!(
            sampled_rank(&infinite, 2, &[]),
            Err(EvalError::InfiniteTarget { item: 2, .. })
        ));
        assert_eq!(rank(&infinite, 3, &[]), Ok(1));
        let fine = [0.0, 1.0, 2.0];
        let outside = |item| Err(EvalError::ItemOutOfRange { item, last: 2 });
        assert_eq!(rank(&fine, 0, &[]), outside(0));
        assert_eq!(rank(&fine, 3, &[]), outside(3));
        assert_eq!(rank(&fine, 1, &[0, 2]), outside(0));
        assert_eq!(rank(&fine, 1, &[3]), outside(3));
        assert_eq!(sampled_rank(&fine, 1, &[0]), outside(0));
        assert_eq!(
            rank(&fine, 1, &[2, 2]),
            Err(EvalError::NotAscending {
                previous: 2,
                next: 2
            })
        );
        assert_eq!(
            rank(&[], 1, &[]),
            Err(EvalError::ItemOutOfRange { item: 1, last: 0 })
        );
    }
}
