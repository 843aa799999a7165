//! The learning rate's factor at a step. It is a function of the place and of the validations so far, so that a
//! resumed run needs no state of its own for it.

use genair_protocol::{ScheduleKind, ScheduleSpec};

/// A step of training.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// From 1.
    pub(crate) epoch: usize,
    /// In its epoch, from 0.
    pub(crate) step: usize,
    /// Steps of an epoch.
    pub(crate) steps: usize,
    /// The last epoch that there can be.
    pub(crate) max_epochs: usize,
}

/// What the learning rate is multiplied by, in [0, 1]; `drops` are those of [`drops`].
pub(crate) fn factor(spec: &ScheduleSpec, place: Place, drops: usize) -> f64 {
    let done = (place.epoch - 1) * place.steps + place.step;
    let warm_up = spec.warm_up * place.steps;
    if done < warm_up {
        // The first step moves, and the last of the warm-up is not yet whole.
        return (done + 1) as f64 / (warm_up + 1) as f64;
    }
    let all = place.max_epochs * place.steps;
    let share = (done - warm_up) as f64 / (all.saturating_sub(warm_up)).max(1) as f64;
    let falling = |from_1_to_0: f64| spec.least + (1.0 - spec.least) * from_1_to_0;
    match spec.kind {
        ScheduleKind::Constant => 1.0,
        ScheduleKind::Linear => falling(1.0 - share),
        ScheduleKind::Cosine => falling((1.0 + (std::f64::consts::PI * share).cos()) / 2.0),
        ScheduleKind::Plateau => {
            let exponent = i32::try_from(drops).unwrap_or(i32::MAX);
            spec.decay.powi(exponent).max(spec.least)
        }
    }
}

/// How often a plateau was reached: `patience` values in a row that are not better than the best before them, each
/// value counted once.
pub(crate) fn drops(values: impl Iterator<Item = f64>, patience: usize) -> usize {
    let (mut best, mut worse, mut drops) = (f64::NEG_INFINITY, 0, 0);
    for value in values {
        if value > best {
            (best, worse) = (value, 0);
            continue;
        }
        worse += 1;
        if worse == patience {
            (worse, drops) = (0, drops + 1);
        }
    }
    drops
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(spec: &ScheduleSpec) -> Vec<f64> {
        let places = (1..=4).flat_map(|epoch| (0..2).map(move |step| (epoch, step)));
        let place = |(epoch, step)| Place {
            epoch,
            step,
            steps: 2,
            max_epochs: 4,
        };
        places.map(|at| factor(spec, place(at), 2)).collect()
    }

    fn assert_near(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found_one, expected_one) in found.iter().zip(expected) {
            assert!((found_one - expected_one).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn each_form_is_its_formula() {
        let spec = |kind, warm_up, least| ScheduleSpec {
            kind,
            warm_up,
            least,
            ..ScheduleSpec::default()
        };
        assert_eq!(factors(&ScheduleSpec::default()), [1.0; 8]);
        assert_near(
            &factors(&spec(ScheduleKind::Linear, 0, 0.0)),
            &[1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125],
        );
        // numpy: .1 + .9 * (1 + cos(pi * arange(6) / 6)) / 2 after two steps of warm-up.
        let third = |cosine: f64| 0.1 + 0.9 * (1.0 + cosine) / 2.0;
        let root = 3.0_f64.sqrt() / 2.0;
        assert_near(
            &factors(&spec(ScheduleKind::Cosine, 1, 0.1)),
            &[
                1.0 / 3.0,
                2.0 / 3.0,
                1.0,
                third(root),
                third(0.5),
                third(0.0),
                third(-0.5),
                third(-root),
            ],
        );
        let plateau = spec(ScheduleKind::Plateau, 0, 0.0);
        assert_eq!(factors(&plateau), [0.25; 8]);
        assert_eq!(factors(&spec(ScheduleKind::Plateau, 0, 0.4)), [0.4; 8]);
    }

    #[test]
    fn a_plateau_is_so_many_values_without_a_better_one() {
        let of = |values: &[f64]| drops(values.iter().copied(), 2);
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[0.1, 0.2, 0.2]), 0);
        assert_eq!(of(&[0.1, 0.2, 0.2, 0.1]), 1);
        assert_eq!(of(&[0.2, 0.1, 0.1, 0.1, 0.1]), 2);
        assert_eq!(of(&[0.2, 0.1, 0.1, 0.1, 0.3, 0.1]), 1);
    }
}
