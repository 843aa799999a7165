//! `genair check`: every problem of every spec, and nothing else.

use std::collections::HashSet;
use std::path::Path;

use genair_protocol::text::count;
use genair_spec::{Problem, SpecFile, SpecOptions};
use serde::Serialize;

use super::{Workshop, warn};
use crate::args::CheckArgs;
use crate::exit::Exit;
use crate::output::Output;

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
    fn new(workshop: &Workshop, spec: &'a Path, options: &SpecOptions) -> Self {
        let read = SpecFile::read(spec, options).and_then(|file| workshop.expand(&file));
        let (sweep, runs, problems, warnings) = match read {
            Ok(sweep) => (
                Some(sweep.name),
                sweep.runs.len(),
                Vec::new(),
                sweep.warnings,
            ),
            Err(error) => (None, 0, error.problems, Vec::new()),
        };
        Self {
            spec,
            profile: None,
            sweep,
            runs,
            problems,
            warnings,
        }
    }
}

/// A spec with what is said beside it; without a profile among that, also with each of its profiles.
fn with_profiles<'s>(spec: &'s Path, options: &SpecOptions) -> Vec<(&'s Path, SpecOptions)> {
    let mut all = vec![(spec, options.clone())];
    if options.profiles.is_empty()
        && let Ok(file) = SpecFile::read(spec, options)
    {
        let with = |profile| SpecOptions {
            profiles: vec![profile],
            ..options.clone()
        };
        let profiles = file.profiles().into_iter();
        all.extend(profiles.map(|profile| (spec, with(profile))));
    }
    all
}

pub(super) fn check(output: &Output, arguments: &CheckArgs) -> anyhow::Result<Exit> {
    let given = arguments.set.options();
    // Before plugins are looked at: a spec may name variables that those must not see.
    let specs = arguments.specs.iter();
    let all: Vec<_> = specs.flat_map(|spec| with_profiles(spec, &given)).collect();
    let workshop = Workshop::open(&arguments.plugins)?;
    workshop.ask_ahead(&all);
    let mut checked = Vec::new();
    // Problems of the spec at hand without a profile of its own.
    let mut known: HashSet<Problem> = HashSet::new();
    for (spec, options) in &all {
        let mut own = Checked::new(&workshop, spec, options);
        if options.profiles == given.profiles {
            known = own.problems.iter().cloned().collect();
        } else {
            own.profile = options.profiles.first().cloned();
            own.warnings.clear();
            // What is wrong without it has been said.
            own.problems.retain(|problem| !known.contains(problem));
        }
        checked.push(own);
    }
    let mut text = String::new();
    // What several profiles share is told once.
    let mut told: Vec<&Problem> = Vec::new();
    for own in &checked {
        warn(output, &own.warnings);
        for problem in &own.problems {
            if !told.contains(&problem) {
                told.push(problem);
                output.error(format!("error: {problem}"));
            }
        }
        let verdict = match own.problems.len() {
            0 if own.runs == 0 && own.profile.is_some() => "no problem of its own".to_owned(),
            0 => format!("fine, {}", count(own.runs, "run")),
            n => count(n, "problem"),
        };
        let profile = own
            .profile
            .as_ref()
            .map(|name| format!(" --profile {name}"));
        let profile = profile.unwrap_or_default();
        text += &format!("{}{profile}: {verdict}\n", own.spec.display());
    }
    output.show(&checked, || text)?;
    let fine = checked.iter().all(|checked| checked.problems.is_empty());
    Ok(if fine { Exit::Done } else { Exit::BadInput })
}
