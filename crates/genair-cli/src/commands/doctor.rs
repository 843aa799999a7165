//! `genair doctor`: what is there, what is missing, what to do.

use std::path::Path;

use genair_runner::{CODE_DIRTY, CODE_REVISION, ClusterTrial, TrialError, try_slurm};
use genair_spec::{SlurmSettings, SpecFile, SpecOptions};
use genair_store::Store;
use itertools::Itertools;
use serde::Serialize;

use super::Workshop;
use crate::args::{DatabaseArgs, DoctorArgs, ExecutorChoice};
use crate::exit::Exit;
use crate::output::{Output, cell};

#[derive(Serialize)]
struct Finding {
    topic: String,
    /// Whether a sweep can run with this as it is.
    fine: bool,
    found: String,
    /// What to do, if anything.
    fix: Option<String>,
}

#[derive(Serialize)]
struct Diagnosis {
    /// Whether a sweep could run.
    ready: bool,
    findings: Vec<Finding>,
}

pub(super) fn doctor(output: &Output, arguments: &DoctorArgs) -> anyhow::Result<Exit> {
    let dirty = if CODE_DIRTY { ", with changes" } else { "" };
    let program = format!(
        "{} (source {CODE_REVISION}{dirty})",
        env!("CARGO_PKG_VERSION")
    );
    let mut findings = vec![fine("genair", program)];
    match Workshop::open(&arguments.plugins) {
        Ok(workshop) => {
            let trainer = workshop.trainer.path().display();
            findings.push(fine("trainer", trainer.to_string()));
            libtorch(&workshop, &mut findings);
            backbones(&workshop, &mut findings);
        }
        Err(error) => {
            let fix = "build it with `just build`";
            findings.push(broken("trainer", format!("{error:#}"), fix));
        }
    }
    findings.extend(WORKERS.map(worker));
    findings.push(results(&arguments.database));
    findings.push(data(Path::new("data")));
    if arguments.executor == Some(ExecutorChoice::Slurm) {
        findings.extend(slurm(arguments)?);
    }
    let ready = findings.iter().all(|finding| finding.fine);
    let diagnosis = Diagnosis { ready, findings };
    output.show(&diagnosis, || text(&diagnosis))?;
    Ok(if ready { Exit::Done } else { Exit::BadInput })
}

/// How to train on a GPU.
const CUDA: &str = "for a GPU: `GENAIR_LIBTORCH=cuda just setup`, or a torch with CUDA beside a wheel (docs/gpu.md)";

/// Programs that some commands start: name, what for, how to get it.
const WORKERS: [(&str, &str, &str); 4] = [
    (
        "genair-encoder",
        "vectors of texts (kind `text`)",
        "`just build` builds it",
    ),
    (
        "genair-llama",
        "archetypes by a language model",
        "`just sweep` builds it when a spec needs it, which takes some minutes once; so does `just llama`",
    ),
    (
        "genair-report",
        "tables, figures, pages and exports",
        "`just tools` builds it",
    ),
    (
        "genair-conformance",
        "tests of plugins",
        "`just tools` builds it",
    ),
];

/// A program beside this one, without which a sweep can run.
fn worker((name, purpose, fix): (&str, &str, &str)) -> Finding {
    let program = std::env::current_exe().unwrap_or_default();
    let program = program.with_file_name(name);
    match program.is_file() {
        true => fine(name, program.display().to_string()),
        false => Finding {
            fix: Some(fix.to_owned()),
            ..fine(name, format!("not here; it makes {purpose}"))
        },
    }
}

fn fine(topic: &str, found: String) -> Finding {
    Finding {
        topic: topic.to_owned(),
        fine: true,
        found,
        fix: None,
    }
}

fn broken(topic: &str, found: String, fix: &str) -> Finding {
    Finding {
        fine: false,
        fix: Some(fix.to_owned()),
        ..fine(topic, found)
    }
}

fn libtorch(workshop: &Workshop, findings: &mut Vec<Finding>) {
    match workshop.trainer.doctor() {
        Ok(facts) => {
            let version = facts["version"].as_str().unwrap_or("of unknown version");
            let found = format!("{version} in {}", cell(&facts["folder"]));
            findings.push(fine("libtorch", found));
            findings.push(match facts["cuda"].as_bool() {
                Some(true) => fine("CUDA", format!("{} devices", cell(&facts["cuda_devices"]))),
                _ => Finding {
                    fix: Some(CUDA.to_owned()),
                    ..fine("CUDA", "none; training runs on the processor".to_owned())
                },
            });
        }
        Err(error) => {
            let fix = "get it with `just setup`";
            findings.push(broken("libtorch", error.to_string(), fix));
        }
    }
}

