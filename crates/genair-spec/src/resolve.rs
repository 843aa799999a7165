//! A spec as it comes out of its layers, every value with where it comes from.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use genair_protocol::{
    BUILTIN_BACKBONES, BackboneDescriptor, DatasetSpec, PluginReport, builtin_descriptor,
};
use genair_toml::{Document, KeyPath, Origin, Sources, Spot};
use serde::Serialize;
use toml::{Table, Value};

use super::check::listed;
use super::compose::{Paths, make_paths_absolute};
use super::load::{DEFAULT_SPEC, SpecFile};

/// A spec with all layers merged.
#[derive(Clone, Debug, Serialize)]
pub struct Resolved {
    /// The files it is put together from, lowest first; the last one is the spec itself.
    pub files: Vec<PathBuf>,
    /// The chosen profiles, lowest first.
    pub profiles: Vec<String>,
    /// All of it.
    pub spec: Table,
    /// Each value of it.
    pub values: Vec<ResolvedValue>,
    /// It as TOML, each value with its origin behind it; a spec of its own.
    #[serde(skip)]
    pub text: String,
}

/// One value of a spec.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResolvedValue {
    /// Its key, such as `train.optimizer.lr`.
    pub key: String,
    /// It.
    pub value: Value,
    /// Where it comes from.
    pub from: Origin,
}

impl SpecFile {
    /// The spec with all layers merged, completed with the defaults of its backbones' plugins where these
    /// are among `plugins`. Paths are absolute. Judges no value.
    pub fn resolve(&self, plugins: &[PluginReport]) -> Resolved {
        let mut tree = self.tree.clone();
        let folder = std::path::absolute(self.folder()).unwrap_or_default();
        make_paths_absolute(&mut tree, &folder, Paths::FillIn);
        complete_datasets(&mut tree);
        complete_backbones(&mut tree, plugins);
        let origin = |key: &KeyPath| match (self.sources.origin(key), key.keys()) {
            (Origin::Default, [section, name, ..]) if section == "backbone" => {
                Origin::Plugin { name: name.clone() }
            }
            (origin, _) => origin,
        };
        let text = to_toml(&self.sources, &tree, &|key| Some(origin(key).to_string()));
        let mut values = Vec::new();
        walk(
            &self.sources,
            &tree,
            &KeyPath::default(),
            &mut |key, value| {
                values.push(ResolvedValue {
                    key: key.to_string(),
                    value: value.clone(),
                    from: origin(key),
                });
            },
        );
        let files = self.sources.files().iter();
        Resolved {
            files: files.map(|file| file.path.clone()).collect(),
            profiles: self.sources.profiles().to_vec(),
            spec: tree,
            values,
            text,
        }
    }
}

/// Writes out what a dataset's type has by default.
fn complete_datasets(tree: &mut Table) {
    let defaults = Table::try_from(DatasetSpec::default()).unwrap_or_default();
    let Some(Value::Table(datasets)) = tree.get_mut("dataset") else {
        return;
    };
    for dataset in datasets
        .iter_mut()
        .filter_map(|(_, value)| value.as_table_mut())
    {
        for (key, value) in defaults.iter().filter(|(_, value)| !value.is_table()) {
            dataset.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}

/// Writes out the defaults of the backbones that `sweep.backbone` names, built in or of a plugin.
fn complete_backbones(tree: &mut Table, plugins: &[PluginReport]) {
    let used = KeyPath::new(["sweep", "backbone"]);
    let used: Vec<Value> = used
        .get(tree)
        .map_or_else(Vec::new, |used| listed(used).to_vec());
    let builtin = BUILTIN_BACKBONES.into_iter().filter_map(builtin_descriptor);
    let known = plugins
        .iter()
        .filter_map(|report| report.descriptor.clone());
    let is_used = |own: &BackboneDescriptor| used.contains(&Value::from(&*own.name));
    for own in builtin.chain(known).filter(is_used) {
        let properties = own.parameters["properties"].as_object();
        for (name, property) in properties.into_iter().flatten() {
            let key = KeyPath::new(["backbone", &own.name, name]);
            let default = property.get("default").map(Value::try_from);
            if let Some(Ok(default)) = default
                && key.get(tree).is_none()
            {
                key.set(tree, default);
            }
        }
    }
}

/// The tree as TOML, keys in the order of the spec's layers and then of the defaults, each with its
/// comment if it has one.
pub(crate) fn to_toml(
    sources: &Sources,
    tree: &Table,
    comment: &dyn Fn(&KeyPath) -> Option<String>,
) -> String {
    let mut text = String::new();
    write_table(sources, tree, &KeyPath::default(), comment, &mut text);
    text
}

/// Column of the comments, where there is room.
const COMMENT: usize = 40;

fn write_table(
    sources: &Sources,
    table: &Table,
    at: &KeyPath,
    comment: &dyn Fn(&KeyPath) -> Option<String>,
    text: &mut String,
) {
    let keys = ordered_keys(sources, table, at);
    let (tables, values): (Vec<_>, Vec<_>) = keys
        .iter()
        .filter_map(|name| Some((at.child(name), table.get(name)?)))
        .partition(|(_, value)| value.is_table());
    if !at.keys().is_empty() && (tables.is_empty() || !values.is_empty()) {
        let gap = if text.is_empty() { "" } else { "\n" };
        *text += &format!("{gap}[{at}]\n");
    }
    for (key, value) in values {
        let name = KeyPath::new(key.keys().last());
        let line = format!("{name} = {value}");
        *text += &match comment(&key) {
            Some(comment) => format!("{line:COMMENT$} # {comment}\n"),
            None => format!("{line}\n"),
        };
    }
    for (key, value) in tables {
        if let Value::Table(inner) = value {
            write_table(sources, inner, &key, comment, text);
        }
    }
}

/// Calls `visit` with everything in the tree that is no table.
fn walk(sources: &Sources, table: &Table, at: &KeyPath, visit: &mut dyn FnMut(&KeyPath, &Value)) {
    for name in ordered_keys(sources, table, at) {
        let key = at.child(&name);
        match &table[&name] {
            Value::Table(inner) => walk(sources, inner, &key, visit),
            value => visit(&key, value),
        }
    }
}

fn ordered_keys(sources: &Sources, table: &Table, at: &KeyPath) -> Vec<String> {
    static DEFAULTS: LazyLock<Option<Document>> =
        LazyLock::new(|| Document::parse(Path::new("defaults"), DEFAULT_SPEC).ok());
    let mut names = sources.names(at);
    let defaults = DEFAULTS.as_ref().and_then(|document| {
        let mut keys = at.keys().iter();
        keys.try_fold(document.root(), |spot, name| spot.get(name))
    });
    let defaults = defaults
        .into_iter()
        .flat_map(Spot::names)
        .map(str::to_owned);
    for name in defaults.chain(table.keys().cloned()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.retain(|name| table.contains_key(name));
    names
}
