//! An engine that is a process of its own, `genair-llama` or `genair-encoder`: a crash or an
//! out-of-memory kill costs the items it had in hand.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use genair_process::{Heard, Worker};
use genair_protocol::{EngineEvent, EngineItem, EngineRequest};

use super::{Engine, EngineError};
use crate::installation::build_command;

/// How often requests to stop are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long a worker that has closed its output may take to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest line a worker may write: the tokens of the longest prompt, or vectors.
const MAX_LINE: usize = 64 << 20;
/// Bytes of a worker's log that are read for an error.
const LOG_END: u64 = 4096;
/// Lines of it that an error shows.
const LOG_LINES: usize = 10;

/// See the module.
#[derive(Debug)]
pub(crate) struct WorkerEngine {
    /// The binary.
    pub(crate) program: PathBuf,
    /// What it must call itself; it may add how it was built.
    pub(crate) engine: String,
    /// What it is to do.
    pub(crate) request: EngineRequest,
    /// Where its request and its log are kept; is there.
    pub(crate) folder: PathBuf,
}

impl Engine for WorkerEngine {
    fn run(
        &mut self,
        items: Vec<EngineItem>,
        on_event: &mut dyn FnMut(EngineEvent) -> ControlFlow<()>,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<(), EngineError> {
        // Other reasons are told where it does not start.
        if self.program.try_exists().is_ok_and(|is_there| !is_there) {
            return Err(EngineError::NoWorker {
                path: self.program.clone(),
                command: build_command(&self.program),
            });
        }
        let count = items.len();
        let mut process = self.start(items).map_err(|source| EngineError::Start {
            path: self.program.clone(),
            source,
        })?;
        let mut records = 0;
        loop {
            if interrupted() {
                return Err(EngineError::Interrupted);
            }
            let line = match process.worker.hear(TICK) {
                Ok(Heard::Line(line)) => line,
                Ok(Heard::Nothing) => continue,
                Ok(Heard::End) => break,
                Err(source) => {
                    let path = self.program.clone();
                    return Err(EngineError::Start { path, source });
                }
            };
            let event = self.event(&line)?;
            records += usize::from(matches!(event, EngineEvent::Record(_)));
            if on_event(event).is_break() {
                return Ok(());
            }
        }
        let status = process.worker.child.wait(PATIENCE);
        if records == count && status.is_some_and(|status| status.success()) {
            return Ok(());
        }
        Err(EngineError::Died {
            path: self.program.clone(),
            ending: status.map_or_else(|| "was lost".to_owned(), |status| ending(status, records)),
            log: end_of_log(&process.log).unwrap_or_default(),
        })
    }
}

impl WorkerEngine {
    fn start(&self, items: Vec<EngineItem>) -> io::Result<Process> {
        let name = self.program.file_name().unwrap_or_default();
        let beside = |end: &str| {
            self.folder
                .join(format!("{}.{end}", name.to_string_lossy()))
        };
        let (request, log) = (beside("request.json"), beside("log"));
        let text = serde_json::to_vec_pretty(&self.request)?;
        genair_files::write(&request, &text)?;
        let threads = self.request.threads.to_string();
        let mut command = genair_process::command(&self.program);
        command
            .arg("run")
            .arg(&request)
            .stdin(Stdio::piped())
            .stderr(File::create(&log)?)
            // Read when libgomp loads, so they must be set before the process starts.
            .env("OMP_NUM_THREADS", &threads)
            .env("OMP_WAIT_POLICY", "passive");
        // In a group of its own: Ctrl-C in the terminal reaches this process alone.
        let mut worker = Worker::start(&mut command, MAX_LINE)?;
        // It has a thread for each core, and runs train beside it.
        worker.child.yield_processor();
        if let Some(stdin) = worker.child.take_stdin() {
            let feeding = genair_process::spawn("hands over items", move || feed(stdin, items));
            feeding.map_err(|refused| refused.source)?;
        }
        Ok(Process { worker, log })
    }

