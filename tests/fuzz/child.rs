//! Readers that are libraries, in a process of their own, so that a hang or an abort costs that process alone.
//!
//! The process is this test again: the parent writes a target and a path on a line, and the child says on a line
//! that it is done.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use genair_archetype::{
    ArchetypeSpec, ImportError, ImportFile, Installation, PcaError, PromptSpec, RowIds, VectorsForm,
};
use genair_calibration::Associations;
use genair_data::{Dataset, ItemVectors};
use genair_protocol::{DatasetKind, DatasetSpec, PluginReport, UnknownItems};
use genair_report::ReportSpec;
use genair_spec::{Backbones, SpecFile, SpecOptions};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::{MEMORY, PATIENCE};

/// Says that this process is the child.
const VARIABLE: &str = "GENAIR_FUZZ_CHILD";
/// What it says after each input.
const DONE: &str = "done with the input";

/// A process that reads hostile files, and its successors.
pub(crate) struct Child {
    log: PathBuf,
    running: Option<Running>,
}

struct Running {
    process: std::process::Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Child {
    /// A child whose standard error goes to a file in `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            log: folder.join("child.log"),
            running: None,
        }
    }

    /// Has a file read; what is wrong is how the child ends, or that it does not.
    pub(crate) fn attempt(&mut self, target: &str, path: &Path) -> Result<(), String> {
        let running = self.running.get_or_insert_with(|| start(&self.log));
        let sent = writeln!(running.input, "{target} {}", path.display());
        let answer = match sent {
            Ok(()) => wait(&running.lines),
            Err(_) => Err(RecvTimeoutError::Disconnected),
        };
        let Err(error) = answer else {
            return Ok(());
        };
        let mut running = self.running.take().unwrap();
        let _ = running.process.kill();
        let status = running.process.wait().unwrap();
        let said = std::fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said[..said.len().min(4_000)]).into_owned();
        Err(match error {
            RecvTimeoutError::Timeout => format!("did not end in {PATIENCE:?}"),
            RecvTimeoutError::Disconnected => format!("{status}; it said:\n{said}"),
        })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.process.kill();
            let _ = running.process.wait();
        }
    }
}

/// Waits for the child's word, whatever else the test harness says.
fn wait(lines: &Receiver<String>) -> Result<(), RecvTimeoutError> {
    loop {
        if lines.recv_timeout(PATIENCE)?.contains(DONE) {
            return Ok(());
        }
    }
}

fn start(log: &Path) -> Running {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child::serve", "--nocapture"])
        .env(VARIABLE, "1")
        .env("RUST_MIN_STACK", (8 << 20).to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::create(log).unwrap())
        .spawn()
        .unwrap();
    let (sender, lines) = channel();
    let output = BufReader::new(process.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    Running {
        input: process.stdin.take().unwrap(),
        process,
        lines,
    }
}

/// What the child does, and nothing where this process is no child.
#[test]
fn serve() {
    #[expect(clippy::disallowed_methods, reason = "set by the parent above")]
    if std::env::var_os(VARIABLE).is_none() {
        return;
    }
    let readers = Readers::new();
    limit_memory();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let (target, path) = line.split_once(' ').unwrap();
        readers.read(target, Path::new(path));
        println!("{DONE}");
    }
}

/// Leaves this process [`MEMORY`] beside what it has now.
fn limit_memory() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:"))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    let limit = Rlimit {
        current: Some((kib << 10) + MEMORY),
        maximum: None,
    };
    setrlimit(Resource::As, limit).unwrap();
}

/// What readers need beside the file.
struct Readers {
    plugins: Vec<PluginReport>,
    dataset: Dataset,
    synthetic: DatasetSpec,
}

impl Readers {
    fn new() -> Self {
        let synthetic = DatasetSpec {
            kind: DatasetKind::Synthetic,
            users: Some(20),
            catalogue: Some(30),
            ..DatasetSpec::default()
        };
        Self {
            plugins: plugins(),
            dataset: genair_data::load(&synthetic).unwrap(),
            synthetic,
        }
    }

    fn read(&self, target: &str, path: &Path) {
        match target {
            "specs" => self.spec(path),
            "reports" => tell(ReportSpec::read(path)),
            "data" => data(path),
            "vectors" => self.vectors(path),
            "gguf" => gguf(path),
            other => panic!("no target {other}"),
        }
    }

