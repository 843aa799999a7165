//! Standard output, standard error and the log: the one place where text leaves for a terminal.
//!
//! Names and messages may come from files, databases and other programs. What would act on the terminal is
//! escaped here (`genair_protocol::text`), and messages are no longer than they can be read. JSON is exact.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use genair_protocol::text::{escaped, escaped_lines, shortened};
use indicatif::{MultiProgress, ProgressBar};
use itertools::Itertools;
use serde::Serialize;
use serde_json::Value;
use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::{Format, Global, LogFormat};
use crate::exit::Exit;

/// What is said where only a listing has the form that was asked for.
pub(crate) const NO_CSV: &str = "`--format csv` is for `recommend`, `results list`, `results leaderboard` and `results sql`; this command has text and json";

/// Where a command writes: its result to standard output, all else to standard error, above progress bars.
#[derive(Clone)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) bars: MultiProgress,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        let format = if global.quiet {
            Format::Quiet
        } else {
            global.format
        };
        let bars = MultiProgress::new();
        Self { format, bars }
    }

    /// Writes a result: `text` for people, `value` as JSON, or nothing. With that a command is done.
    pub(crate) fn show(
        &self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<Exit> {
        let text = match self.format {
            Format::Quiet => return Ok(Exit::Done),
            Format::Json => serde_json::to_string_pretty(value)?,
            Format::Csv => anyhow::bail!(NO_CSV),
            Format::Text => escaped_lines(&text()).into_owned(),
        };
        let text = text.trim_end();
        to_stdout(|out| match text {
            "" => Ok(()),
            text => Ok(writeln!(out, "{text}")?),
        })?;
        Ok(Exit::Done)
    }

    /// Writes a listing: as CSV (a header and rows of as many fields), or as [`Self::show`].
    pub(crate) fn list<const FIELDS: usize>(
        &self,
        value: &impl Serialize,
        headers: [&str; FIELDS],
        csv: impl FnOnce() -> Vec<[String; FIELDS]>,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<Exit> {
        if self.format != Format::Csv {
            return self.show(value, text);
        }
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(headers)?;
        for row in csv() {
            writer.write_record(row)?;
        }
        let bytes = writer.into_inner().context("cannot write CSV")?;
        to_stdout(|out| Ok(out.write_all(&bytes)?))?;
        Ok(Exit::Done)
    }

    /// Whether bars are drawn: there is a terminal to draw on, and somebody looks.
    pub(crate) fn draws(&self) -> bool {
        self.format != Format::Quiet && io::stderr().is_terminal()
    }

    /// Writes a line of news or a warning to standard error, unless that is to be quiet.
    pub(crate) fn note(&self, text: impl Display) {
        if self.format != Format::Quiet {
            self.error(text);
        }
    }

    /// Writes a line about a failure to standard error.
    pub(crate) fn error(&self, text: impl Display) {
        // Without a stderr there is nobody to tell.
        let write = || drop(writeln!(io::stderr(), "{}", message(text)));
        self.bars.suspend(write);
    }
}

/// Has `write` write to standard output: the one way there. Its end is written out when this returns.
///
/// # Errors
/// Those of `write`, and output that cannot be written. Only a closed pipe is none: whoever reads, such as
/// `head`, has seen enough; `write` is ended by it.
pub(crate) fn to_stdout(
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut out = Stdout {
        out: io::stdout().lock(),
        failed: None,
    };
    let written = {
        let mut buffer = io::BufWriter::new(&mut out);
        write(&mut buffer).and_then(|()| Ok(buffer.flush()?))
    };
    match out.failed {
        Some(error) => unless_closed(Err(error)),
        None => written,
    }
}

/// The result of writing to standard output.
///
/// # Errors
/// All but a closed pipe.
pub(crate) fn unless_closed(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output cannot be written"),
    }
}

/// Standard output that keeps the first reason why it could not be written.
struct Stdout<'o> {
    out: io::StdoutLock<'o>,
    failed: Option<io::Error>,
}

impl Stdout<'_> {
    fn noted<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failed.get_or_insert(error);
            }
            kind.into()
        })
    }
}

impl Write for Stdout<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        self.noted(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.noted(flushed)
    }
}

