//! Which columns of a file are users, items, times and ratings.

use std::collections::HashSet;
use std::fmt;

use genair_protocol::{Column, Columns, FormatKind};

use super::sample::Sample;

/// Columns by their meaning.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Names {
    pub(super) user: usize,
    pub(super) item: usize,
    pub(super) time: Option<usize>,
    rating: Option<usize>,
    pub(super) time_form: TimeForm,
    columns: Columns,
    /// Whether names and not the places told users from items.
    by_name: bool,
}

/// How times are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum TimeForm {
    #[default]
    None,
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
    /// Numbers that are no Unix times of these decades.
    Numbers,
    Iso,
    Named(String),
}

impl fmt::Display for TimeForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Seconds => f.write_str("Unix times in seconds"),
            Self::Milliseconds => f.write_str("Unix times in milliseconds"),
            Self::Microseconds => f.write_str("Unix times in microseconds"),
            Self::Nanoseconds => f.write_str("Unix times in nanoseconds"),
            Self::Numbers => f.write_str("numbers, and no Unix times"),
            Self::Iso => f.write_str("ISO 8601"),
            Self::Named(format) => write!(f, "of the form {format}"),
        }
    }
}

/// Names that columns have in published logs, without signs and in lower case, the likeliest first.
const USERS: [&str; 14] = [
    "userid",
    "user",
    "reviewerid",
    "sessionid",
    "uid",
    "username",
    "customerid",
    "visitorid",
    "memberid",
    "accountid",
    "u",
    "reviewer",
    "session",
    "profile",
];
const ITEMS: [&str; 24] = [
    "itemid",
    "item",
    "parentasin",
    "asin",
    "movieid",
    "businessid",
    "productid",
    "videoid",
    "bookid",
    "newsid",
    "isbn",
    "trackid",
    "songid",
    "traid",
    "artistid",
    "gameid",
    "articleid",
    "iid",
    "itemsku",
    "sku",
    "movie",
    "product",
    "i",
    "placeid",
];
const TIMES: [&str; 16] = [
    "timestamp",
    "time",
    "unixreviewtime",
    "timems",
    "dateadded",
    "date",
    "datetime",
    "eventtime",
    "createdat",
    "timeframe",
    "eventdate",
    "day",
    "reviewtime",
    "at",
    "t",
    "order",
];
const RATINGS: [&str; 8] = [
    "rating",
    "overall",
    "stars",
    "score",
    "bookrating",
    "rate",
    "r",
    "isclick",
];

/// Formats of strftime that are tried on times that are neither numbers nor ISO 8601.
const FORMATS: [&str; 10] = [
    "%a %b %d %H:%M:%S %z %Y",
    "%d/%b/%Y:%H:%M:%S %z",
    "%d/%b/%Y %H:%M:%S",
    "%d/%b/%Y",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%m %d, %Y",
    "%Y/%m/%d %H:%M:%S",
];

fn plain(name: &str) -> String {
    let name = name.split(':').next().unwrap_or(name);
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// Whether a column of this name is in many logs.
pub(super) fn is_known(name: &str) -> bool {
    let name = plain(name);
    let lists: [&[&str]; 4] = [&USERS, &ITEMS, &TIMES, &RATINGS];
    lists.iter().any(|list| list.contains(&name.as_str()))
}

/// Whether a text is a date of ISO 8601.
pub(super) fn is_date(text: &str) -> bool {
    let text = text.trim().as_bytes();
    text.len() >= 10
        && text[4] == b'-'
        && text[7] == b'-'
        && text[..4].iter().all(u8::is_ascii_digit)
}

/// Whether a text is a time of one of the known formats.
pub(super) fn is_time(text: &str) -> bool {
    format_of(text.trim()).is_some()
}

fn format_of(text: &str) -> Option<&'static str> {
    FORMATS.into_iter().find(|format| {
        let mut parsed = chrono::format::Parsed::new();
        let items = chrono::format::StrftimeItems::new(format);
        chrono::format::parse(&mut parsed, text, items).is_ok()
    })
}

/// What the columns of a file mean; `None` if it is no log.
pub(super) fn guess_columns(sample: &Sample) -> Option<Names> {
    if sample.kind == FormatKind::Sequences {
        return Some(Names {
            user: 0,
            item: 1,
            time: None,
            rating: None,
            time_form: TimeForm::None,
            columns: Columns::default(),
            by_name: false,
        });
    }
    let has_names = sample.has_header || sample.kind != FormatKind::Delimited;
    match has_names {
        true => by_names(sample),
        false => by_values(sample),
    }
}

fn by_names(sample: &Sample) -> Option<Names> {
    let names: Vec<String> = sample.header.iter().map(|name| plain(name)).collect();
    let find = |list: &[&str]| {
        list.iter()
            .find_map(|wanted| names.iter().position(|name| name == wanted))
    };
    // A column with one value for all is no column of users.
    let varies = |column: &usize| sample.column(*column).collect::<HashSet<_>>().len() > 1;
    let among = |list: &[&str]| {
        let mut found = list
            .iter()
            .filter_map(|wanted| names.iter().position(|name| name == wanted));
        found.find(varies)
    };
    let (user, item) = (among(&USERS)?, among(&ITEMS)?);
    let mut time = find(&TIMES);
    // A column of a fitting name may be full of something else.
    time = time.filter(|time| time_form(sample, *time) != TimeForm::None);
    let rating = find(&RATINGS).filter(|rating| is_numeric(sample, *rating));
    let name = |column: usize| {
        let name = &sample.header[column];
        Column::from(if sample.is_recbole() {
            name.split(':').next().unwrap_or(name)
        } else {
            name
        })
    };
    let is_default = |column: Option<usize>, names: &[&str]| {
        column.is_none_or(|column| names.iter().any(|own| name(column) == Column::from(*own)))
    };
    let says_nothing = rating.is_some_and(|rating| has_unrated(sample, rating));
    let columns = Columns {
        user: name(user),
        item: name(item),
        time: time
            .filter(|_| !is_default(time, &["timestamp", "order"]))
            .map(name),
        rating: match says_nothing {
            true => Some(Column::Off),
            false => rating
                .filter(|_| !is_default(rating, &["rating"]))
                .map(name),
        },
    };
    Some(Names {
        user,
        item,
        time,
        rating,
        time_form: time.map(|time| time_form(sample, time)).unwrap_or_default(),
        columns,
        by_name: true,
    })
}