    fn spec(&self, path: &Path) {
        let read = |profiles| {
            let options = SpecOptions {
                profiles,
                overrides: Vec::new(),
            };
            SpecFile::read(path, &options)
        };
        let Ok(file) = read(Vec::new()).inspect_err(|error| drop(error.to_string())) else {
            return;
        };
        let backbones = Backbones {
            plugins: &self.plugins,
            accepts: &|_, all| vec![Ok(()); all.len()],
        };
        tell(file.expand(&backbones).map(|sweep| sweep.runs.len()));
        tell(file.datasets());
        tell(file.archetypes());
        drop((
            file.text(),
            file.representations(),
            file.resolve(&self.plugins).text,
        ));
        for profile in file.profiles().into_iter().take(3) {
            tell(read(vec![profile]).and_then(|file| file.expand(&backbones)));
        }
    }

    fn vectors(&self, path: &Path) {
        let ids = RowIds::Catalogue((1..=5).map(|id| format!("i{id}")).collect());
        for part in [None, Some("context".to_owned())] {
            let file = ImportFile {
                path: path.to_owned(),
                part,
            };
            for components in [0, 2] {
                tell(genair_archetype::import(
                    std::slice::from_ref(&file),
                    &ids,
                    &VectorsForm::components(components),
                    None,
                    // What reduces is a process of its own, which gets numbers and not the file.
                    &|rows, _| Err(PcaError::NoVariance { rows: rows.len() }),
                    &genair_archetype::Readers {
                        to_csv: &|_| Err(ImportError::Interrupted),
                        norm: None,
                    },
                ));
            }
        }
        tell(RowIds::read(path));
        tell(ItemVectors::read(path).and_then(|vectors| vectors.rows_for(&self.dataset, None)));
        tell(Associations::read(path, &self.dataset));
        tell(Dataset::read_prepared(path, &self.synthetic));
    }
}

/// Puts an error into words, as a command would.
fn tell<T, E: std::error::Error>(outcome: Result<T, E>) {
    if let Err(error) = outcome {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            text += &inner.to_string();
            cause = inner.source();
        }
        drop(text);
    }
}

/// A descriptor with a setting of each type, as the checks of a spec need one.
fn plugins() -> Vec<PluginReport> {
    let report = serde_json::json!([{
        "name": "sasrec",
        "path": "/nowhere/libgenair_backbone_sasrec.so",
        "sha256": "00",
        "descriptor": {
            "name": "sasrec", "version": "1", "summary": "", "reference": "",
            "parameters": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "hidden_size": { "type": "integer", "minimum": 1, "default": 64 },
                    "dropout": { "type": "number", "minimum": 0.0, "exclusiveMaximum": 1.0, "default": 0.5 },
                    "activation": { "enum": ["relu", "gelu"], "default": "relu" },
                    "causal": { "type": "boolean", "default": true },
                    "widths": { "type": "array", "items": { "type": "integer" }, "default": [1, 2] },
                    "inner": {
                        "type": "object",
                        "properties": { "depth": { "type": "integer", "default": 1 } },
                    },
                },
            },
        },
    }]);
    serde_json::from_value(report).unwrap()
}

fn data(path: &Path) {
    let folder = path.parent().unwrap();
    let name = path.file_name().unwrap().to_string_lossy();
    let is_recbole = name.starts_with("x.");
    // What the file at hand is not.
    let others: HashMap<&str, &str> = match is_recbole {
        true => HashMap::from([(
            "x.inter",
            "user_id:token\titem_id:token\nu\ta\nu\tb\nu\ta\n",
        )]),
        false => HashMap::from([("interactions.tsv", "user_id\titem_id\nu\ta\nu\tb\nu\ta\n")]),
    };
    let (other, text) = others.into_iter().next().unwrap();
    let is_items = name.starts_with("items.") || name.contains(".item");
    if is_items {
        std::fs::write(folder.join(other), text).unwrap();
    }
    for unknown_items in [UnknownItems::Keep, UnknownItems::Error] {
        let spec = DatasetSpec {
            kind: match is_recbole {
                true => DatasetKind::Recbole,
                false => DatasetKind::Table,
            },
            path: Some(folder.to_owned()),
            unknown_items: Some(unknown_items),
            ..DatasetSpec::default()
        };
        tell(genair_data::load(&spec).map(|dataset| dataset.sequences_sha256()));
        tell(genair_data::catalogue(&spec));
        tell(genair_data::fingerprint(&spec));
    }
    if is_items {
        std::fs::remove_file(folder.join(other)).unwrap();
    }
}

fn gguf(path: &Path) {
    let spec = ArchetypeSpec {
        model: Some(path.to_string_lossy().into_owned()),
        prompt: PromptSpec {
            chat: Some(true),
            ..PromptSpec::default()
        },
        ..ArchetypeSpec::default()
    };
    let item = serde_json::Map::from_iter([("title".to_owned(), "A film".into())]);
    let installation = Installation::new(path.with_extension("cache"));
    tell(genair_archetype::prompt(&item, &spec, &installation));
}
