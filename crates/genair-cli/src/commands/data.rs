//! `genair data`: getting datasets and describing them.

use std::path::Path;

use genair_data::{Inspection, Statistics};
use genair_protocol::{Axes, DatasetSpec};
use genair_spec::SpecFile;
use itertools::Itertools;
use serde::Serialize;
use serde_json::json;

use crate::args::{Data, SpecArgs};
use crate::exit::Exit;
use crate::output::{Output, facts};
use crate::public;

#[derive(Serialize)]
struct Described {
    dataset: String,
    variant: String,
    axes: Axes,
    statistics: Statistics,
}

pub(super) fn data(output: &Output, command: &Data) -> anyhow::Result<Exit> {
    match command {
        Data::List => public::list(output),
        Data::Fetch { dataset, dest, url } => {
            let report = public::fetch(output, dataset, dest.as_deref(), url.as_deref())?;
            let (folder, origin) = (&report.folder, &report.origin);
            let value = json!({ "folder": folder, "already_there": report.already_there, "origin": origin });
            output.show(&value, || {
                let how = if report.already_there {
                    "is there already, verified"
                } else {
                    "fetched"
                };
                format!("{}: {how} (from {origin})", folder.display())
            })
        }
        Data::Inspect { path } => {
            let found = genair_data::inspect(path)?;
            for warning in &found.warnings {
                output.note(format!("warning: {warning}"));
            }
            let table = table(&found)?;
            output.show(&found, || table)
        }
        Data::Stats { spec, dataset } => {
            let found = datasets(spec, dataset.as_deref())?.into_iter();
            let described: Vec<_> = found.map(describe).collect::<anyhow::Result<_>>()?;
            let mut text = String::new();
            for own in &described {
                let name = format!("{} {}", own.dataset, own.variant);
                text += &format!("{}\n{}\n\n", name.trim_end(), facts(&own.statistics)?);
            }
            output.show(&described, || text)
        }
        Data::Export { spec, dataset, out } => {
            let found = datasets(spec, Some(dataset))?;
            let [(_, _, of_dataset)] = found.as_slice() else {
                let variants = found.iter().map(|(_, axes, _)| axes).join("; ");
                anyhow::bail!(
                    "`{dataset}` has several variants ({variants}); choose one with --set"
                );
            };
            let loaded = genair_data::load(of_dataset)?;
            genair_data::export(&loaded, out)?;
            let (users, items) = (loaded.num_users(), loaded.num_items());
            let interactions = loaded.num_interactions();
            let value = json!({
                "dataset": dataset, "folder": out, "users": users, "items": items, "interactions": interactions,
            });
            output.show(&value, || {
                format!(
                    "{}: {users} users, {items} items, {interactions} interactions",
                    out.display()
                )
            })
        }
    }
}

/// The datasets of a spec with this name, or all; at least one.
fn datasets(
    spec: &SpecArgs,
    wanted: Option<&str>,
) -> anyhow::Result<Vec<(String, Axes, DatasetSpec)>> {
    let mut datasets = SpecFile::read(&spec.spec, &spec.set.options())?.datasets()?;
    let names: Vec<String> = datasets.iter().map(|(name, ..)| name.clone()).collect();
    datasets.retain(|(name, ..)| wanted.is_none_or(|wanted| wanted == name));
    anyhow::ensure!(
        !datasets.is_empty(),
        "no such dataset in {}; there are: {}",
        spec.spec.display(),
        names.join(", ")
    );
    Ok(datasets)
}

fn describe((dataset, axes, spec): (String, Axes, DatasetSpec)) -> anyhow::Result<Described> {
    let statistics = genair_data::load(&spec)?.statistics().clone();
    Ok(Described {
        dataset,
        variant: axes.to_string(),
        axes,
        statistics,
    })
}

/// A dataset's table of a spec, a line for each setting that is no default.
fn table(found: &Inspection) -> anyhow::Result<String> {
    let spec = &found.spec;
    let folder = spec.path.as_deref().and_then(Path::file_name);
    let name: String = folder.unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.replace(
        |c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_',
        "-",
    );
    let name = if name.is_empty() { "data" } else { &name };
    let mut lines: Vec<String> = found.found.iter().map(|text| format!("# {text}")).collect();
    lines.push(format!("[dataset.{name}]"));
    let defaults = toml::Table::try_from(DatasetSpec::default())?;
    for (key, value) in toml::Table::try_from(spec)? {
        if defaults.get(&key) != Some(&value) {
            lines.push(format!("{key} = {value}"));
        }
    }
    if !found.text_fields.is_empty() {
        let fields = toml::Value::from(found.text_fields.clone());
        lines.push(format!("prompt = {{ fields = {fields} }}"));
    }
    Ok(lines.join("\n"))
}
