//! Checks of a spec's tables, one by one: names that are known, keys and values that fit.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use genair_protocol::{
    BUILTIN_BACKBONES, DatasetSpec, EvalSpec, PluginReport, Ranges, ResumeSpec, SpecProblem,
    TrainSpec,
};
use genair_toml::{KeyPath, Problems, nearest, nearest_few, read_section, suggestion};
use indexmap::IndexSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::PluginFile;
use super::axes::{Axis, AxisKind, find_axes, value_label};
use super::data_path::{Leads, absolute};
use super::load::SpecFile;
use super::params::{self, Params};
use super::search::Search;
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

/// `[sweep]`, lists where a single name was written.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SweepSection {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    /// Its layer has been merged when the file was read.
    preset: Option<String>,
    pub(crate) seeds: Vec<u64>,
    pub(crate) backbone: Vec<String>,
    pub(crate) representation: Vec<String>,
    pub(crate) dataset: Option<Vec<String>>,
    #[schemars(range(min = 0, max = ResumeSpec::MAX_SECONDS))]
    pub(crate) checkpoint_seconds: f64,
}

/// One pass over a spec.
pub(crate) struct Checker<'s> {
    pub(crate) file: &'s SpecFile,
    /// The merged spec, less what was reported as no axis.
    pub(crate) tree: Table,
    /// The same with the first value of each list and range in its place, so that a table is copied without
    /// them; empty until the axes are known.
    base: Table,
    backbones: &'s Backbones<'s>,
    pub(crate) problems: Problems<'s>,
    /// Configurations already put to their plugin, by JSON: a plugin is asked once about each.
    accepted: HashMap<(String, String), Result<(), String>>,
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

    /// The schema of a backbone's settings, where its plugin is known.
    pub(crate) fn schema(&self, backbone: &str) -> Option<&'s serde_json::Value> {
        let mut plugins = self.backbones.plugins.iter();
        let descriptor = plugins
            .find(|report| report.name == backbone)?
            .descriptor
            .as_ref()?;
        Some(&descriptor.parameters)
    }

    pub(crate) fn axes(&mut self, search: &Search) -> Vec<Axis> {
        let plugins = self.backbones.plugins;
        let is_list = |path: &KeyPath| match path.keys() {
            [section, _, name, ..] if section == "dataset" && name == "columns" => true,
            [section, .., prompt, name] if section != "backbone" && prompt == "prompt" => {
                name == "fields"
            }
            [section, .., name] if section == "representation" => name == "stop",
            [section, plugin, name, ..] if section == "backbone" => {
                let report = plugins.iter().find(|report| report.name == *plugin);
                let descriptor = report.and_then(|report| report.descriptor.as_ref());
                descriptor.is_some_and(|descriptor| is_list(descriptor, name))
            }
            _ => false,
        };
        let axes = find_axes(
            &mut self.tree,
            search.settings(),
            &self.file.sources,
            &is_list,
            &mut self.problems,
        );
        self.check_axis_labels(&axes);
        self.base = self.tree.clone();
        for axis in axes.iter().filter(|axis| axis.kind != AxisKind::Points) {
            axis.path.set(&mut self.base, axis.values[0].clone());
        }
        axes
    }

    pub(crate) fn sweep_section(&mut self) -> SweepSection {
        static RANGES: LazyLock<Ranges> = LazyLock::new(Ranges::of::<SweepSection>);
        let at = KeyPath::new(["sweep"]);
        let mut table = at.table(&self.tree);
        for required in ["name", "backbone"] {
            if !table.contains_key(required) {
                let key = at.child(required);
                self.problems
                    .report(&key, format!("`{key}` is missing"), None);
            }
        }
        for name in ["seeds", "backbone", "representation", "dataset"] {
            let Some(value) = table.get_mut(name) else {
                continue;
            };
            if !value.is_array() {
                *value = Value::Array(vec![value.clone()]);
            }
            let key = at.child(name);
            let values = value.as_array().map(Vec::as_slice).unwrap_or_default();
            if values.is_empty() {
                self.problems
                    .report(&key, format!("`{key}` is empty; name at least one"), None);
            }
            let mut seen = BTreeSet::new();
            for label in values.iter().map(value_label) {
                if !seen.insert(label.clone()) {
                    self.problems.report(
                        &key,
                        format!("`{key}` lists `{label}` twice; list it once"),
                        None,
                    );
                }
            }
        }
        let mut section: SweepSection =
            read_section(&at, &table, &mut self.problems).unwrap_or_default();
        if section.name.trim().is_empty() && table.contains_key("name") {
            let key = at.child("name");
            self.problems.report(
                &key,
                format!("`{key}` is empty; results are listed under it"),
                None,
            );
        }
        self.judge(&at, RANGES.problems(&section));
        if section.seeds.is_empty() {
            // Reported above; one seed is enough to find the other problems.
            section.seeds = vec![0];
        }
        section
    }

    /// Datasets to use that have a table.
    pub(crate) fn datasets(&mut self, section: &SweepSection) -> Vec<String> {
        let tables = self.tables("dataset");
        let Some(names) = &section.dataset else {
            return tables;
        };
        let key = KeyPath::new(["sweep", "dataset"]);
        let there: HashSet<&str> = tables.iter().map(String::as_str).collect();
        self.keep_known(
            &key,
            names,
            |name| there.contains(name),
            |name| {
                let known: Vec<&str> = tables.iter().map(String::as_str).collect();
                (
                    format!("`{key}` names `{name}`, but there is no [dataset.{name}]"),
                    suggestion(name, &known),
                )
            },
        )
    }

    /// Backbones to use that are built in or have a usable plugin.
    pub(crate) fn known_backbones(&mut self, section: &SweepSection) -> Vec<String> {
        let plugins = self.backbones.plugins;
        let usable = |name: &str| {
            plugins
                .iter()
                .any(|report| report.name == name && report.error.is_none())
        };
        let mut found: Vec<&str> = plugins.iter().map(|report| report.name.as_str()).collect();
        found.extend(BUILTIN_BACKBONES);
        let key = KeyPath::new(["sweep", "backbone"]);
        let known = self.keep_known(
            &key,
            &section.backbone,
            |name| is_builtin(name) || usable(name),
            |name| {
                let broken = plugins
                    .iter()
                    .find(|report| report.name == name)
                    .and_then(|r| Some((r, r.error.as_ref()?)));
                match broken {
                    Some((report, error)) => {
                        let file = report.path.display();
                        (
                            format!("plugin `{name}` ({file}) cannot be used: {error}"),
                            Some("rebuild the plugin with this version".to_owned()),
                        )
                    }
                    None => {
                        let near = nearest(name, found.iter().copied())
                            .map(|near| format!("did you mean `{near}`? "));
                        let hint = format!(
                            "{}plugins of other folders are found with --plugin-dir FOLDER or GENAIR_PLUGIN_PATH",
                            near.unwrap_or_default()
                        );
                        let there = nearest_few(name, &found);
                        (
                            format!("no backbone `{name}`; there are {there}"),
                            Some(hint),
                        )
                    }
                }
            },
        );
        for name in known.iter().filter(|name| is_builtin(name)) {
            let key = KeyPath::new(["backbone", name]);
            if !key.table(&self.tree).is_empty() {
                self.problems.report(
                    &key,
                    format!("`{name}` is built in and has no settings; remove [{key}]"),
                    None,
                );
            }
        }
        known
    }

    /// Representations to use that are `id` or have a table.
    pub(crate) fn known_representations(&mut self, section: &SweepSection) -> Vec<String> {
        let mut known = self.tables("representation");
        if !known.iter().any(|name| name == "id") {
            known.insert(0, "id".to_owned());
        }
        let key = KeyPath::new(["sweep", "representation"]);
        let there: HashSet<&str> = known.iter().map(String::as_str).collect();
        self.keep_known(
            &key,
            &section.representation,
            |name| there.contains(name),
            |name| {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                (
                    format!("`{key}` names `{name}`, but there is no [representation.{name}]"),
                    suggestion(name, &known),
                )
            },
        )
    }

    /// The names that are known, once each; the others are reported.
    fn keep_known(
        &mut self,
        key: &KeyPath,
        names: &[String],
        known: impl Fn(&str) -> bool,
        unknown: impl Fn(&str) -> (String, Option<String>),
    ) -> Vec<String> {
        let mut kept = IndexSet::new();
        for name in names {
            if !known(name) {
                let (message, hint) = unknown(name);
                self.problems.report(key, message, hint);
            } else {
                kept.insert(name.clone());
            }
        }
        kept.into_iter().collect()
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
                    let message =
                        format!("`{key}` is {value}; it must be a table, [{section}.NAME]");
                    self.problems.report(&key, message, None);
                }
                None => {}
            }
        }
        names
    }

    pub(crate) fn warn_of_unused(&mut self, section: &str, used: &[String]) {
        let known: HashSet<&String> = used.iter().collect();
        for name in self
            .tables(section)
            .into_iter()
            .filter(|name| !known.contains(name))
        {
            if self.problems.has_all_warnings() {
                return;
            }
            let key = KeyPath::new([section, &name]);
            if !self.file.sources.is_own(&key) {
                continue; // Files are extended for what they offer.
            }
            let hint = nearest(&name, used.iter().map(String::as_str))
                .map(|near| format!("did you mean [{section}.{near}]?"));
            self.problems.warn(
                &key,
                format!("[{key}] is not used: `sweep.{section}` does not name it"),
                hint,
            );
        }
    }

    /// Reports what is wrong with the values of the section at `at`; whether nothing is.
    pub(crate) fn judge(&mut self, at: &KeyPath, found: Vec<SpecProblem>) -> bool {
        for problem in &found {
            let key = at.join(&problem.key);
            let message = format!("`{key}` {}", problem.message);
            self.problems.report(&key, message, None);
        }
        found.is_empty()
    }

    /// The value at `at` with a value in place of each axis.
    pub(crate) fn value(&self, at: &KeyPath) -> Option<&Value> {
        at.get(&self.base)
    }

    /// The table at `at` with the chosen values in place of the axes.
    pub(crate) fn table(&self, at: &KeyPath, chosen: &[(&Axis, &Value)]) -> Table {
        let mut table = at.table(&self.base);
        for (axis, value) in chosen {
            if let Some(inner) = axis.path.keys().strip_prefix(at.keys()) {
                KeyPath::new(inner).set(&mut table, (*value).clone());
            }
        }
        table
    }

    pub(crate) fn train(&mut self, chosen: &[(&Axis, &Value)]) -> Option<TrainSpec> {
        let at = KeyPath::new(["train"]);
        let train: TrainSpec = read_section(&at, &self.table(&at, chosen), &mut self.problems)?;
        self.judge(&at, train.validate()).then_some(train)
    }

    pub(crate) fn eval(&mut self) -> EvalSpec {
        let at = KeyPath::new(["eval"]);
        let eval: EvalSpec =
            read_section(&at, &at.table(&self.tree), &mut self.problems).unwrap_or_default();
        self.judge(&at, eval.validate());
        eval
    }

    pub(crate) fn dataset(
        &mut self,
        name: &str,
        chosen: &[(&Axis, &Value)],
    ) -> Option<DatasetSpec> {
        let at = KeyPath::new(["dataset", name]);
        let mut table = self.table(&at, chosen);
        table.remove("prompt"); // How its items are put into words is no part of the data.
        let mut spec: DatasetSpec = read_section(&at, &table, &mut self.problems)?;
        let mut valid = self.judge(&at, spec.validate());
        if let Some(path) = &spec.path {
            let key = at.child("path");
            match absolute(path, &self.file.folder(), Leads::ToData) {
                Ok(path) => spec.path = Some(path),
                Err((message, hint)) => {
                    self.problems
                        .report(&key, format!("`{key}`: {message}"), hint);
                    valid = false;
                }
            }
        }
        valid.then_some(spec)
    }

    pub(crate) fn backbone(
        &mut self,
        name: &str,
        chosen: &[(&Axis, &Value)],
    ) -> Option<(Params, Option<PluginFile>)> {
        let at = KeyPath::new(["backbone", name]);
        let report = self
            .backbones
            .plugins
            .iter()
            .find(|report| report.name == name)?;
        let descriptor = report.descriptor.as_ref()?;
        let params = params::check_params(
            descriptor,
            &at,
            &self.table(&at, chosen),
            &mut self.problems,
        )?;
        let question = question(name, &params);
        if !self.accepted.contains_key(&question) {
            let answers = (self.backbones.accepts)(report, std::slice::from_ref(&params));
            let answer = answers.into_iter().next().unwrap_or(Ok(()));
            self.accepted.insert(question.clone(), answer);
        }
        if let Err(reason) = &self.accepted[&question] {
            let message = format!("plugin `{name}` rejects [{at}]: {reason}");
            self.problems.report(&at, message, None);
            return None;
        }
        let plugin = PluginFile {
            path: report.path.clone(),
            sha256: report.sha256.clone(),
        };
        Some((params, Some(plugin)))
    }

    /// Puts several configurations to a backbone's plugin at once, so that [`Self::backbone`] knows the answers.
    pub(crate) fn ask_plugin(&mut self, name: &str, all: &[Vec<(&Axis, &Value)>]) {
        let mut plugins = self.backbones.plugins.iter();
        let Some(report) = plugins.find(|report| report.name == name) else {
            return;
        };
        let Some(descriptor) = &report.descriptor else {
            return;
        };
        let at = KeyPath::new(["backbone", name]);
        let mut questions: Vec<Params> = Vec::new();
        let mut asked = BTreeSet::new();
        for chosen in all {
            // What is wrong with them is reported where each is checked by itself.
            let mut problems = Problems::new(&self.file.sources);
            let table = self.table(&at, chosen);
            let Some(params) = params::check_params(descriptor, &at, &table, &mut problems) else {
                continue;
            };
            let question = question(name, &params);
            if !self.accepted.contains_key(&question) && asked.insert(question) {
                questions.push(params);
            }
        }
        if questions.len() < 2 {
            return;
        }
        let answers = (self.backbones.accepts)(report, &questions);
        for (params, answer) in questions.iter().zip(answers) {
            self.accepted.insert(question(name, params), answer);
        }
    }
}

/// A configuration, to tell it from others.
fn question(backbone: &str, params: &Params) -> (String, String) {
    let params = serde_json::Value::Object(params.clone()).to_string();
    (backbone.to_owned(), params)
}

pub(crate) fn is_builtin(backbone: &str) -> bool {
    BUILTIN_BACKBONES.contains(&backbone)
}
