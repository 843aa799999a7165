//! Times as they are written: numbers, ISO 8601, or a format that a spec names.
//!
//! A time becomes a number that a 64-bit float holds: the number that is written, or of a date the Unix time in
//! seconds. Where such numbers cannot hold the order, as with nanoseconds, the exact order is kept beside them and put
//! into the order of the rows.

use chrono::format::{Item, Parsed, StrftimeItems};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use crate::LineProblem;
use crate::interactions::Interaction;

/// Integers up to this are floats, too.
const EXACT_TO: u64 = 1 << 53;
const NANOSECONDS: i64 = 1_000_000_000;

/// Reads the times of a log.
#[derive(Debug, Default)]
pub(super) struct Times {
    form: Option<Form>,
    /// Of each row so far what its time is exactly, once a float is not.
    exact: Option<Vec<i64>>,
}

/// How times are written, which the first shows.
#[derive(Debug)]
enum Form {
    Numbers,
    Iso,
    Named(String, Vec<Item<'static>>),
}

/// A time of which a float may be a rounded form.
#[derive(Clone, Copy)]
struct Time {
    rounded: f64,
    exact: Option<i64>,
}

/// Signs of strftime that mean nothing.
#[derive(Debug)]
pub(super) struct BadFormat;

impl Times {
    /// Times as `format` says; without it, numbers or ISO 8601.
    pub(super) fn new(format: Option<&str>) -> Result<Self, BadFormat> {
        let form = match format {
            None => None,
            Some(format) => {
                let items = StrftimeItems::new(format).parse_to_owned();
                Some(Form::Named(
                    format.to_owned(),
                    items.map_err(|_| BadFormat)?,
                ))
            }
        };
        Ok(Self { form, exact: None })
    }

    /// The time of the next row; `rows` are those before it, and `column` has its text.
    pub(super) fn next(
        &mut self,
        text: &str,
        column: impl Fn() -> String,
        rows: &[Interaction],
    ) -> Result<f64, LineProblem> {
        let text = text.trim();
        let form = self.form.get_or_insert_with(|| match is_date(text) {
            true => Form::Iso,
            false => Form::Numbers,
        });
        let problem = |expected: String| LineProblem::BadTime {
            column: column(),
            problem: format!("`{text}`; {expected}"),
        };
        let time = match form {
            Form::Numbers => number(text).map_err(|inexact| match inexact {
                true => LineProblem::InexactTime { column: column(), value: text.to_owned() },
                false if is_date(text) => problem("write numbers or dates, not both".to_owned()),
                false => problem(
                    "write a finite number or an ISO 8601 time, or name the form with `time_format`".to_owned(),
                ),
            })?,
            Form::Iso => iso(text).and_then(of_date).ok_or_else(|| {
                let expected = "write a time of ISO 8601 between 1678 and 2261, as the first row has it";
                problem(expected.to_owned())
            })?,
            Form::Named(format, items) => named(text, items)
                .and_then(of_date)
                .ok_or_else(|| problem(format!("`time_format` is `{format}`")))?,
        };
        if time.exact.is_some() || self.exact.is_some() {
            let is_date = !matches!(form, Form::Numbers);
            let inexact = || LineProblem::InexactTime {
                column: column(),
                value: text.to_owned(),
            };
            let own = match time.exact {
                Some(exact) => exact,
                None => exactly(time.rounded, is_date).ok_or_else(inexact)?,
            };
            if self.exact.is_none() {
                let before = rows.iter().map(|row| exactly(row.time, is_date));
                self.exact = Some(before.collect::<Option<_>>().ok_or_else(inexact)?);
            }
            self.exact.get_or_insert_default().push(own);
        }
        Ok(time.rounded)
    }

    /// The last row does not count.
    pub(super) fn forget_last(&mut self) {
        if let Some(exact) = &mut self.exact {
            exact.pop();
        }
    }

