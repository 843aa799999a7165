//! `genair check`: every problem of every spec, and nothing else.

use std::path::{Path, PathBuf};

use genair_runner::spec::{Problem, SpecFile, SpecOptions};
use indicatif::MultiProgress;
use serde::Serialize;

use super::{Workshop, warn};
use crate::args::{Format, PluginArgs, SetArgs};
use crate::exit::Exit;
use crate::output::{count, note};

#[derive(Serialize)]
struct Checked<'a> {
    spec: &'a Path,
    /// Which of its profiles was on top, where that was not asked for.
    profile: Option<String>,
    sweep: Option<String>,
    runs: usize,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'a> Checked<'a> {
    fn new(
        workshop: &Workshop,
        spec: &'a Path,
        profile: Option<String>,
        options: &SpecOptions,
    ) -> Self {
        let checked = Self {
            spec,
            profile,
            sweep: None,
            runs: 0,
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        match SpecFile::read(spec, options).and_then(|file| workshop.expand(&file)) {
            Ok(sweep) => Self {
                sweep: Some(sweep.name),
                runs: sweep.runs.len(),
                warnings: sweep.warnings,
                ..checked
            },
            Err(error) => Self {
                problems: error.problems,
                ..checked
            },
        }
    }
}

pub(super) fn check(
    format: Format,
    bars: &MultiProgress,
    specs: &[PathBuf],
    set: &SetArgs,
    plugins: &PluginArgs,
) -> anyhow::Result<Exit> {
    let options = set.options();
    // Before plugins are looked at: a spec may name variables that those must not see.
    let read = |spec: &PathBuf| {
        let profiles = SpecFile::read(spec, &options).map(|file| file.profiles());
        profiles.unwrap_or_default()
    };
    let profiles: Vec<Vec<String>> = specs.iter().map(read).collect();
    let workshop = Workshop::open(plugins)?;
    let mut checked = Vec::new();
    for (spec, profiles) in specs.iter().zip(profiles) {
        checked.push(Checked::new(&workshop, spec, None, &options));
        if !options.profiles.is_empty() {
            continue;
        }
        let known = checked.last().map(|own| own.problems.clone());
        for profile in profiles {
            let options = SpecOptions {
                profiles: vec![profile.clone()],
                ..options.clone()
            };
            let mut own = Checked::new(&workshop, spec, Some(profile), &options);
            own.warnings.clear();
            // What is wrong without it has been said.
            own.problems
                .retain(|problem| known.iter().flatten().all(|known| known != problem));
            checked.push(own);
        }
    }
    let mut text = String::new();
    // What several profiles share is told once.
    let mut told: Vec<&Problem> = Vec::new();
    for Checked {
        spec,
        profile,
        runs,
        problems,
        warnings,
        ..
    } in &checked
    {
        warn(bars, warnings);
        for problem in problems {
            if !told.contains(&problem) {
                told.push(problem);
                note(bars, format!("error: {problem}"));
            }
        }
        let verdict = match problems.len() {
            0 if *runs == 0 && profile.is_some() => "no problem of its own".to_owned(),
            0 => format!("fine, {}", count(*runs, "run")),
            n => count(n, "problem"),
        };
        let profile = profile.as_ref().map(|name| format!(" --profile {name}"));
        let profile = profile.unwrap_or_default();
        text += &format!("{}{profile}: {verdict}\n", spec.display());
    }
    format.show(&checked, || text)?;
    let fine = checked.iter().all(|checked| checked.problems.is_empty());
    Ok(if fine { Exit::Done } else { Exit::BadInput })
}
