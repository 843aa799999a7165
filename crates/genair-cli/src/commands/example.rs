//! `genair example` and `genair init`: a first spec, from the examples or from a folder of data.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use genair_protocol::text::quoted;
use genair_protocol::{DatasetKind, DatasetSpec, nearest};
use itertools::Itertools;
use serde_json::json;

use crate::args::{ExampleArgs, InitArgs};
use crate::exit::Exit;
use crate::output::{Output, table};

/// The specs that this program brings: name, what it does, text.
const EXAMPLES: [(&str, &str, &str); 2] = [
    (
        "quickstart",
        "SASRec with ids and with archetypes on MovieLens-100k; fetches all it needs",
        include_str!("../../../../experiments/quickstart.toml"),
    ),
    (
        "tiny",
        "the same in a minute, on generated data",
        include_str!("../../../../experiments/tiny.toml"),
    ),
];

/// Metadata that prompts show by preference, in this order.
const PROMPTED: [&str; 8] = [
    "title",
    "name",
    "year",
    "genres",
    "categories",
    "brand",
    "price",
    "description",
];

pub(super) fn example(output: &Output, arguments: &ExampleArgs) -> anyhow::Result<Exit> {
    let Some(name) = &arguments.name else {
        let value = EXAMPLES.map(|(name, about, _)| json!({ "name": name, "about": about }));
        return output.show(&value, || {
            let rows = EXAMPLES.map(|(name, about, _)| [name, about].map(str::to_owned));
            table(&["name", "about"], &[], rows)
        });
    };
    let text = text_of(name).with_context(|| {
        let known = EXAMPLES.map(|(name, ..)| name);
        let hint = match nearest(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", known.join(", ")),
        };
        format!("no example `{name}`; {hint}")
    })?;
    output.show(&json!({ "name": name, "text": text }), || text.clone())
}

/// An example's text, for a spec in the current folder: its data are in `data/` there.
fn text_of(name: &str) -> Option<String> {
    let (.., text) = EXAMPLES.into_iter().find(|(own, ..)| *own == name)?;
    Some(text.replace("\"../data/", "\"data/"))
}

/// The spec's file. Where there is none of this name, but an example, writes that to the current folder first.
pub(super) fn spec_or_example(output: &Output, spec: &Path) -> anyhow::Result<PathBuf> {
    let text = spec.to_str().and_then(text_of);
    let Some(text) = text.filter(|_| !spec.exists()) else {
        return Ok(spec.to_owned());
    };
    let path = spec.with_extension("toml");
    let shown = path.display();
    if path.exists() {
        output.note(format!("{shown} is here already and is used"));
    } else {
        genair_files::write(&path, text.as_bytes())
            .with_context(|| format!("cannot write {shown}"))?;
        output.note(format!("wrote the example {shown}"));
    }
    Ok(path)
}

pub(super) fn init(output: &Output, arguments: &InitArgs) -> anyhow::Result<Exit> {
    let (folder, out) = (&arguments.folder, &arguments.out);
    let name = folder.canonicalize().ok();
    let name = name
        .as_deref()
        .and_then(Path::file_name)
        .unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    anyhow::ensure!(
        !out.exists(),
        "{} is there already; name another file with --out",
        out.display()
    );
    let data = DatasetSpec {
        kind: kind_of(folder)?,
        path: Some(folder.clone()),
        ..DatasetSpec::default()
    };
    let dataset = genair_data::load(&data)?;
    let catalogue = genair_data::catalogue(&data)?;
    let fields: BTreeSet<&str> = catalogue
        .items
        .iter()
        .flat_map(|item| item.metadata.keys().map(String::as_str))
        .collect();
    let chosen = PROMPTED.iter().filter(|field| fields.contains(**field));
    let chosen = chosen.map(|field| quoted(field)).join(", ");
    let text = text(&name, &data, &relative(folder, out)?, &chosen);
    genair_files::write(out, text.as_bytes())
        .with_context(|| format!("cannot write {}", out.display()))?;
    let statistics = &dataset.statistics();
    let (users, items) = (statistics.users, statistics.items);
    let value = json!({ "file": out, "users": users, "items": items });
    output.show(&value, || {
        let out = out.display();
        format!(
            "{out}: {name} has {users} users and {items} items; train with `genair sweep {out}`"
        )
    })
}

/// What a folder holds, by its files.
fn kind_of(folder: &Path) -> anyhow::Result<DatasetKind> {
    let shown = folder.display();
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {shown}"))?;
    let names: Vec<String> = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()
        .with_context(|| format!("cannot read {shown}"))?;
    let recbole = names.iter().any(|name| name.ends_with(".inter"));
    let table = names.iter().any(|name| name.starts_with("interactions."));
    match (table, recbole) {
        (true, _) => Ok(DatasetKind::Table),
        (false, true) => Ok(DatasetKind::Recbole),
        _ => anyhow::bail!(
            "{shown} has neither interactions.tsv (or .csv, .tsv.gz, .csv.gz) nor NAME.inter; docs/data.md shows the \
             columns they need"
        ),
    }
}

/// The folder as a spec in `out` names it: as it was given where that is in the current folder.
fn relative(folder: &Path, out: &Path) -> anyhow::Result<String> {
    let beside = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    let path = match beside {
        None => folder.to_owned(),
        Some(_) => folder.canonicalize()?,
    };
    Ok(path.to_string_lossy().into_owned())
}

fn text(name: &str, data: &DatasetSpec, path: &str, fields: &str) -> String {
    let kind = match data.kind {
        DatasetKind::Recbole => "kind = \"recbole\"\n",
        _ => "",
    };
    let (prompt, representation, genair) = match fields {
        "" => ("", "[\"id\"]", ""),
        fields => (
            &*format!(
                "prompt = {{ item_type = \"item\", fields = [{fields}] }} # for archetypes\n"
            ),
            "[\"id\"] # add \"genair\" for archetypes of a language model",
            "[representation.genair]\nkind = \"archetype\"\n\n",
        ),
    };
    let (quoted_name, path) = (quoted(name), quoted(path));
    let table = match name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    {
        true => name.to_owned(),
        false => quoted_name.clone(),
    };
    format!(
        "\
# docs/specs.md explains every key; `genair check` reports all mistakes at once.

[sweep]
name = {quoted_name}
seeds = [44]
backbone = [\"popularity\", \"sasrec\", \"gru4rec\"]
representation = {representation}

[dataset.{table}]
{kind}path = {path}
k_core = {{ mode = \"iterative\", user = 5, item = 5 }}
max_len = 50
{prompt}
{genair}[train]
loss.kind = \"cross-entropy\"
optimizer.lr = 1e-3 # a list trains a run for each value

[train.stop]
metric = \"ndcg@10\"
patience = 10
max_epochs = 200
"
    )
}
