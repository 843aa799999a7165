//! `genair check`: every problem of every spec, and nothing else.

use std::path::{Path, PathBuf};

use genair_runner::spec::Problem;
use indicatif::MultiProgress;
use serde::Serialize;

use super::{Workshop, warn};
use crate::args::{Format, PluginArgs, SetArgs};
use crate::exit::Exit;
use crate::output::{count, note};

#[derive(Serialize)]
struct Checked<'a> {
    spec: &'a Path,
    sweep: Option<String>,
    runs: usize,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

pub(super) fn check(
    format: Format,
    bars: &MultiProgress,
    specs: &[PathBuf],
    set: &SetArgs,
    plugins: &PluginArgs,
) -> anyhow::Result<Exit> {
    let workshop = Workshop::open(plugins)?;
    let checked: Vec<Checked<'_>> = specs
        .iter()
        .map(|spec| match workshop.expand(spec, set) {
            Ok(sweep) => {
                let (runs, warnings) = (sweep.runs.len(), sweep.warnings);
                Checked {
                    spec,
                    sweep: Some(sweep.name),
                    runs,
                    problems: Vec::new(),
                    warnings,
                }
            }
            Err(error) => Checked {
                spec,
                sweep: None,
                runs: 0,
                problems: error.problems,
                warnings: Vec::new(),
            },
        })
        .collect();
    let mut text = String::new();
    for Checked {
        spec,
        runs,
        problems,
        warnings,
        ..
    } in &checked
    {
        warn(bars, warnings);
        problems
            .iter()
            .for_each(|problem| note(bars, format!("error: {problem}")));
        let verdict = match problems.len() {
            0 => format!("fine, {}", count(*runs, "run")),
            n => count(n, "problem"),
        };
        text += &format!("{}: {verdict}\n", spec.display());
    }
    format.show(&checked, || text)?;
    let fine = checked.iter().all(|checked| checked.problems.is_empty());
    Ok(if fine { Exit::Done } else { Exit::BadInput })
}