    /// Puts rows of one user whose floats are equal into their exact order, in the places they have.
    pub(super) fn order(self, rows: &mut [Interaction]) {
        let Some(exact) = self.exact else { return };
        let mut places: Vec<usize> = (0..rows.len()).collect();
        places.sort_by_key(|&row| rows[row].user);
        let mut sorted = places.clone();
        sorted.sort_by_key(|&row| (rows[row].user, exact[row]));
        let before = rows.to_vec();
        for (place, row) in places.into_iter().zip(sorted) {
            rows[place] = before[row];
        }
    }
}

/// What a float that was read exactly is in whole numbers, of dates in nanoseconds.
fn exactly(time: f64, is_date: bool) -> Option<i64> {
    match is_date {
        true => (time as i64)
            .checked_mul(NANOSECONDS)
            .filter(|_| time.fract() == 0.0),
        false => Some(time as i64).filter(|_| time.fract() == 0.0),
    }
}

/// A finite number; true for one whose digits a float does not hold.
fn number(text: &str) -> Result<Time, bool> {
    if let Ok(exact) = text.parse::<i64>() {
        let is_exact = exact.unsigned_abs() <= EXACT_TO;
        return Ok(Time {
            rounded: exact as f64,
            exact: (!is_exact).then_some(exact),
        });
    }
    let number = text
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())
        .ok_or(false)?;
    match number.abs() >= EXACT_TO as f64 {
        // A float of this size has lost what comes after it already, in the program that wrote it.
        true => Err(true),
        // Negative zero sorts before zero in a total order, though the file says the same time.
        false => Ok(Time {
            rounded: number + 0.0,
            exact: None,
        }),
    }
}

/// Whether a text begins as a date of ISO 8601.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && bytes[..4].iter().all(u8::is_ascii_digit)
}

/// A Unix time; `None` out of the range of nanoseconds in 64 bits.
fn of_date(time: NaiveDateTime) -> Option<Time> {
    let time = time.and_utc();
    let nanoseconds = time.timestamp_nanos_opt()?;
    let fraction = time.timestamp_subsec_nanos();
    Some(Time {
        rounded: time.timestamp() as f64 + f64::from(fraction) / NANOSECONDS as f64,
        exact: (fraction > 0).then_some(nanoseconds),
    })
}

/// A date, with or without a time of day and a zone, as UTC.
fn iso(text: &str) -> Option<NaiveDateTime> {
    let number = |text: &str| -> Option<u32> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_number)
    };
    let (date, rest) = text.split_at_checked(10)?;
    if !is_date(date) {
        return None;
    }
    let day = NaiveDate::from_ymd_opt(
        number(&date[..4])? as i32,
        number(&date[5..7])?,
        number(&date[8..])?,
    )?;
    if rest.is_empty() {
        return Some(day.and_time(NaiveTime::MIN));
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let zone_at = rest.find(['Z', 'z', '+', '-', ' ']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone_at);
    let mut parts = clock.split(':');
    let (hour, minute) = (number(parts.next()?)?, number(parts.next()?)?);
    let (second, fraction) = match parts.next() {
        None => (0, ""),
        Some(seconds) => {
            let (second, fraction) = seconds.split_once(['.', ',']).unwrap_or((seconds, "0"));
            (number(second)?, fraction)
        }
    };
    let nanosecond = match fraction {
        "" => 0,
        digits => number(&format!("{:0<9}", digits.get(..9).unwrap_or(digits)))?,
    };
    let time = NaiveTime::from_hms_nano_opt(hour, minute, second, nanosecond)
        .filter(|_| parts.next().is_none())?;
    let ahead = match zone.trim() {
        "" | "Z" | "z" | "UTC" => 0,
        zone => {
            let (sign, digits) = zone.split_at_checked(1)?;
            let digits = digits.replace(':', "");
            let hours = number(digits.get(..2)?)?;
            let minutes = number(
                digits
                    .get(2..)
                    .filter(|rest| !rest.is_empty())
                    .unwrap_or("0"),
            )?;
            let minutes = i64::from(hours * 60 + minutes);
            match sign {
                "+" => minutes,
                "-" => -minutes,
                _ => return None,
            }
        }
    };
    day.and_time(time)
        .checked_sub_signed(chrono::TimeDelta::try_minutes(ahead)?)
}

