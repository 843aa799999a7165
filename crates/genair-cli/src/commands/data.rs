//! `genair data`: getting data sets and describing them.

use std::path::PathBuf;

use genair_data::Statistics;
use genair_fetch::Source;
use genair_protocol::{Axes, DatasetSpec};
use genair_spec::SpecFile;
use indicatif::MultiProgress;
use serde::Serialize;
use serde_json::json;

use crate::args::{Data, Format, PublicDataset, SpecArgs};
use crate::exit::Exit;
use crate::generation::tell_download;
use crate::output::facts;

#[derive(Serialize)]
struct Described {
    dataset: String,
    variant: String,
    axes: Axes,
    statistics: Statistics,
}

pub(super) fn data(format: Format, bars: &MultiProgress, command: &Data) -> anyhow::Result<Exit> {
    match command {
        Data::Fetch {
            dataset: PublicDataset::Ml100k,
            dest,
            url,
        } => {
            let dest = dest
                .clone()
                .unwrap_or_else(|| PathBuf::from("data/ml-100k"));
            let source = url.clone().map_or(Source::Auto, Source::Url);
            let report = genair_fetch::ml_100k(&dest, &source, &mut |progress| {
                tell_download(bars, &progress)
            })?;
            let (folder, origin) = (&report.folder, &report.origin);
            let value = json!({ "folder": folder, "already_there": report.already_there, "origin": origin });
            format.show(&value, || {
                let how = if report.already_there {
                    "is there already, verified"
                } else {
                    "fetched"
                };
                format!("{}: {how} (from {origin})", folder.display())
            })?;
        }
        Data::Stats { spec, dataset } => {
            let described = datasets(spec, dataset.as_deref())?
                .into_iter()
                .map(describe);
            let described = described.collect::<anyhow::Result<Vec<_>>>()?;
            let mut text = String::new();
            for Described {
                dataset,
                variant,
                statistics,
                ..
            } in &described
            {
                text += &format!(
                    "{}\n{}\n\n",
                    format!("{dataset} {variant}").trim_end(),
                    facts(statistics)?
                );
            }
            format.show(&described, || text)?;
        }
        Data::Export { spec, dataset, out } => {
            let found = datasets(spec, Some(dataset))?;
            let [(_, _, of_dataset)] = found.as_slice() else {
                let variants: Vec<String> =
                    found.iter().map(|(_, axes, _)| axes.to_string()).collect();
                anyhow::bail!(
                    "`{dataset}` has several variants ({}); choose one with --set",
                    variants.join("; ")
                );
            };
            let loaded = genair_data::load(of_dataset)?;
            genair_data::export(&loaded, out)?;
            let (users, items) = (loaded.num_users(), loaded.num_items());
            let interactions = loaded.num_interactions();
            let value = json!({
                "dataset": dataset, "folder": out, "users": users, "items": items, "interactions": interactions,
            });
            format.show(&value, || {
                format!(
                    "{}: {users} users, {items} items, {interactions} interactions",
                    out.display()
                )
            })?;
        }
    }
    Ok(Exit::Done)
}

/// The data sets of a spec with this name, or all; at least one.
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
