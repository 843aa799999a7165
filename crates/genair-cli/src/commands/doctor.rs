//! `genair doctor`: what is there, what is missing, what to do.

use std::path::Path;

use genair_runner::{CODE_DIRTY, CODE_REVISION};
use genair_store::Store;
use serde::Serialize;

use super::Workshop;
use crate::args::{DatabaseArgs, Format, PluginArgs};
use crate::exit::Exit;
use crate::output::cell;

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

pub(super) fn doctor(
    format: Format,
    plugins: &PluginArgs,
    database: &DatabaseArgs,
) -> anyhow::Result<Exit> {
    let dirty = if CODE_DIRTY { ", with changes" } else { "" };
    let program = format!(
        "{} (source {CODE_REVISION}{dirty})",
        env!("CARGO_PKG_VERSION")
    );
    let mut findings = vec![fine("genair", program)];
    match Workshop::open(plugins) {
        Ok(workshop) => {
            findings.push(fine(
                "trainer",
                workshop.trainer.path().display().to_string(),
            ));
            libtorch(&workshop, &mut findings);
            backbones(&workshop, &mut findings);
        }
        Err(error) => findings.push(broken(
            "trainer",
            format!("{error:#}"),
            "build it with `just build`",
        )),
    }
    findings.push(results(&database.path()));
    findings.push(data(Path::new("data")));
    let ready = findings.iter().all(|finding| finding.fine);
    let diagnosis = Diagnosis { ready, findings };
    format.show(&diagnosis, || text(&diagnosis))?;
    Ok(if ready { Exit::Done } else { Exit::BadInput })
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
        topic: topic.to_owned(),
        fine: false,
        found,
        fix: Some(fix.to_owned()),
    }
}

fn libtorch(workshop: &Workshop, findings: &mut Vec<Finding>) {
    match workshop.trainer.doctor() {
        Ok(facts) => {
            let version = facts["version"].as_str().unwrap_or("of unknown version");
            findings.push(fine(
                "libtorch",
                format!("{version} in {}", cell(&facts["folder"])),
            ));
            let cuda = match facts["cuda"].as_bool() {
                Some(true) => format!("{} devices", cell(&facts["cuda_devices"])),
                _ => "none; training runs on the processor".to_owned(),
            };
            findings.push(fine("CUDA", cuda));
        }
        Err(error) => findings.push(broken(
            "libtorch",
            error.to_string(),
            "get it with `just setup`",
        )),
    }
}

fn backbones(workshop: &Workshop, findings: &mut Vec<Finding>) {
    for report in &workshop.plugins {
        let topic = format!("plugin {}", report.name);
        findings.push(match &report.error {
            None => {
                let abi = report.abi.map(|abi| abi.to_string()).unwrap_or_default();
                let libtorch = report.libtorch.as_deref().unwrap_or("unknown");
                fine(
                    &topic,
                    format!("{}, ABI {abi}, libtorch {libtorch}", report.path.display()),
                )
            }
            // One broken plugin keeps no other from running.
            Some(error) => Finding {
                topic,
                fine: true,
                found: format!("{} cannot be used: {error}", report.path.display()),
                fix: Some("rebuild it with `just build`, or remove the file".to_owned()),
            },
        });
    }
    if !workshop.plugins.iter().any(|report| report.error.is_none()) {
        findings.push(broken(
            "plugins",
            "none that can be used".to_owned(),
            "build them with `just build`",
        ));
    }
}

fn results(path: &Path) -> Finding {
    // What else is wrong with it, opening it says.
    if !path.is_symlink() && path.try_exists().is_ok_and(|is_there| !is_there) {
        return fine(
            "database",
            format!(
                "{} is not there yet; `genair sweep` creates it",
                path.display()
            ),
        );
    }
    let read = Store::open_read_only(path)
        .and_then(|mut store| Ok((store.schema_version()?, store.run_counts()?)));
    match read {
        Ok((version, counts)) => {
            let (path, finished, failed) = (path.display(), counts.finished, counts.failed);
            let (running, pending) = (counts.running, counts.pending);
            fine(
                "database",
                format!(
                    "{path} (schema {version}): {finished} runs finished, {failed} failed, {running} running, {pending} pending"
                ),
            )
        }
        Err(error) => broken(
            "database",
            error.to_string(),
            "name another one with --db, or GENAIR_DB",
        ),
    }
}

/// Data sets in the folder; specs may name others anywhere.
fn data(folder: &Path) -> Finding {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.path().display().to_string())
        .collect();
    names.sort();
    let fix =
        Some("`genair data fetch ml-100k` gets the data of experiments/quickstart.toml".to_owned());
    match names.is_empty() {
        true => Finding {
            fix,
            ..fine("data", format!("nothing in {}/", folder.display()))
        },
        false => fine("data", names.join(", ")),
    }
}

fn text(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    for Finding {
        topic,
        fine,
        found,
        fix,
    } in &diagnosis.findings
    {
        let mark = match (fine, fix) {
            (true, None) => "ok     ",
            (true, Some(_)) => "note   ",
            (false, _) => "MISSING",
        };
        text += &format!("{mark}  {topic}: {found}\n");
        if let Some(fix) = fix {
            text += &format!("         {fix}\n");
        }
    }
    text + if diagnosis.ready {
        "A sweep can run."
    } else {
        "No sweep can run before the above is mended."
    }
}
