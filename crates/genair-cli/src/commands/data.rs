//! `genair data`: getting datasets and describing them.

use genair_data::Statistics;
use genair_fetch::Source;
use genair_protocol::{Axes, DatasetSpec};
use genair_spec::SpecFile;
use itertools::Itertools;
use serde::Serialize;
use serde_json::json;

use crate::args::{Data, PublicDataset, SpecArgs};
use crate::exit::Exit;
use crate::generation::tell_download;
use crate::output::{Output, facts};

#[derive(Serialize)]
struct Described {
    dataset: String,
    variant: String,
    axes: Axes,
    statistics: Statistics,
}

pub(super) fn data(output: &Output, command: &Data) -> anyhow::Result<Exit> {
    match command {
        Data::Fetch {
            dataset: PublicDataset::Ml100k,
            dest,
            url,
        } => {
            let dest = dest.clone().unwrap_or_else(|| "data/ml-100k".into());
            let source = url.clone().map_or(Source::Auto, Source::Url);
            let told = &mut |progress| tell_download(output, &progress);
            let report = genair_fetch::ml_100k(&dest, &source, told)?;
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
