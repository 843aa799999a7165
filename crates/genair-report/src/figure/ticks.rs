//! Where an axis has its ticks and what stands at them.

use itertools::Itertools;

use super::chart::Scale;

/// An axis with its range, in the drawing's own numbers: the values, or their logarithms.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ticks {
    pub(super) low: f64,
    pub(super) high: f64,
    /// Place and text of each.
    pub(super) marks: Vec<(f64, String)>,
}

impl Scale {
    /// A value in the drawing's own numbers.
    pub(super) fn place(&self, value: f64) -> f64 {
        match self {
            Self::Log | Self::LogAt(_) => value.log10(),
            _ => value,
        }
    }

    /// The range that shows all `values`, and its ticks, about `count`. `from_zero`: for bars, whose
    /// length is what is compared.
    pub(super) fn ticks(&self, values: &[f64], from_zero: bool, count: usize) -> Ticks {
        if let Self::Categories(names) = self {
            let marks = names.iter().enumerate();
            return Ticks {
                low: -0.5,
                high: names.len() as f64 - 0.5,
                marks: marks.map(|(at, name)| (at as f64, name.clone())).collect(),
            };
        }
        let placed = values.iter().map(|value| self.place(*value));
        let placed = placed.filter(|place| place.is_finite());
        let (mut low, mut high) = placed.minmax().into_option().unwrap_or((0.0, 1.0));
        if from_zero {
            low = low.min(0.0);
            high = high.max(0.0);
        }
        let margin = if high > low {
            0.06 * (high - low)
        } else {
            0.05 * high.abs().max(1e-3)
        };
        let zero_floor = from_zero && low == 0.0;
        high += margin;
        if !zero_floor {
            low -= margin;
        }
        let marks = match self {
            Self::Bare | Self::Categories(_) => Vec::new(),
            Self::Log => powers(low, high),
            Self::LogAt(ticks) => {
                let marks = ticks
                    .iter()
                    .map(|(value, text)| (self.place(*value), text.clone()));
                marks.sorted_by(|a, b| a.0.total_cmp(&b.0)).collect()
            }
            Self::Linear => round_numbers(low, high, count),
        };
        Ticks { low, high, marks }
    }
}

fn powers(low: f64, high: f64) -> Vec<(f64, String)> {
    let mut marks = Vec::new();
    let narrow = high - low < 2.0;
    for power in low.floor() as i32..=high.ceil() as i32 {
        let digits = if narrow { &[1.0, 2.0, 5.0][..] } else { &[1.0] };
        for digit in digits {
            let value = digit * 10f64.powi(power);
            let place = value.log10();
            if (low..=high).contains(&place) {
                marks.push((place, number(value)));
            }
        }
    }
    marks
}

/// A value as people write it: `0.001`, `20`, `5e-5`, `2M`.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 1e-3 => format!("{value:e}"),
        size if size >= 1e6 => format!("{}M", round(value / 1e6)),
        size if size >= 1e4 => format!("{}k", round(value / 1e3)),
        _ => round(value).to_string(),
    }
}

fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn round_numbers(low: f64, high: f64, count: usize) -> Vec<(f64, String)> {
    let rough = (high - low) / count.max(1) as f64;
    let power = 10f64.powi(rough.log10().floor() as i32);
    let mut steps = [1.0, 2.0, 2.5, 5.0].into_iter().map(|digit| digit * power);
    let step = steps
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * power);
    let are_enough = |digits: &i32| {
        let scaled = step * 10f64.powi(*digits);
        (scaled - scaled.round()).abs() < 1e-6 * scaled
    };
    let decimals = (0..10).find(are_enough).unwrap_or(10) as usize;
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    let large = low.abs().max(high.abs()) >= 1e4;
    let mark = |at: i64| {
        let value = at as f64 * step;
        match large {
            true => (value, number(value)),
            false => (value, format!("{value:.decimals$}")),
        }
    };
    (first..=last).map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(scale: &Scale, values: &[f64], from_zero: bool, expected: &[&str]) {
        let ticks = scale.ticks(values, from_zero, 5);
        let texts: Vec<&str> = ticks.marks.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, expected);
        let inside = |value: &f64| (ticks.low..=ticks.high).contains(&scale.place(*value));
        assert!(values.iter().all(inside), "{ticks:?}");
    }

    #[test]
    fn ticks_are_round_and_the_range_holds_every_value() {
        check(
            &Scale::Linear,
            &[0.083, 0.121],
            false,
            &["0.09", "0.10", "0.11", "0.12"],
        );
        check(
            &Scale::Linear,
            &[0.02, 0.1],
            true,
            &["0.000", "0.025", "0.050", "0.075", "0.100"],
        );
        check(
            &Scale::Linear,
            &[1.0, 200.0],
            false,
            &["0", "50", "100", "150", "200"],
        );
        check(
            &Scale::Linear,
            &[0.1, 0.1],
            false,
            &["0.096", "0.098", "0.100", "0.102", "0.104"],
        );
        check(
            &Scale::Log,
            &[1e-5, 1e-2],
            false,
            &["1e-5", "1e-4", "0.001", "0.01"],
        );
        check(&Scale::Log, &[20.0, 90.0], false, &["20", "50"]);
        let ran = [(1e-2, "1e-2"), (1e-4, "1e-4"), (3e-3, "0.003")];
        let ran = ran.map(|(value, text)| (value, text.to_owned())).to_vec();
        check(
            &Scale::LogAt(ran),
            &[1e-2, 1e-4, 3e-3],
            false,
            &["1e-4", "0.003", "1e-2"],
        );
        check(
            &Scale::Linear,
            &[20_000.0, 120_000.0],
            false,
            &["25k", "50k", "75k", "100k", "125k"],
        );
        check(&Scale::Bare, &[1.0, 2.0], false, &[]);
        assert_eq!(Scale::Linear.ticks(&[], false, 5).low, -0.06);
    }
}
