use genair_protocol::{AnswerEnd, EngineTask};
use proptest::prelude::*;

use super::*;

fn settings() -> RecordSettings {
    RecordSettings {
        pooling: 1,
        engine: "fake 1".to_owned(),
        model: "fake".to_owned(),
        task: EngineTask::Encode,
        server: None,
    }
}

fn record(key: &str, text: &str) -> EngineRecord {
    EngineRecord {
        key: key.to_owned(),
        text: text.to_owned(),
        prompt_tokens: 3,
        new_tokens: 2,
        ended: AnswerEnd::Stop,
        context: "AACAPw==".to_owned(),
        archetype: None,
        tokens: None,
    }
}

fn open(folder: &Path) -> Result<(RecordLog, Vec<GenerationProgress>), RecordLogError> {
    let mut told = Vec::new();
    let log = RecordLog::open(folder, &settings(), &mut |event| told.push(event), &|| {
        false
    })?;
    Ok((log, told))
}

/// A folder whose log holds some records, and the log's path.
fn filled(records: &[EngineRecord]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    for record in records {
        log.append(record.clone()).unwrap();
    }
    log.close().unwrap();
    let path = folder.path().join(RECORDS);
    (folder, path)
}

#[test]
fn a_log_cut_at_any_byte_is_repaired_and_completed_without_a_doubled_key() {
    let records = [record("a", "one"), record("b", "zwei\nÄ"), record("c", "")];
    let (folder, path) = filled(&records);
    let bytes = std::fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..=bytes.len())
        .filter(|&n| n == 0 || bytes[n - 1] == b'\n')
        .collect();
    for length in 0..=bytes.len() {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let whole = *ends.iter().filter(|&&end| end <= length).max().unwrap();
        let readable = read(folder.path()).unwrap().len();
        let (mut log, told) = open(folder.path()).unwrap();
        let expected: Vec<GenerationProgress> = (whole < length)
            .then(|| GenerationProgress::Repaired {
                path: path.clone(),
                bytes: (length - whole) as u64,
            })
            .into_iter()
            .collect();
        assert_eq!(told, expected, "cut at byte {length}");
        assert_eq!(log.records().len(), readable);
        for record in &records {
            if !log.records().contains_key(&record.key) {
                log.append(record.clone()).unwrap();
            }
        }
        log.close().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "cut at byte {length}");
    }
}

#[test]
fn zeros_that_a_power_failure_left_are_cut_off() {
    let (folder, path) = filled(&[record("a", "one")]);
    let mut bytes = std::fs::read(&path).unwrap();
    let whole = bytes.len();
    bytes.resize(whole + 100, 0);
    std::fs::write(&path, &bytes).unwrap();
    let (log, told) = open(folder.path()).unwrap();
    assert_eq!(told, [GenerationProgress::Repaired { path, bytes: 100 }]);
    assert_eq!(log.records().len(), 1);
}

#[test]
fn any_other_bad_line_is_an_error_with_its_place() {
    let (folder, path) = filled(&[record("a", "one"), record("b", "two")]);
    let text = std::fs::read_to_string(&path).unwrap();
    let check = |text: &str, expected: &str| {
        std::fs::write(&path, text).unwrap();
        let message = open(folder.path()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            text,
            "left as it was"
        );
    };
    check(
        &text.replace("\"text\":\"two\"", "\"txt\":1"),
        "records.jsonl:2: not a record",
    );
    check(&text[1..], "records.jsonl:1: not a record");
    check(
        &format!("{text}{text}"),
        "records.jsonl:3: record `a` is on line 1 already",
    );
}

#[test]
fn a_folder_of_other_settings_is_refused() {
    let (folder, _) = filled(&[]);
    let path = folder.path().join(SETTINGS);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("fake 1", "fake 2")).unwrap();
    assert!(matches!(
        open(folder.path()),
        Err(RecordLogError::Settings { .. })
    ));
}

#[test]
fn a_second_process_waits_until_the_first_is_done() {
    let (folder, _) = filled(&[]);
    let (mut first, _) = open(folder.path()).unwrap();
    let (waits, waited) = std::sync::mpsc::channel();
    let path = folder.path().to_owned();
    let second = std::thread::spawn(move || {
        let mut told = |event| waits.send(event).unwrap();
        let log = RecordLog::open(&path, &settings(), &mut told, &|| false).unwrap();
        log.records().len()
    });
    let event = waited.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(
        event,
        GenerationProgress::Waiting {
            folder: folder.path().to_owned()
        }
    );
    first.append(record("a", "one")).unwrap();
    first.close().unwrap();
    assert_eq!(second.join().unwrap(), 1);
}

#[test]
fn waiting_ends_on_request() {
    let (folder, _) = filled(&[]);
    let (_first, _) = open(folder.path()).unwrap();
    let second = RecordLog::open(folder.path(), &settings(), &mut |_| {}, &|| true);
    assert!(matches!(second, Err(RecordLogError::Interrupted)));
}

proptest! {
    // Each case syncs files.
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_text_comes_back_as_it_was(texts in proptest::collection::vec(any::<String>(), 0..6)) {
        let records: Vec<EngineRecord> =
            texts.iter().enumerate().map(|(n, text)| record(&n.to_string(), text)).collect();
        let (folder, path) = filled(&records);
        let lines = std::fs::read(&path).unwrap().iter().filter(|&&byte| byte == b'\n').count();
        prop_assert_eq!(lines, records.len());
        let back = read(folder.path()).unwrap();
        for record in &records {
            prop_assert_eq!(&*back[&record.key], record);
        }
    }
}
