//! `genair plugin test`: the conformance suite on a built plugin, in the worker `genair-conformance`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;

use anyhow::Context;
use genair_protocol::ConformanceEvent;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::args::{Format, PluginTestArgs};
use crate::exit::Exit;
use crate::helper::{Ending, ask};
use crate::output::{Output, to_stdout};

/// Name of the worker.
const WORKER: &str = "genair-conformance";
/// Longest line it may write.
const LONGEST: usize = 1 << 20;

#[derive(Serialize)]
struct Checked {
    set: String,
    check: String,
    error: Option<String>,
}

pub(super) fn test(output: &Output, arguments: &PluginTestArgs) -> anyhow::Result<Exit> {
    let plugin = super::find(&arguments.name, &arguments.plugins)?;
    if let Some(error) = plugin.error {
        anyhow::bail!("{} cannot be used: {error}", plugin.path.display());
    }
    let sets = match &arguments.params {
        Some(file) => sets_of(file)?,
        None => BTreeMap::from([("defaults".to_owned(), Map::new())]),
    };
    let checked = run(output, &plugin.path, &sets)?;
    let failed = checked.iter().filter(|result| result.error.is_some());
    let (failed, all) = (failed.count(), checked.len());
    match output.format {
        Format::Text => to_stdout(|out| {
            Ok(writeln!(
                out,
                "{}: {} of {all} checks passed",
                arguments.name,
                all - failed
            )?)
        })?,
        _ => drop(output.show(&checked, String::new)?),
    }
    Ok(match failed {
        0 => Exit::Done,
        _ => Exit::SomeFailed,
    })
}

/// Sets of parameters by name.
fn sets_of(file: &Path) -> anyhow::Result<BTreeMap<String, Map<String, Value>>> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let sets: BTreeMap<String, Map<String, Value>> = toml::from_str(&text)
        .with_context(|| format!("{shown} is no table of sets of parameters"))?;
    anyhow::ensure!(
        !sets.is_empty(),
        "{shown} has no set of parameters; write [defaults]"
    );
    Ok(sets)
}

/// Runs all checks, and shows each as it ends.
fn run(
    output: &Output,
    plugin: &Path,
    sets: &BTreeMap<String, Map<String, Value>>,
) -> anyhow::Result<Vec<Checked>> {
    let mut checked = Vec::new();
    let mut at_work = "before its first check".to_owned();
    let ended: Result<Infallible, Ending> =
        ask(WORKER, &[plugin.as_os_str()], sets, LONGEST, |event| {
            match event {
                ConformanceEvent::Begins { set, check } => at_work = format!("in {set}: {check}"),
                ConformanceEvent::Ended { set, check, error } => {
                    if output.format == Format::Text {
                        let line = match &error {
                            None => format!("ok      {set}: {check}"),
                            Some(error) => format!("FAILED  {set}: {check}\n        {error}"),
                        };
                        to_stdout(|out| Ok(writeln!(out, "{line}")?))?;
                    }
                    checked.push(Checked { set, check, error });
                }
            }
            Ok(None)
        })?;
    match ended {
        Ok(never) => match never {},
        Err(Some(status)) if status.success() => Ok(checked),
        Err(Some(status)) => anyhow::bail!("the plugin ended its process ({status}) {at_work}"),
        Err(None) => anyhow::bail!("{WORKER} was lost {at_work}"),
    }
}