    fn event(&self, line: &str) -> Result<EngineEvent, EngineError> {
        let path = self.program.clone();
        match serde_json::from_str(line) {
            Ok(EngineEvent::Failed { message, hint }) => Err(EngineError::Failed {
                path,
                message,
                hint,
            }),
            Ok(EngineEvent::Ready { engine, .. }) if !is_version(&engine, &self.engine) => {
                Err(EngineError::Version {
                    path,
                    found: engine,
                    expected: self.engine.clone(),
                })
            }
            Ok(event) => Ok(event),
            Err(source) => Err(EngineError::Garbled {
                path,
                said: line.chars().take(120).collect(),
                source,
            }),
        }
    }
}

/// Whether what a worker calls itself is the expected version, followed by nothing but remarks.
fn is_version(found: &str, expected: &str) -> bool {
    found
        .strip_prefix(expected)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// A running worker. Dropping it ends it.
struct Process {
    worker: Worker,
    log: PathBuf,
}

/// Hands over the items, as fast as the worker takes them. A worker that ended takes none: how it ended is
/// told by the other side.
fn feed(stdin: impl Write, items: Vec<EngineItem>) {
    let mut stdin = io::LineWriter::new(stdin);
    for item in items {
        let written = serde_json::to_writer(&mut stdin, &item).map_err(io::Error::from);
        if written.and_then(|()| stdin.write_all(b"\n")).is_err() {
            return;
        }
    }
}

fn ending(status: ExitStatus, records: usize) -> String {
    if let Some(signal) = status.signal() {
        let memory = if signal == 9 {
            " (if nobody killed it, memory ran out: lower `parallel`)"
        } else {
            ""
        };
        return format!("was ended by signal {signal}{memory} after {records} records");
    }
    format!("ended with {status} after {records} records")
}

/// The last lines of a log.
pub(crate) fn end_of_log(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_END)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let start = lines.len().saturating_sub(LOG_LINES);
    Ok(lines[start..].join("\n"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use genair_protocol::EngineTask;

    use super::*;

    /// A worker that is a shell script.
    fn worker(script: &str) -> (tempfile::TempDir, WorkerEngine) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("genair-llama");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let engine = WorkerEngine {
            program,
            engine: "echo 1".to_owned(),
            request: EngineRequest {
                model: "model.gguf".into(),
                task: EngineTask::Encode,
                parallel: 2,
                threads: 3,
            },
            folder: folder.path().to_owned(),
        };
        (folder, engine)
    }

    const READY: &str =
        "echo '{\"event\":\"ready\",\"engine\":\"echo 1 (openmp)\",\"width\":1,\"context\":9}'\n";

    /// Says a record for each item, taking the key off the line.
    const ECHO: &str = "while read line; do key=${line#*:\\\"}; key=${key%%\\\"*}; echo \"{\\\"event\\\":\\\"record\\\",\\\"key\\\":\\\"$key\\\",\\\"text\\\":\\\"\\\",\\\"prompt_tokens\\\":1,\\\"new_tokens\\\":0,\\\"ended\\\":\\\"given\\\",\\\"context\\\":\\\"AACAPw==\\\"}\"; done\n";

    fn items(count: usize) -> Vec<EngineItem> {
        (0..count)
            .map(|n| EngineItem {
                key: format!("key{n}"),
                prompt: "p".repeat(50),
                text: None,
            })
            .collect()
    }

    fn run(engine: &mut WorkerEngine, count: usize) -> (Result<(), EngineError>, Vec<EngineEvent>) {
        let mut events = Vec::new();
        let result = engine.run(
            items(count),
            &mut |event| {
                events.push(event);
                ControlFlow::Continue(())
            },
            &|| false,
        );
        (result, events)
    }

    #[test]
    fn items_go_in_and_events_come_out() {
        let script = format!(
            "{READY}echo \"$1 $OMP_NUM_THREADS $OMP_WAIT_POLICY\" >&2; test -s \"$2\" || exit 1\n{ECHO}"
        );
        let (folder, mut engine) = worker(&script);
        // More than a pipe holds, either way.
        let (result, events) = run(&mut engine, 2000);
        result.unwrap();
        assert_eq!(events.len(), 2001);
        assert!(matches!(&events[0], EngineEvent::Ready { width: 1, .. }));
        assert!(
            matches!(events.last(), Some(EngineEvent::Record(record)) if record.key == "key1999")
        );
        let log = std::fs::read_to_string(folder.path().join("genair-llama.log")).unwrap();
        assert_eq!(log, "run 3 passive\n");
    }

    #[test]
    fn every_way_to_fail_is_told_apart() {
        let message = |script: &str| {
            let (_folder, mut engine) = worker(script);
            let (result, _) = run(&mut engine, 3);
            result.unwrap_err().to_string()
        };
        for (script, expected) in [
            (
                "echo 'cannot allocate' >&2; exit 7",
                "ended with exit status: 7 after 0 records before it was done; it last said:\ncannot allocate",
            ),
            (
                &format!("{READY}kill -9 $$"),
                "signal 9 (if nobody killed it, memory ran out",
            ),
            (
                &format!("{READY}exit 0"),
                "exit status: 0 after 0 records before it was done; it said nothing",
            ),
            ("echo hello", "said \"hello\", which is no event; build it"),
            (
                "echo '{\"event\":\"failed\",\"message\":\"item k is too long\",\"hint\":\"shorten it\"}'",
                "genair-llama`: item k is too long; shorten it",
            ),
            (
                &READY.replace("echo 1", "echo 10"),
                "is `echo 10 (openmp)`, not `echo 1`",
            ),
        ] {
            let said = message(script);
            assert!(said.contains(expected), "{said}");
        }
        let (_folder, mut engine) = worker("");
        engine.program = "/no/such/genair-llama".into();
        let said = run(&mut engine, 1).0.unwrap_err().to_string();
        assert_eq!(
            said,
            "there is no worker binary `/no/such/genair-llama`; build it with `just llama`"
        );
    }

    #[test]
    fn a_worker_is_ended_on_request_and_when_nobody_listens() {
        let (_folder, mut engine) = worker(&format!("{READY}exec sleep 600"));
        let asked = std::cell::Cell::new(false);
        let result = engine.run(
            items(1),
            &mut |_| {
                asked.set(true);
                ControlFlow::Continue(())
            },
            &|| asked.get(),
        );
        assert!(matches!(result, Err(EngineError::Interrupted)));
        engine
            .run(items(1), &mut |_| ControlFlow::Break(()), &|| false)
            .unwrap();
    }
}
