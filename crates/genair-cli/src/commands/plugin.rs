//! `genair plugin`: what plugins there are and what they say of themselves.

use std::path::Path;

use genair_protocol::{BackboneDescriptor, PluginReport};
use genair_runner::write_backbone;
use genair_spec::{Setting, settings};

use super::Workshop;
use crate::args::{Format, Plugin};
use crate::exit::Exit;
use crate::output::{facts, table};

pub(super) fn plugin(format: Format, command: &Plugin) -> anyhow::Result<Exit> {
    match command {
        Plugin::List { plugins } => {
            let reports = Workshop::open(plugins)?.plugins;
            let rows = reports.iter().map(|report| {
                let descriptor = report.descriptor.as_ref();
                let about = report
                    .error
                    .clone()
                    .or_else(|| Some(descriptor?.summary.clone()));
                [
                    report.name.clone(),
                    descriptor
                        .map(|descriptor| descriptor.version.clone())
                        .unwrap_or_default(),
                    if report.error.is_none() {
                        "usable"
                    } else {
                        "broken"
                    }
                    .to_owned(),
                    report.path.display().to_string(),
                    about.unwrap_or_default(),
                ]
            });
            format.show(&reports, || match reports.is_empty() {
                true => {
                    "no plugins; build them (`just build`) or name their folder with --plugin-dir"
                        .to_owned()
                }
                false => table(&["name", "version", "state", "file", "about"], &[], rows),
            })?;
            Ok(Exit::Done)
        }
        Plugin::New { name, folder } => new(format, name, folder),
        Plugin::Inspect { name, plugins } => {
            let reports = Workshop::open(plugins)?.plugins;
            let Some(report) = reports.iter().find(|report| report.name == *name) else {
                let names: Vec<&str> = reports.iter().map(|report| report.name.as_str()).collect();
                anyhow::bail!("no plugin `{name}`; there are {}", names.join(", "));
            };
            let text = text(report)?;
            format.show(report, || text)?;
            Ok(if report.error.is_none() {
                Exit::Done
            } else {
                Exit::BadInput
            })
        }
    }
}

fn new(format: Format, name: &str, folder: &Path) -> anyhow::Result<Exit> {
    let folder = write_backbone(name, folder)?;
    format.show(&serde_json::json!({ "folder": folder }), || {
        format!(
            "{} is ready: `cargo test --release` there runs its conformance suite, `genair plugin \
             inspect {name} --plugin-dir {}` shows the plugin that `cargo build --release` makes.",
            folder.display(),
            folder.join("target/release").display()
        )
    })?;
    Ok(Exit::Done)
}

fn text(report: &PluginReport) -> anyhow::Result<String> {
    let mut parts = Vec::new();
    if let Some(descriptor) = &report.descriptor {
        let BackboneDescriptor {
            name,
            version,
            summary,
            reference,
            ..
        } = descriptor;
        parts.push(format!("{name} {version}: {summary}\n{reference}"));
    }
    if let Some(error) = &report.error {
        parts.push(format!("cannot be used: {error}"));
    }
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
    parts.push(format!(
        "file      {}\nsha256    {}\nABI       {}\nlibtorch  {}\nrustc     {}",
        report.path.display(),
        report.sha256,
        report
            .abi
            .map_or_else(|| "unknown".to_owned(), |abi| abi.to_string()),
        shown(&report.libtorch),
        shown(&report.rustc),
    ));
    if let Some(descriptor) = &report.descriptor {
        let rows = settings(descriptor).into_iter().map(
            |Setting {
                 name,
                 kind,
                 default,
                 range,
                 about,
             }| { [name, kind, default, range, about] },
        );
        let table = table(
            &["setting", "type", "default", "range", "about"],
            &["default"],
            rows,
        );
        parts.push(format!("[backbone.{}]\n{table}", descriptor.name));
    }
    if let Some(capabilities) = &report.capabilities {
        parts.push(format!("With these defaults:\n{}", facts(capabilities)?));
    }
    Ok(parts.join("\n\n"))
}
