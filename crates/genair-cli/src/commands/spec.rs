//! `genair spec` and `genair schema`: looking at specs.

use genair_protocol::PluginReport;
use genair_spec::SpecFile;

use super::Workshop;
use crate::args::{PluginArgs, ResolveArgs};
use crate::exit::Exit;
use crate::output::Output;

pub(super) fn resolve(output: &Output, arguments: &ResolveArgs) -> anyhow::Result<Exit> {
    let spec = &arguments.spec;
    let file = SpecFile::read(&spec.spec, &spec.set.options())?;
    let resolved = file.resolve(&plugins_found(output, &arguments.plugins));
    output.show(&resolved, || resolved.text.clone())
}

/// The format, for editors.
pub(super) fn schema(output: &Output, plugins: &PluginArgs) -> anyhow::Result<Exit> {
    let schema = genair_spec::schema(&plugins_found(output, plugins));
    let text = serde_json::to_string_pretty(&schema)?;
    output.show(&schema, || text)
}

/// The plugins on this machine. Without a worker there are none, and much of a spec can be told all the same.
fn plugins_found(output: &Output, plugins: &PluginArgs) -> Vec<PluginReport> {
    match Workshop::open(plugins) {
        Ok(workshop) => workshop.plugins,
        Err(error) => {
            output.note(format!(
                "warning: nothing is known of any plugin: {error:#}"
            ));
            Vec::new()
        }
    }
}
