//! Runs as TensorBoard event files.
//!
//! A file is a row of records (length, its checksum, data, its checksum), each an `Event` of TensorFlow's
//! `event.proto`, of which only the few fields that scalars need are here.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use genair_store::{EpochMetric, MetricRecord, RunDetails, RunFilter, RunSummary, Store};
use itertools::Itertools;
use prost::Message;
use serde::Serialize;

use super::{milliseconds, stop_metric};
use crate::ReportError;
use crate::write::{failed, write_file};

/// The file of a run. TensorBoard looks for `tfevents` in the name.
const FILE: &str = "events.out.tfevents.0000000000.genair";

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventFiles {
    /// The folder; TensorBoard's `--logdir`.
    pub folder: PathBuf,
    /// Runs that have a file, one for each sweep a run belongs to.
    pub runs: usize,
    /// Events in all files.
    pub events: usize,
}

/// Writes `folder/SWEEP/RUN/`, named after the sweep's name and the run's labels, each with one event file, for every run of `sweep`, or of all, that was ever
/// begun: loss, calibration term and validation by epoch, results at the best epoch.
///
/// Done again it adds to the files what came to the database since, so that a TensorBoard that is open
/// follows; a run that was begun anew gets a new file.
///
/// # Errors
/// A sweep that is not there; a file that cannot be written.
pub fn export_tensorboard(
    store: &mut Store,
    folder: &Path,
    sweep: Option<&str>,
) -> Result<EventFiles, ReportError> {
    if let Some(name) = sweep {
        store.require_sweep(Some(name))?;
    }
    let runs = store.list_runs(&RunFilter {
        sweep: sweep.map(str::to_owned),
        ..RunFilter::default()
    })?;
    let mut written = EventFiles {
        folder: folder.to_owned(),
        runs: 0,
        events: 0,
    };
    for run in runs {
        let details = store.show_run(run.run_id)?;
        let Some(started) = details.run.started_at.as_deref() else {
            continue;
        };
        let of_epochs = store.epoch_metrics(run.run_id)?;
        let events = events(&details, &of_epochs, seconds(started));
        let records = events
            .iter()
            .flat_map(|event| record(&event.encode_to_vec()));
        let folder = folder.join(file_name(&run.sweep)).join(run_folder(&run));
        write(&folder.join(FILE), &records.collect::<Vec<u8>>())?;
        written.runs += 1;
        written.events += events.len();
    }
    Ok(written)
}

/// A moment as seconds since 1970.
fn seconds(moment: &str) -> f64 {
    milliseconds(moment).unwrap_or_default() as f64 / 1000.0
}

fn run_folder(run: &RunSummary) -> String {
    let own = &run.labels;
    let labels = [&own.dataset, &own.backbone, &own.representation];
    let mut name = format!("{:05}-{}", run.run_id.0, labels.iter().join("-"));
    if !own.axes.is_empty() {
        name += &format!("-{}", own.axes);
    }
    file_name(&format!("{name}-seed{}", own.seed))
}

/// Bytes of a folder's name at the most. Most file systems take 255, one that encrypts names 143.
const LONGEST_NAME: usize = 140;

/// A name that is a file's on any system: the text itself where it can be, else as much of it as can be and
/// a hash of the whole, so that no two texts share a name.
fn file_name(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '=' | ',');
    let name = text.chars().map(|c| if plain(c) { c } else { '_' });
    let name: String = name.collect();
    let name = name.trim_start_matches('.');
    if name == text && !name.is_empty() && name.len() <= LONGEST_NAME {
        return name.to_owned();
    }
    let mut hash = genair_files::sha256(text);
    hash.truncate(12);
    let room = LONGEST_NAME - hash.len() - 1;
    let kept = &name[..name.floor_char_boundary(room)];
    format!("{}-{hash}", if kept.is_empty() { "_" } else { kept })
}

fn tag(row: &MetricRecord) -> String {
    let measured = format!("{}@{}", row.metric, row.k);
    format!("{}/{}/{}/{measured}", row.split, row.protocol, row.cohort)
}

