//! One pass over a spec: the merged tree, its axes and what is wrong with it. Each section is read by a file of its
//! own, on top of this one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use genair_protocol::{
    BUILTIN_BACKBONES, BackboneDescriptor, PluginReport, SpecProblem, builtin_descriptor,
};
use genair_toml::{KeyPath, Problems};
use toml::{Table, Value};

use super::axes::{Axis, AxisKind, find_axes};
use super::data_path::{Leads, absolute};
use super::load::SpecFile;
use super::names;
use super::params::Params;
use super::settings::is_list;

/// A plugin's own judgement of complete configurations, beyond its schema: of each the reason if it refuses.
/// Many at once, as a question takes a process.
pub type Accepts<'a> = dyn Fn(&PluginReport, &[Params]) -> Vec<Result<(), String>> + 'a;

/// What a spec's backbones are checked against.
pub struct Backbones<'a> {
    /// Plugins found on this machine, usable or not.
    pub plugins: &'a [PluginReport],
    /// Asks a plugin about configurations.
    pub accepts: &'a Accepts<'a>,
}

impl<'a> Backbones<'a> {
    /// The plugin of this name.
    pub(crate) fn plugin(&self, name: &str) -> Option<&'a PluginReport> {
        self.plugins.iter().find(|report| report.name == name)
    }

    /// What the backbone of this name says of itself, if it can be used.
    pub(crate) fn descriptor(&self, name: &str) -> Option<Cow<'a, BackboneDescriptor>> {
        match builtin_descriptor(name) {
            Some(descriptor) => Some(Cow::Owned(descriptor)),
            None => Some(Cow::Borrowed(self.plugin(name)?.descriptor.as_ref()?)),
        }
    }
}

/// One dataset, backbone and representation together.
#[derive(Default)]
pub(crate) struct Cell<'n> {
    pub(crate) dataset: &'n str,
    pub(crate) backbone: &'n str,
    pub(crate) representation: &'n str,
    /// The representation whose table has the settings: another one where this one shuffles its vectors.
    pub(crate) settings: &'n str,
}

/// One pass over a spec.
pub(crate) struct Checker<'s> {
    pub(crate) file: &'s SpecFile,
    /// The merged spec, less what was reported as no axis.
    pub(crate) tree: Table,
    /// The same with the first value of each list and range in its place, so that a table is copied without
    /// them; empty until the axes are known.
    base: Table,
    pub(crate) backbones: &'s Backbones<'s>,
    pub(crate) problems: Problems<'s>,
    /// Configurations already put to their plugin, by JSON: a plugin is asked once about each.
    pub(crate) accepted: HashMap<(String, String), Result<(), String>>,
}

impl<'s> Checker<'s> {
    pub(crate) fn new(file: &'s SpecFile, backbones: &'s Backbones<'s>) -> Self {
        let problems = Problems::new(&file.sources);
        Self {
            file,
            tree: file.tree.clone(),
            base: Table::new(),
            backbones,
            problems,
            accepted: HashMap::new(),
        }
    }

    /// Finds the axes, among them those of `points`: settings with their values at the points of a search.
    pub(crate) fn axes(&mut self, points: Vec<(KeyPath, Vec<Value>)>) -> Vec<Axis> {
        let backbones = self.backbones;
        let is_list = |path: &KeyPath| match path.keys() {
            [section, _, name, ..] if section == "dataset" && name == "columns" => true,
            // Several files are one log.
            [section, _, name]
                if section == "dataset" && ["interactions", "items"].contains(&name.as_str()) =>
            {
                true
            }
            [section, _, format, name] if section == "dataset" && format.ends_with("format") => {
                name == "names"
            }
            [section, .., prompt, name] if section != "backbone" && prompt == "prompt" => {
                name == "fields"
            }
            [section, .., name] if section == "representation" => name == "stop",
            [section, plugin, name, ..] if section == "backbone" => {
                let descriptor = backbones.descriptor(plugin);
                descriptor.is_some_and(|descriptor| is_list(&descriptor, name))
            }
            _ => false,
        };
        let axes = find_axes(
            &mut self.tree,
            points,
            &self.file.sources,
            &is_list,
            &mut self.problems,
        );
        names::check_axis_labels(&axes, &mut self.problems);
        self.base = self.tree.clone();
        for axis in axes.iter().filter(|axis| axis.kind != AxisKind::Points) {
            axis.path.set(&mut self.base, axis.values[0].clone());
        }
        axes
    }

    /// Names of the tables under `[SECTION.*]`, in the order of the file.
    pub(crate) fn tables(&mut self, section: &str) -> Vec<String> {
        let at = KeyPath::new([section]);
        let mut names = Vec::new();
        for name in self.file.sources.names(&at) {
            let key = at.child(&name);
            match key.get(&self.tree) {
                Some(Value::Table(_)) => names.push(name),
                Some(value) => {
                    let message = format!("is {value}; it must be a table, [{section}.NAME]");
                    self.problems.about(&key, message, None);
                }
                None => {}
            }
        }
        names
    }

    /// Reports what is wrong with the values of the section at `at`; whether nothing is.
    pub(crate) fn judge(&mut self, at: &KeyPath, found: Vec<SpecProblem>) -> bool {
        for problem in &found {
            let key = at.join(&problem.key);
            self.problems.about(&key, &problem.message, None);
        }
        found.is_empty()
    }

    /// The value at `at` with a value in place of each axis.
    pub(crate) fn value(&self, at: &KeyPath) -> Option<&Value> {
        at.get(&self.base)
    }

    /// The table at `at` with the chosen values in place of the axes.
    pub(crate) fn table(&self, at: &KeyPath, chosen: &[(&Axis, &Value)]) -> Table {
        with_chosen(at.table(&self.base), at, chosen)
    }

    /// The path at `key` as an absolute one; `None` if there was anything to report.
    pub(crate) fn absolute(&mut self, key: &KeyPath, path: &Path, leads: Leads) -> Option<PathBuf> {
        absolute(path, &self.file.folder(), leads)
            .map_err(|(message, hint)| {
                let message = format!("`{key}`: {message}");
                self.problems.report(key, message, hint);
            })
            .ok()
    }
}

/// The table at `at` with the chosen values in place of the axes.
pub(crate) fn with_chosen(mut table: Table, at: &KeyPath, chosen: &[(&Axis, &Value)]) -> Table {
    for (axis, value) in chosen {
        if let Some(inner) = axis.path.keys().strip_prefix(at.keys()) {
            KeyPath::new(inner).set(&mut table, (*value).clone());
        }
    }
    table
}

/// The values of a list, or the one that is written without one.
pub(crate) fn listed(value: &Value) -> &[Value] {
    match value {
        Value::Array(values) => values,
        one => std::slice::from_ref(one),
    }
}

/// Whether a backbone is built in, and so has nothing to train.
pub(crate) fn is_builtin(backbone: &str) -> bool {
    BUILTIN_BACKBONES.contains(&backbone)
}
