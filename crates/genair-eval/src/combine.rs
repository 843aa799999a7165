//! Scores of two models as those of one.

use genair_protocol::Normalise;

/// Normalises one user's scores in place, `[I + 1]` with entry 0 meaningless: over all candidates, which are the items
/// that `excluded` (ascending) does not have. Where all candidates have one score, each becomes 0. Scores of the others
/// are scaled alike. A score that is not finite makes scores that no rank can be made of.
pub fn normalise(scores: &mut [f32], excluded: &[u32], how: Normalise) {
    let is_candidate = |item: usize| item > 0 && excluded.binary_search(&(item as u32)).is_err();
    let candidates = scores.iter().enumerate();
    let candidates = candidates.filter(|(item, _)| is_candidate(*item));
    let candidates: Vec<f64> = candidates.map(|(_, score)| f64::from(*score)).collect();
    let count = candidates.len() as f64;
    let (shift, scale) = match how {
        Normalise::ZScore => {
            let mean = candidates.iter().sum::<f64>() / count;
            let squares = candidates.iter().map(|score| (score - mean).powi(2));
            (mean, (squares.sum::<f64>() / count).sqrt())
        }
        Normalise::MinMax => {
            let least = candidates.iter().copied().fold(f64::INFINITY, f64::min);
            let most = candidates.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            (least, most - least)
        }
    };
    for score in scores {
        let shifted = f64::from(*score) - shift;
        *score = match scale {
            0.0 if shifted.is_finite() => 0.0,
            scale => (shifted / scale) as f32,
        };
    }
}

/// `(1 - weight) first + weight second`, into `first`; both of one length.
pub fn mix(first: &mut [f32], second: &[f32], weight: f64) {
    for (own, other) in std::iter::zip(first, second) {
        *own = ((1.0 - weight) * f64::from(*own) + weight * f64::from(*other)) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_normalised_over_candidates_alone() {
        // Item 2 is in the history.
        let scores = [9.0, 1.0, 100.0, 3.0, 5.0];
        let mut own = scores;
        normalise(&mut own, &[2], Normalise::MinMax);
        assert_eq!(own[1..], [0.0, 24.75, 0.5, 1.0]);
        let mut own = scores;
        normalise(&mut own, &[2], Normalise::ZScore);
        let deviation = (8.0_f64 / 3.0).sqrt();
        for (item, expected) in [(1, -2.0), (3, 0.0), (4, 2.0)] {
            assert!((f64::from(own[item]) - expected / deviation).abs() < 1e-6);
        }
        for how in [Normalise::ZScore, Normalise::MinMax] {
            let mut flat = [0.0, 7.0, 7.0];
            normalise(&mut flat, &[], how);
            assert_eq!(flat, [0.0; 3], "no score is told from another");
            let mut own = [0.0, 1.0, f32::NAN];
            normalise(&mut own, &[], how);
            assert!(own[2].is_nan(), "what cannot be ranked stays so");
        }
    }

    #[test]
    fn the_ends_of_the_weight_are_the_members() {
        let (one, other) = ([1.0, 2.0], [5.0, 4.0]);
        for (weight, expected) in [(0.0, [1.0, 2.0]), (1.0, [5.0, 4.0]), (0.25, [2.0, 2.5])] {
            let mut mixed = one;
            mix(&mut mixed, &other, weight);
            assert_eq!(mixed, expected);
        }
    }
}