/// A message as it goes to a terminal: nothing in it acts on the terminal, and no line is longer than
/// [`genair_protocol::text::LONGEST_LINE`] characters.
pub(crate) fn message(text: impl Display) -> String {
    let text = text.to_string();
    escaped_lines(&shortened(&text)).into_owned()
}

/// Has a bar tick by itself, where the system gives it a thread; without one it moves with what it shows.
pub(crate) fn tick(bar: &ProgressBar, interval: Duration) {
    if genair_process::spare_threads(1).is_ok() {
        bar.enable_steady_tick(interval);
    }
}

/// Aligned columns; those named in `right` to the right.
pub(crate) fn table<R: IntoIterator<Item = String>>(
    headers: &[&str],
    right: &[&str],
    rows: impl IntoIterator<Item = R>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(headers.iter().map(|header| escaped(header)));
    for row in rows {
        table.add_row(row.into_iter().map(|cell| match cell.as_str() {
            "" => "-".to_owned(),
            cell => escaped(cell).into_owned(),
        }));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if headers.get(at).is_some_and(|header| right.contains(header)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// A line `key  value` for each entry of a JSON object that has a value.
pub(crate) fn facts(value: &impl Serialize) -> anyhow::Result<String> {
    let value = serde_json::to_value(value)?;
    let entries = value.as_object().into_iter().flatten();
    let entries: Vec<_> = entries.filter(|(_, value)| !value.is_null()).collect();
    let width = entries
        .iter()
        .map(|(key, _)| key.len())
        .max()
        .unwrap_or_default();
    let line = |(key, value): &(&String, &Value)| {
        format!("{:width$}  {}", words(key), escaped(&in_words(value)))
    };
    Ok(entries.iter().map(line).join("\n"))
}

/// A size such as `1.2 MB`.
pub(crate) fn bytes(size: u64) -> String {
    indicatif::DecimalBytes(size).to_string()
}

/// A JSON value as a table cell.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// As [`cell`], but with at most six decimals, and what is nested as `key value, key value`.
fn in_words(value: &Value) -> String {
    let list = |parts: Vec<String>| match parts.is_empty() {
        true => "none".to_owned(),
        false => parts.join(", "),
    };
    match value {
        Value::Number(number) if value.is_f64() => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            ((number * 1e6).round() / 1e6).to_string()
        }
        Value::Array(values) => list(values.iter().map(in_words).collect()),
        Value::Object(entries) => {
            let entries = entries.iter().filter(|(_, value)| !value.is_null());
            let part =
                |(key, value): (&String, &Value)| format!("{} {}", words(key), in_words(value));
            list(entries.map(part).collect())
        }
        _ => cell(value),
    }
}

/// A key as people read it.
fn words(key: &str) -> String {
    key.replace('_', " ")
}

/// A metric's value with four places, or nothing.
pub(crate) fn metric(value: Option<f64>) -> String {
    value.map(|value| format!("{value:.4}")).unwrap_or_default()
}

/// Sends log messages to standard error, above progress bars.
pub(crate) fn start_logging(global: &Global, bars: &MultiProgress) {
    let loudness = i16::from(global.verbose) - i16::from(global.quiet);
    // What a library warns of is no news to who uses this program, so it is one step quieter.
    let (own, others) = (level(loudness), level(loudness - 1));
    let filter = Targets::new()
        .with_default(others)
        .with_target("genair", own);
    let bars = bars.clone();
    let log = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        // Without a stderr there is nobody to tell, and a message about that would end the program.
        .log_internal_errors(false)
        .with_writer(move || AboveBars(bars.clone()));
    match global.log_format {
        LogFormat::Text => {
            let log = log
                .without_time()
                .with_target(false)
                .fmt_fields(debug_fn(field).delimited(" "));
            registry().with(filter).with(log).init();
        }
        LogFormat::Json => registry().with(filter).with(log.json()).init(),
    }
}

fn level(loudness: i16) -> LevelFilter {
    match loudness {
        ..=-2 => LevelFilter::OFF,
        -1 => LevelFilter::ERROR,
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        3.. => LevelFilter::TRACE,
    }
}

/// A field of a log message as text.
fn field(to: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = message(format_args!("{value:?}"));
    match field.name() {
        "message" => write!(to, "{value}"),
        name => write!(to, "{name}={value}"),
    }
}

struct AboveBars(MultiProgress);

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