/// A time of a format, as UTC; a date without a time of day is its midnight.
fn named(text: &str, items: &[Item<'_>]) -> Option<NaiveDateTime> {
    let mut parsed = Parsed::new();
    chrono::format::parse(&mut parsed, text, items.iter()).ok()?;
    if let Ok(time) = parsed.to_naive_datetime_with_offset(parsed.offset().unwrap_or_default()) {
        let ahead = chrono::TimeDelta::try_seconds(i64::from(parsed.offset().unwrap_or_default()))?;
        // Of a Unix time (`%s`), the offset is none of the text's.
        return match parsed.timestamp() {
            Some(_) => Some(time),
            None => time.checked_sub_signed(ahead),
        };
    }
    Some(parsed.to_naive_date().ok()?.and_time(NaiveTime::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Option<&str>, texts: &[&str]) -> Result<Vec<f64>, LineProblem> {
        let mut times = Times::new(format).unwrap();
        texts
            .iter()
            .map(|text| times.next(text, || "t".to_owned(), &[]))
            .collect()
    }

    #[test]
    fn dates_are_unix_times() {
        // Python: datetime.datetime(...).timestamp(), in UTC.
        for (text, expected) in [
            ("2023-05-04", 1683158400.0),
            ("2023-05-04 10:20", 1683195600.0),
            ("2023-05-04T10:20:30", 1683195630.0),
            ("2023-05-04T10:20:30Z", 1683195630.0),
            ("2023-05-04 10:20:30 UTC", 1683195630.0),
            ("2023-05-04T10:20:30.250+02:00", 1683188430.25),
            ("2023-05-04 10:20:30-0530", 1683215430.0),
            ("1969-12-31 23:59:59", -1.0),
        ] {
            assert_eq!(read(None, &[text]), Ok(vec![expected]), "{text}");
        }
        for wrong in [
            "2023-13-04",
            "2023-05-04 25:00",
            "2023-05-04 10:20 PM",
            "2023-05-04T10:20:30+1",
            "2300-01-01",
        ] {
            assert!(read(None, &[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_format_says_how_times_are_written() {
        for (format, text, expected) in [
            ("%d/%b/%Y", "04/May/2023", 1683158400.0),
            (
                "%m/%d/%Y %I:%M:%S %p",
                "11/15/2019 8:55:22 AM",
                1573808122.0,
            ),
            (
                "%a %b %d %H:%M:%S %z %Y",
                "Fri Jul 07 14:24:45 -0700 2017",
                1499462685.0,
            ),
            ("%m %d, %Y", "07 3, 2014", 1404345600.0),
            ("%Y%m%d", "20230504", 1683158400.0),
            ("%s", "12", 12.0),
        ] {
            assert_eq!(read(Some(format), &[text]), Ok(vec![expected]), "{format}");
        }
        assert!(read(Some("%d/%b/%Y"), &["2023-05-04"]).is_err());
        assert!(Times::new(Some("%Q")).is_err());
    }

    #[test]
    fn what_a_float_does_not_hold_is_kept_beside_it_or_refused() {
        assert_eq!(read(None, &["-5", "1.5", "-0"]), Ok(vec![-5.0, 1.5, 0.0]));
        for wrong in ["9007199254740993.0", "1e16", "NaN", "inf", "soon", ""] {
            assert!(read(None, &[wrong]).is_err(), "{wrong}");
        }
        for (first, second) in [
            ("1700000000123456789", "1700000000123456788"),
            (
                "2023-05-04T10:20:30.000000002",
                "2023-05-04T10:20:30.000000001",
            ),
        ] {
            let mut times = Times::new(None).unwrap();
            let mut rows = Vec::new();
            for (item, text) in [(0, first), (1, second)] {
                let time = times.next(text, || "t".to_owned(), &rows).unwrap();
                rows.push(Interaction {
                    user: 0,
                    item,
                    time,
                });
            }
            times.order(&mut rows);
            assert_eq!([rows[0].item, rows[1].item], [1, 0], "{first}");
        }
    }
}