/// The first column is the user; of the others, the one with times is the time, a narrow range of numbers is a rating,
/// and the one with most values is the item.
fn by_values(sample: &Sample) -> Option<Names> {
    let width = sample.header.len();
    let distinct = |column: usize| sample.column(column).collect::<HashSet<_>>().len();
    let time = (1..width).find(|column| {
        !matches!(
            time_form(sample, *column),
            TimeForm::None | TimeForm::Numbers
        )
    });
    let others = (1..width).filter(|column| Some(*column) != time);
    let is_rating = |column: &usize| {
        let numbers: Option<Vec<f64>> = sample
            .column(*column)
            .map(|text| text.trim().parse().ok())
            .collect();
        let in_range = |numbers: Vec<f64>| {
            numbers
                .iter()
                .all(|number| (0.0..=10.0).contains(number) && (number * 2.0).fract() == 0.0)
        };
        width > 2 && distinct(*column) <= 11 && numbers.is_some_and(in_range)
    };
    // Coordinates are no items.
    let is_fraction = |column: &usize| {
        let mut texts = sample.column(*column);
        texts.any(|text| text.contains('.') && text.trim().parse::<f64>().is_ok())
    };
    let items = others.clone().filter(|column| !is_fraction(column));
    let item = items.max_by_key(|column| (distinct(*column), usize::MAX - column))?;
    let rating = others.filter(|column| *column != item).find(is_rating);
    let position = |column: usize| Column::Position(column as u32 + 1);
    Some(Names {
        user: 0,
        item,
        time,
        rating,
        time_form: time.map(|time| time_form(sample, time)).unwrap_or_default(),
        columns: Columns {
            user: position(0),
            item: position(item),
            time: time.map(position),
            rating: rating.map(|rating| match has_unrated(sample, rating) {
                true => Column::Off,
                false => position(rating),
            }),
        },
        by_name: false,
    })
}

/// Whether ratings have a 0 that says that there is none, on a scale of more than 0 and 1.
fn has_unrated(sample: &Sample, rating: usize) -> bool {
    let numbers = sample
        .column(rating)
        .filter_map(|text| text.trim().parse::<f64>().ok());
    let numbers: Vec<f64> = numbers.collect();
    numbers.contains(&0.0) && numbers.iter().any(|number| *number > 1.0)
}

fn is_numeric(sample: &Sample, column: usize) -> bool {
    sample
        .column(column)
        .all(|text| text.trim().parse::<f64>().is_ok())
}

/// How the times of a column are written, by all values that are there.
fn time_form(sample: &Sample, column: usize) -> TimeForm {
    let texts: Vec<&str> = sample
        .column(column)
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .collect();
    let Some(first) = texts.first() else {
        return TimeForm::None;
    };
    if texts.iter().all(|text| is_date(text)) {
        return TimeForm::Iso;
    }
    let numbers: Option<Vec<f64>> = texts.iter().map(|text| text.parse().ok()).collect();
    match numbers {
        Some(numbers) => {
            // From 1991 to 2033, or 0.
            let all = |unit: f64| {
                numbers
                    .iter()
                    .all(|number| (6.6e8..2e9).contains(&(number / unit)) || *number == 0.0)
            };
            let units = [
                (1.0, TimeForm::Seconds),
                (1e3, TimeForm::Milliseconds),
                (1e6, TimeForm::Microseconds),
                (1e9, TimeForm::Nanoseconds),
            ];
            let form = units
                .into_iter()
                .find(|(unit, _)| all(*unit) && numbers.iter().any(|number| *number != 0.0));
            form.map_or(TimeForm::Numbers, |(_, form)| form)
        }
        None => {
            format_of(first).map_or(TimeForm::None, |format| TimeForm::Named(format.to_owned()))
        }
    }
}

impl Names {
    /// How a spec names them.
    pub(super) fn columns(&self) -> Columns {
        self.columns.clone()
    }

    /// How sure it is that this is the log.
    pub(super) fn score(&self) -> usize {
        usize::from(self.by_name) * 2
            + usize::from(self.time.is_some())
            + usize::from(self.rating.is_some())
    }

    /// What is not sure.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.by_name && self.columns != Columns::default() {
            warnings
                .push("the file has no header: check which columns are users and items".to_owned());
        }
        if self.columns.rating == Some(Column::Off) {
            let what = "some ratings are 0, which seems to say that there is none";
            warnings.push(format!("{what}: `columns.rating = false` keeps these rows"));
        }
        if self.time_form == TimeForm::Numbers {
            warnings.push(
                "times are numbers, but no Unix times: a split by date is not possible".to_owned(),
            );
        }
        warnings
    }
}