/// Everything a run has told, in the order it came; `started` in seconds since 1970.
fn events(run: &RunDetails, of_epochs: &[EpochMetric], started: f64) -> Vec<Event> {
    let monitor = format!("valid/{}", stop_metric(&run.run.spec));
    let mut events = vec![Event {
        wall_time: started,
        file_version: Some("brain.Event:2".to_owned()),
        ..Event::default()
    }];
    let mut time = started;
    let item_space = |trained: bool| {
        let own = run.diagnostics.iter();
        let own = own.filter(move |own| (own.epoch > 0) == trained);
        own.map(|own| (format!("item space/{}", own.name), own.value))
    };
    events.extend(Event::scalars(time, 0, item_space(false)));
    for epoch in &run.epochs {
        time += epoch.train_seconds;
        let mut values = vec![("train/loss".to_owned(), epoch.loss)];
        let calibration = epoch.calibration;
        values.extend(calibration.map(|value| ("train/calibration".to_owned(), value)));
        values.extend(epoch.valid.map(|value| (monitor.clone(), value)));
        let own = of_epochs.iter().filter(|own| own.epoch == epoch.epoch);
        values.extend(own.map(|own| (tag(&own.metric), own.metric.value)));
        events.extend(Event::scalars(time, epoch.epoch, values));
    }
    if let Some(finished) = run.run.finished_at.as_deref() {
        let result = run.metrics.iter();
        let result = result.map(|own| (format!("result/{}", tag(own)), own.value));
        let values = result.chain(item_space(true));
        let best = run.run.best_epoch.unwrap_or_default();
        events.extend(Event::scalars(seconds(finished), best, values));
    }
    events
}

/// Writes `bytes`, or where the file has their beginning already, the rest of them.
fn write(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let there = std::fs::read(path).ok();
    match there.as_deref().and_then(|there| bytes.strip_prefix(there)) {
        Some(rest) => OpenOptions::new()
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(rest))
            .map_err(|source| failed(path, source)),
        None => write_file(path, bytes),
    }
}

/// A record of a TFRecord file.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_crc(data).to_le_bytes());
    record
}

/// TensorFlow's form of a CRC-32C, so that a checksum of data with checksums in it is none of theirs.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

/// `tensorflow.Event`.
#[derive(Clone, PartialEq, prost::Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

/// `tensorflow.Summary`.
#[derive(Clone, PartialEq, prost::Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

/// `tensorflow.Summary.Value`.
#[derive(Clone, PartialEq, prost::Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

impl Event {
    /// One event of several scalars; none of none.
    fn scalars(
        wall_time: f64,
        step: u64,
        values: impl IntoIterator<Item = (String, f64)>,
    ) -> Option<Self> {
        let scalar = |(tag, value): (String, f64)| Scalar {
            tag,
            simple_value: Some(value as f32),
        };
        let value: Vec<Scalar> = values.into_iter().map(scalar).collect();
        (!value.is_empty()).then(|| Self {
            wall_time,
            step: step as i64,
            summary: Some(Summary { value }),
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_those_that_tensorboard_writes() {
        // From Python: `tensorboard.summary.writer.record_writer.RecordWriter(f).write(b"abc")`, and CRC-32C's
        // check value for "123456789" (RFC 3720).
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        let hex: String = record(b"abc")
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, "0300000000000000b099490e6162636e57f121");
        // `event_pb2.Event(wall_time=1.5, step=3, summary=Summary(value=[Value(tag="a", simple_value=0.5)]))`
        let event = Event::scalars(1.5, 3, [("a".to_owned(), 0.5)]).unwrap();
        let hex: String = event
            .encode_to_vec()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, "09000000000000f83f10032a0a0a080a0161150000003f");
        assert_eq!(Event::scalars(1.5, 3, []), None);
    }

    #[test]
    fn every_text_has_a_folder_s_name_of_its_own() {
        let long = format!("00001-tiny-sasrec-id-prompt={}", "é".repeat(5000));
        let texts = [
            "main",
            "a/b",
            "a_b",
            "a b",
            ".",
            "..",
            "",
            "_",
            ".hidden",
            "hidden",
            &long,
            &format!("{long}!"),
            &long[..200],
        ];
        let names: Vec<String> = texts.iter().map(|text| file_name(text)).collect();
        for (text, name) in std::iter::zip(texts, &names) {
            assert!((1..=LONGEST_NAME).contains(&name.len()), "{text}: {name}");
            assert!(
                !name.starts_with('.') && !name.contains('/'),
                "{text}: {name}"
            );
            let same = names.iter().filter(|other| *other == name).count();
            assert_eq!(same, 1, "{text}: {name}");
        }
        assert_eq!(names[0], "main");
        assert!(file_name("main/α=1e-4 x").starts_with("main_α=1e-4_x-"));
        assert!(
            names[10].starts_with("00001-tiny-sasrec-id-prompt=éé"),
            "{}",
            names[10]
        );
    }

    #[test]
    fn what_is_there_is_added_to_and_what_is_other_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/folder/file");
        for (bytes, kept) in [("ab", false), ("abcd", true), ("abcd", true), ("xy", false)] {
            let before = std::fs::File::open(&path).ok();
            write(&path, bytes.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), bytes);
            // A reader that has it open sees what was added.
            if let (Some(mut before), true) = (before, kept) {
                let mut text = String::new();
                std::io::Read::read_to_string(&mut before, &mut text).unwrap();
                assert_eq!(text, bytes);
            }
        }
    }
}
