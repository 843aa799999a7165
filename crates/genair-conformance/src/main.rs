//! The worker: tests a plugin. Meant to be started by `genair plugin test`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use genair_conformance::{CHECKS, Subject};
use genair_protocol::ConformanceEvent;
use serde_json::{Map, Value};

/// Tests whether a plugin does what every backbone must do; started by `genair plugin test`.
///
/// Reads sets of parameters from the first line of standard input: a JSON object of objects, by the names of the
/// sets. Says what it does on standard output, one JSON object a line.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The plugin's file.
    plugin: PathBuf,
}

fn main() -> ExitCode {
    genair_process::end_with_parent();
    match test(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is this program's log.
            let _ = writeln!(io::stderr(), "{error:#}");
            ExitCode::from(2)
        }
    }
}

fn test(arguments: &Arguments) -> Result<()> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let sets: BTreeMap<String, Map<String, Value>> =
        serde_json::from_str(&line).context("parameters are no JSON object of objects")?;
    for (set, params) in sets {
        let subject = Subject::open(&arguments.plugin, params)?;
        for (name, check) in CHECKS {
            let (set, check_name) = (set.clone(), name.to_owned());
            say(&ConformanceEvent::Begins {
                set: set.clone(),
                check: check_name.clone(),
            })?;
            // A plugin's panic is an error by then; this one is of a check.
            let ended = catch_unwind(AssertUnwindSafe(|| check(&subject)));
            let ended =
                ended.unwrap_or_else(|_| Err(anyhow!("a panic; the lines above say where")));
            say(&ConformanceEvent::Ended {
                set,
                check: check_name,
                error: ended.err().map(|error| format!("{error:#}")),
            })?;
        }
    }
    Ok(())
}

fn say(event: &ConformanceEvent) -> Result<()> {
    let mut line = serde_json::to_string(event)?;
    line.push('\n');
    let mut stdout = io::stdout();
    stdout.write_all(line.as_bytes())?;
    Ok(stdout.flush()?)
}
