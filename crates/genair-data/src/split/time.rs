//! The boundaries of a time split.

use genair_protocol::{SplitSpec, unix_seconds};

use super::validates_by_time;
use crate::DataError;
use crate::interactions::Interaction;

/// The validation quantile beside a test boundary that is a date.
const QUANTILE: f64 = 0.9;
/// Unix times in seconds are below this for the next 3,000 years, and those in milliseconds above it since 1973.
const SECONDS_BELOW: f64 = 1e11;
/// The same for milliseconds and microseconds.
const MILLISECONDS_BELOW: f64 = 1e14;

/// A moment that parts a user's rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Boundary {
    pub(super) at: f64,
    /// Whether a row of this very time lies before.
    inclusive: bool,
}

/// Boundaries before the test and, where validation has one, before validation.
pub(super) struct Boundaries {
    pub(super) valid: Option<Boundary>,
    pub(super) test: Boundary,
}

impl Boundary {
    fn is_after(self, time: f64) -> bool {
        if self.inclusive {
            time <= self.at
        } else {
            time < self.at
        }
    }

    /// How many of a user's rows, which are in the order of time, lie before.
    pub(super) fn count_before(self, rows: &[Interaction]) -> usize {
        rows.partition_point(|row| self.is_after(row.time))
    }
}

impl Boundaries {
    /// Of `users`, each with rows in the order of time.
    pub(super) fn of(users: &[&[Interaction]], spec: &SplitSpec) -> Result<Self, DataError> {
        let rows = users.iter().flat_map(|rows| rows.iter());
        let mut times: Vec<f64> = rows.map(|row| row.time).collect();
        times.sort_unstable_by(f64::total_cmp);
        let boundary = |date: Option<&str>, quantile: f64, times: &[f64]| match date {
            Some(date) => date_boundary(date, times),
            None => Ok(Boundary {
                at: quantile_of(times, quantile),
                inclusive: true,
            }),
        };
        let own = spec.quantile.unwrap_or(QUANTILE);
        let test = boundary(spec.date.as_deref(), own, &times)?;
        if !validates_by_time(spec) {
            return Ok(Self { valid: None, test });
        }
        // As in the code of arXiv:2507.16289: of users with something to see and something to name.
        let before = users.iter().map(|rows| &rows[..test.count_before(rows)]);
        let before = before.filter(|rows| rows.len() >= 2).flatten();
        let mut before: Vec<f64> = before.map(|row| row.time).collect();
        before.sort_unstable_by(f64::total_cmp);
        let validation = spec.validation.clone().unwrap_or_default();
        let quantile = validation.quantile.unwrap_or(own);
        let valid = boundary(validation.date.as_deref(), quantile, &before)?;
        if valid.at >= test.at {
            return Err(DataError::Boundaries {
                valid: valid.at,
                test: test.at,
            });
        }
        let valid = Some(valid);
        Ok(Self { valid, test })
    }
}

/// The midnight at which a day begins, in the unit of `times`, which ascend.
fn date_boundary(date: &str, times: &[f64]) -> Result<Boundary, DataError> {
    let latest = times.last().copied().unwrap_or_default();
    let unit = per_second(latest).ok_or(DataError::NotUnixTimes { latest })?;
    // The spec was checked.
    let seconds = unix_seconds(date).unwrap_or_default();
    Ok(Boundary {
        at: seconds as f64 * unit,
        inclusive: false,
    })
}

/// Units of Unix times in a second, by the latest of them; `None` where they can be no Unix times.
pub(crate) fn per_second(latest: f64) -> Option<f64> {
    if latest < SECONDS_BELOW {
        Some(1.0)
    } else if latest < MILLISECONDS_BELOW {
        Some(1e3)
    } else {
        None
    }
}

/// The quantile of values that ascend, with linear interpolation, as in pandas and numpy; 0 of no values.
fn quantile_of(times: &[f64], quantile: f64) -> f64 {
    let place = quantile * times.len().saturating_sub(1) as f64;
    let (below, share) = (place.floor(), place.fract());
    let at = |place: f64| times.get(place as usize).copied().unwrap_or_default();
    let lower = at(below);
    match share > 0.0 {
        true => lower + share * (at(below + 1.0) - lower),
        false => lower,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// numpy.quantile of the same values.
    #[test]
    fn quantiles_are_those_of_numpy() {
        let times = [1.0, 2.0, 4.0, 8.0, 16.0];
        for (quantile, expected) in [(0.5, 4.0), (0.9, 12.8), (0.1, 1.4), (0.999, 15.968)] {
            assert!((quantile_of(&times, quantile) - expected).abs() < 1e-9);
        }
        assert_eq!(quantile_of(&[3.0], 0.9), 3.0);
        assert_eq!(quantile_of(&[], 0.9), 0.0);
    }

    fn rows(times: &[f64]) -> Vec<Interaction> {
        let row = |&time: &f64| Interaction {
            user: 0,
            item: 0,
            time,
        };
        times.iter().map(row).collect()
    }

    #[test]
    fn a_quantile_takes_in_its_own_time_and_a_date_begins_at_midnight() {
        let day = 86_400.0;
        let rows = rows(&[0.0, day, 2.0 * day, 2.0 * day + 1.0, 3.0 * day]);
        let users = [rows.as_slice()];
        let spec = |toml: &str| -> SplitSpec { serde_json::from_str(toml).unwrap() };
        let of = |toml: &str| Boundaries::of(&users, &spec(toml));
        let made = of(r#"{"kind": "time", "quantile": 0.5}"#).unwrap();
        assert_eq!(made.test.count_before(&rows), 3);
        assert_eq!(made.valid.unwrap().at, day);
        assert_eq!(made.valid.unwrap().count_before(&rows), 2);
        let dates =
            r#"{"kind": "time", "date": "1970-01-03", "validation": {"date": "1970-01-02"}}"#;
        let made = of(dates).unwrap();
        assert_eq!(made.test.count_before(&rows), 2);
        assert_eq!(made.valid.unwrap().count_before(&rows), 1);
        let wrong =
            r#"{"kind": "time", "date": "1970-01-03", "validation": {"date": "1970-01-03"}}"#;
        assert!(matches!(of(wrong), Err(DataError::Boundaries { .. })));
        let last = r#"{"kind": "time", "quantile": 0.5, "validation": {"by": "last-item"}}"#;
        assert_eq!(of(last).unwrap().valid, None);
    }

    #[test]
    fn dates_are_in_the_unit_of_the_times() {
        let boundary = |latest: f64| date_boundary("2014-05-01", &[latest]).map(|made| made.at);
        assert_eq!(boundary(1.5e9).unwrap(), 1_398_902_400.0);
        assert_eq!(boundary(1.5e12).unwrap(), 1_398_902_400_000.0);
        assert!(matches!(
            boundary(1.5e15),
            Err(DataError::NotUnixTimes { .. })
        ));
    }
}
