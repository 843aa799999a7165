//! `genair plugin`: what plugins there are and what they say of themselves.

mod conformance;

use std::path::Path;

use genair_protocol::PluginReport;
use genair_runner::write_backbone;
use genair_spec::{Setting, settings};
use itertools::Itertools;

use super::Workshop;
use crate::args::{Plugin, PluginArgs};
use crate::exit::Exit;
use crate::output::{Output, facts, table};

pub(super) fn plugin(output: &Output, command: &Plugin) -> anyhow::Result<Exit> {
    match command {
        Plugin::List(plugins) => {
            let reports = Workshop::open(plugins)?.plugins;
            let rows = reports.iter().map(|report| {
                let (version, summary) = match &report.descriptor {
                    Some(own) => (own.version.as_str(), own.summary.as_str()),
                    None => ("", ""),
                };
                let (state, about) = match &report.error {
                    Some(error) => ("broken", error.as_str()),
                    None => ("usable", summary),
                };
                let file = report.path.display().to_string();
                [&report.name, version, state, &file, about].map(str::to_owned)
            });
            output.show(&reports, || match reports.is_empty() {
                true => {
                    "no plugins; build them (`just build`) or name their folder with --plugin-dir"
                        .to_owned()
                }
                false => table(&["name", "version", "state", "file", "about"], &[], rows),
            })
        }
        Plugin::New { name, folder } => new(output, name, folder),
        Plugin::Test(arguments) => conformance::test(output, arguments),
        Plugin::Inspect { name, plugins } => {
            let report = find(name, plugins)?;
            let text = text(&report)?;
            output.show(&report, || text)?;
            Ok(if report.error.is_none() {
                Exit::Done
            } else {
                Exit::BadInput
            })
        }
    }
}

/// The plugin of a name, which may be one that cannot be used.
fn find(name: &str, plugins: &PluginArgs) -> anyhow::Result<PluginReport> {
    let mut reports = Workshop::open(plugins)?.plugins;
    match reports.iter().position(|report| report.name == name) {
        Some(at) => Ok(reports.swap_remove(at)),
        None => {
            let names = reports.iter().map(|report| &report.name).join(", ");
            anyhow::bail!("no plugin `{name}`; there are {names}")
        }
    }
}

fn new(output: &Output, name: &str, folder: &Path) -> anyhow::Result<Exit> {
    let folder = write_backbone(name, folder)?;
    output.show(&serde_json::json!({ "folder": folder }), || {
        let (folder, built) = (folder.display(), folder.join("target/release"));
        let built = built.display();
        format!(
            "{folder} is ready. `cargo build --release` there makes the plugin, and this tests it:\n  genair plugin test \
             {name} --plugin-dir {built} --params {folder}/conformance.toml"
        )
    })
}

fn text(report: &PluginReport) -> anyhow::Result<String> {
    let mut parts = Vec::new();
    if let Some(own) = &report.descriptor {
        let name = format!("{} {}", own.name, own.version);
        parts.push(format!("{name}: {}\n{}", own.summary, own.reference));
    }
    if let Some(error) = &report.error {
        parts.push(format!("cannot be used: {error}"));
    }
    let shown = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
    parts.push(format!(
        "file      {}\nsha256    {}\nABI       {}\nlibtorch  {}\nrustc     {}",
        report.path.display(),
        report.sha256,
        shown(report.abi.map(|abi| abi.to_string())),
        shown(report.libtorch.clone()),
        shown(report.rustc.clone()),
    ));
    if let Some(descriptor) = &report.descriptor {
        let row = |own: Setting| [own.name, own.kind, own.default, own.range, own.about];
        let rows = settings(descriptor).into_iter().map(row);
        let headers = ["setting", "type", "default", "range", "about"];
        let table = table(&headers, &["default"], rows);
        parts.push(format!("[backbone.{}]\n{table}", descriptor.name));
    }
    if let Some(capabilities) = &report.capabilities {
        parts.push(format!("With these defaults:\n{}", facts(capabilities)?));
    }
    Ok(parts.join("\n\n"))
}