fn backbones(workshop: &Workshop, findings: &mut Vec<Finding>) {
    for report in &workshop.plugins {
        let (topic, path) = (format!("plugin {}", report.name), report.path.display());
        findings.push(match &report.error {
            None => {
                let abi = report.abi.map(|abi| abi.to_string()).unwrap_or_default();
                let libtorch = report.libtorch.as_deref().unwrap_or("unknown");
                fine(&topic, format!("{path}, ABI {abi}, libtorch {libtorch}"))
            }
            // One broken plugin keeps no other from running.
            Some(error) => Finding {
                fix: Some("rebuild it with `just build`, or remove the file".to_owned()),
                ..fine(&topic, format!("{path} cannot be used: {error}"))
            },
        });
    }
    if !workshop.plugins.iter().any(|report| report.error.is_none()) {
        let found = "none that can be used".to_owned();
        findings.push(broken("plugins", found, "build them with `just build`"));
    }
}

fn results(database: &DatabaseArgs) -> Finding {
    let path = database.path();
    let path = path.display();
    if !database.is_there() {
        let found = format!("{path} is not there yet; `genair sweep` creates it");
        return fine("database", found);
    }
    let read = |mut store: Store| Ok((store.schema_version()?, store.run_counts()?));
    match database.open().and_then(read) {
        Ok((version, counts)) => {
            let (finished, failed) = (counts.finished, counts.failed);
            let (running, pending) = (counts.running, counts.pending);
            let found = format!(
                "{path} (schema {version}): {finished} runs finished, {failed} failed, {running} running, {pending} pending"
            );
            fine("database", found)
        }
        Err(error) => {
            let fix = "name another one with --db, or GENAIR_DB";
            broken("database", error.to_string(), fix)
        }
    }
}

/// What a job of a second on the cluster says.
fn slurm(arguments: &DoctorArgs) -> anyhow::Result<Vec<Finding>> {
    let workshop = Workshop::open(&arguments.plugins)?;
    let settings = match &arguments.spec {
        Some(spec) => {
            let file = SpecFile::read(spec, &SpecOptions::default())?;
            workshop.expand(&file)?.schedule.slurm
        }
        None => SlurmSettings::default(),
    };
    let database = arguments.database.path();
    Ok(match try_slurm(&workshop.trainer, &settings, &database) {
        Ok(ClusterTrial {
            job,
            node,
            seconds,
            facts,
        }) => {
            let cuda = match facts["cuda"].as_bool() {
                Some(true) => format!("{} GPUs", cell(&facts["cuda_devices"])),
                _ => "no GPU".to_owned(),
            };
            let version = cell(&facts["version"]);
            let found = format!(
                "job {job} ran on {node}: libtorch {version}, {cuda}; its file was seen here {seconds:.0} s after it was submitted"
            );
            vec![fine("Slurm", found)]
        }
        Err(TrialError { what, fix }) => vec![broken("Slurm", what, &fix)],
    })
}

/// Datasets in the folder; specs may name others anywhere.
fn data(folder: &Path) -> Finding {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir());
    let names = folders
        .map(|path| path.display().to_string())
        .sorted()
        .join(", ");
    let fix = "`genair data fetch ml-100k` gets the data of experiments/quickstart.toml";
    match names.is_empty() {
        true => Finding {
            fix: Some(fix.to_owned()),
            ..fine("data", format!("nothing in {}/", folder.display()))
        },
        false => fine("data", names),
    }
}

fn text(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    for finding in &diagnosis.findings {
        let mark = match (finding.fine, &finding.fix) {
            (true, None) => "ok     ",
            (true, Some(_)) => "note   ",
            (false, _) => "MISSING",
        };
        text += &format!("{mark}  {}: {}\n", finding.topic, finding.found);
        if let Some(fix) = &finding.fix {
            text += &format!("         {fix}\n");
        }
    }
    text + if diagnosis.ready {
        "A sweep can run."
    } else {
        "No sweep can run before the above is mended."
    }
}
