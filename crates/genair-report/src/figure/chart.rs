//! A figure before it is drawn: panels, axes, what stands in them. Knows neither runs nor pixels.

use super::style::Look;
use crate::spec::Spread;
use genair_eval::statistics::Summary;

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chart {
    /// In reading order; at least one.
    pub(crate) panels: Vec<Panel>,
    /// What stands above the panels: a name for each look.
    pub(crate) legend: Vec<(String, Look)>,
    /// Whether a single panel takes the width of a page rather than of a column.
    pub(crate) wide: bool,
}

impl Chart {
    /// Panels with a legend where it tells something apart.
    pub(crate) fn new(panels: Vec<Panel>, mut legend: Vec<(String, Look)>, wide: bool) -> Self {
        if legend.len() < 2 {
            legend.clear();
        }
        Self {
            panels,
            legend,
            wide,
        }
    }
}

/// One pair of axes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
}

/// An axis; its range is that of what stands on it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    pub(crate) label: String,
    pub(crate) scale: Scale,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scale {
    Linear,
    /// Of positive values.
    Log,
    /// Of positive values, with a tick at each of these, and their texts.
    LogAt(Vec<(f64, String)>),
    /// Values are places in the list, from 0.
    Categories(Vec<String>),
    /// No ticks: numbers without a meaning of their own.
    Bare,
}

impl Axis {
    pub(crate) fn linear(label: impl Into<String>) -> Self {
        let (label, scale) = (label.into(), Scale::Linear);
        Self { label, scale }
    }
}

impl Scale {
    /// The scale for values as they are written, and their places on it: by size if they are numbers,
    /// logarithmic with a tick at each if they are powers of ten or span two orders, evenly spaced where
    /// zero stands among such or a value is no number.
    pub(crate) fn of(values: &[String]) -> (Self, Vec<f64>) {
        let numbers: Option<Vec<f64>> = values.iter().map(|value| value.parse().ok()).collect();
        let even = || {
            let places = (0..values.len()).map(|at| at as f64).collect();
            (Self::Categories(values.to_vec()), places)
        };
        let Some(numbers) = numbers else {
            return even();
        };
        let positive: Vec<f64> = numbers.iter().copied().filter(|n| *n > 0.0).collect();
        let least = positive.iter().copied().fold(f64::INFINITY, f64::min);
        let most = positive.iter().copied().fold(0.0, f64::max);
        let is_power = |n: &f64| (n.log10() - n.log10().round()).abs() < 1e-9;
        let powers = positive.len() > 1 && positive.iter().all(is_power);
        if most < 50.0 * least && !powers {
            (Self::Linear, numbers)
        } else if positive.len() == numbers.len() {
            let ticks = numbers.iter().copied().zip(values.iter().cloned());
            (Self::LogAt(ticks.collect()), numbers)
        } else {
            even()
        }
    }
}

/// What belongs together in a panel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub(crate) look: Look,
    pub(crate) shape: Shape,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// A line through the points, with a band from low to high.
    Line {
        points: Vec<Point>,
        /// Whether each point has a marker.
        markers: bool,
    },
    /// A bar per category (its place is `x`); number `slot` of `slots` bars of it.
    Bars {
        points: Vec<Point>,
        slot: usize,
        slots: usize,
    },
    /// Markers with error bars.
    Points { points: Vec<Point> },
    /// Small dots, one of many.
    Cloud { points: Vec<(f64, f64)> },
}

/// A value with what it may as well have been.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Series {
    /// A line through points.
    pub(crate) fn line(look: Look, points: Vec<Point>, markers: bool) -> Self {
        let shape = Shape::Line { points, markers };
        Self { look, shape }
    }
}

impl Point {
    /// A mean with its spread.
    pub(crate) fn of(summary: &Summary, x: f64, spread: Spread) -> Self {
        let y = summary.mean;
        let [low, high] = match spread {
            Spread::None => None,
            Spread::Std => summary.std.map(|std| [y - std, y + std]),
            Spread::Interval => summary.interval,
        }
        .unwrap_or([y, y]);
        Self { x, y, low, high }
    }

    /// A value that is all there is to know.
    pub(crate) fn exact(x: f64, y: f64) -> Self {
        let (low, high) = (y, y);
        Self { x, y, low, high }
    }
}

impl Shape {
    /// The horizontal and vertical extent: each value, least and most.
    pub(super) fn extent(&self) -> (Vec<f64>, Vec<f64>) {
        match self {
            Self::Line { points, .. } | Self::Points { points } | Self::Bars { points, .. } => {
                let y = points.iter().flat_map(|point| [point.low, point.high]);
                (points.iter().map(|point| point.x).collect(), y.collect())
            }
            Self::Cloud { points } => points.iter().copied().unzip(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_fits_its_values() {
        let of = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            Scale::of(&values)
        };
        assert_eq!(of(&["1", "2", "4"]), (Scale::Linear, vec![1.0, 2.0, 4.0]));
        for values in [&["1e-4", "1e-2"][..], &["0.01", "0.1"], &["1", "3", "100"]] {
            let (scale, places) = of(values);
            let Scale::LogAt(ticks) = scale else {
                panic!("{scale:?}")
            };
            let texts: Vec<&str> = ticks.iter().map(|(_, text)| text.as_str()).collect();
            assert_eq!(
                texts, values,
                "there is a tick at what ran, and nowhere else"
            );
            assert!(std::iter::zip(ticks, places).all(|((tick, _), place)| tick == place));
        }
        for values in [
            ["0", "1e-4", "1e-2"],
            ["0", "0.1", "1"],
            ["mean", "last", "max"],
        ] {
            let (scale, places) = of(&values);
            assert!(matches!(scale, Scale::Categories(names) if names == values));
            assert_eq!(places, [0.0, 1.0, 2.0]);
        }
        assert_eq!(of(&["0", "1", "2"]).0, Scale::Linear);
    }
}
