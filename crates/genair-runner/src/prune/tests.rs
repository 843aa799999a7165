use super::*;

const ASHA: Rule = Rule::Asha { reduction: 3 };

fn cadence(grace: u64, every: u64, max: u64) -> Cadence {
    Cadence { grace, every, max }
}

#[test]
fn rungs_are_powers_of_the_reduction_after_the_grace() {
    let rungs = |cadence, epochs: [u64; 7]| epochs.map(|epoch| ASHA.rung(cadence, epoch));
    assert_eq!(
        rungs(cadence(3, 1, 30), [2, 3, 8, 9, 26, 27, 30]),
        [None, Some(0), None, Some(1), None, Some(2), None]
    );
    assert_eq!(
        rungs(cadence(20, 1, 200), [3, 19, 20, 59, 60, 180, 200]),
        [None, None, Some(0), None, Some(1), Some(2), None],
        "BERT4Rec converges late"
    );
    assert_eq!(
        rungs(cadence(3, 2, 30), [3, 4, 9, 10, 27, 28, 30]),
        [None, Some(0), None, Some(1), None, Some(2), None],
        "at the first validation from then on"
    );
    assert_eq!(
        rungs(cadence(3, 10, 30), [3, 9, 10, 20, 27, 29, 30]),
        [None, None, Some(1), None, None, None, None],
        "two rungs in one validation are the higher one; the end is judged by its result"
    );
}

#[test]
fn the_median_rule_judges_every_validation_after_the_grace() {
    let median = Rule::Median { min_runs: 3 };
    let rungs = [4, 5, 6, 7, 8, 10].map(|epoch| median.rung(cadence(5, 2, 10), epoch));
    assert_eq!(rungs, [None, None, Some(1), None, Some(3), None]);
}

#[test]
fn asha_keeps_the_best_share_of_those_that_came_so_far() {
    let stops = |own, others: &[f64]| ASHA.judge(own, others);
    let first = Verdict {
        threshold: None,
        pruned: true,
    };
    assert_eq!(stops(0.1, &[]), first, "a third of one run is none");
    assert!(stops(0.2, &[0.1]).pruned);
    let best = Verdict {
        threshold: Some(0.3),
        pruned: false,
    };
    assert_eq!(stops(0.3, &[0.1, 0.2]), best);
    assert!(!stops(0.3, &[0.1, 0.3]).pruned, "a tie is no reason");
    assert!(stops(0.2, &[0.1, 0.3]).pruned);
    // Two of six go on.
    assert!(!stops(0.5, &[0.1, 0.2, 0.3, 0.4, 0.6]).pruned);
    assert!(stops(0.4, &[0.1, 0.2, 0.3, 0.5, 0.6]).pruned);
}

#[test]
fn the_median_rule_wants_enough_runs_to_compare_with() {
    let median = Rule::Median { min_runs: 3 };
    assert!(!median.judge(0.0, &[0.1, 0.2]).pruned);
    let three = median.judge(0.15, &[0.3, 0.1, 0.2]);
    assert_eq!((three.threshold, three.pruned), (Some(0.2), true));
    let four = median.judge(0.3, &[0.4, 0.1, 0.2, 0.3]);
    assert_eq!((four.threshold, four.pruned), (Some(0.25), false));
}
