//! `genair spec`: looking at specs.

use genair_protocol::PluginReport;
use genair_spec::SpecFile;
use indicatif::MultiProgress;

use super::Workshop;
use crate::args::{Format, PluginArgs, Spec, SpecArgs};
use crate::exit::Exit;
use crate::output::note;

pub(super) fn spec(format: Format, bars: &MultiProgress, command: &Spec) -> anyhow::Result<Exit> {
    match command {
        Spec::Resolve { spec, plugins } => resolve(format, bars, spec, plugins),
    }
}

fn resolve(
    format: Format,
    bars: &MultiProgress,
    spec: &SpecArgs,
    plugins: &PluginArgs,
) -> anyhow::Result<Exit> {
    let file = SpecFile::read(&spec.spec, &spec.set.options())?;
    let resolved = file.resolve(&plugins_found(bars, plugins));
    format.show(&resolved, || resolved.text.clone())?;
    Ok(Exit::Done)
}

/// `genair schema`: the format, for editors.
pub(super) fn schema(
    format: Format,
    bars: &MultiProgress,
    plugins: &PluginArgs,
) -> anyhow::Result<Exit> {
    let schema = genair_spec::schema(&plugins_found(bars, plugins));
    let text = serde_json::to_string_pretty(&schema)?;
    format.show(&schema, || text)?;
    Ok(Exit::Done)
}

/// The plugins on this machine. Without a worker there are none, and much of a spec can be told all the same.
fn plugins_found(bars: &MultiProgress, plugins: &PluginArgs) -> Vec<PluginReport> {
    Workshop::open(plugins).map_or_else(
        |error| {
            note(
                bars,
                format!("warning: nothing is known of any plugin: {error:#}"),
            );
            Vec::new()
        },
        |workshop| workshop.plugins,
    )
}
