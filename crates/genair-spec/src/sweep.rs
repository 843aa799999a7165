//! `[sweep]`: which datasets, backbones and representations are combined, and under which name.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use genair_protocol::{BUILTIN_BACKBONES, Ranges, ResumeSpec};
use genair_toml::{KeyPath, nearest, nearest_few, read_section, suggestion};
use indexmap::IndexSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Value;

use super::axes::value_label;
use super::check::{Checker, is_builtin, listed};

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

impl Checker<'_> {
    /// Reads `[sweep]`.
    pub(crate) fn sweep_section(&mut self) -> SweepSection {
        static RANGES: LazyLock<Ranges> = LazyLock::new(Ranges::of::<SweepSection>);
        let at = KeyPath::new(["sweep"]);
        let mut table = at.table(&self.tree);
        for required in ["name", "backbone"] {
            if !table.contains_key(required) {
                self.problems.about(&at.child(required), "is missing", None);
            }
        }
        for name in ["seeds", "backbone", "representation", "dataset"] {
            let Some(value) = table.get_mut(name) else {
                continue;
            };
            let key = at.child(name);
            let values = listed(value).to_vec();
            if values.is_empty() {
                let message = "is empty; name at least one";
                self.problems.about(&key, message, None);
            }
            let mut seen = BTreeSet::new();
            for label in values.iter().map(value_label) {
                if !seen.insert(label.clone()) {
                    let message = format!("lists `{label}` twice; list it once");
                    self.problems.about(&key, message, None);
                }
            }
            *value = Value::Array(values);
        }
        let mut section: SweepSection =
            read_section(&at, &table, &mut self.problems).unwrap_or_default();
        if section.name.trim().is_empty() && table.contains_key("name") {
            let message = "is empty; results are listed under it";
            self.problems.about(&at.child("name"), message, None);
        }
        self.judge(&at, RANGES.problems(&section));
        // What is listed twice is reported above.
        section.seeds = IndexSet::<u64>::from_iter(section.seeds)
            .into_iter()
            .collect();
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
        self.with_table("dataset", names, &tables)
    }

    /// Backbones to use that are built in or have a usable plugin.
    pub(crate) fn known_backbones(&mut self, section: &SweepSection) -> Vec<String> {
        let backbones = self.backbones;
        let usable = |name: &str| {
            let report = backbones.plugin(name);
            report.is_some_and(|report| report.error.is_none())
        };
        let plugins = backbones.plugins.iter();
        let mut found: Vec<&str> = plugins.map(|report| report.name.as_str()).collect();
        found.extend(BUILTIN_BACKBONES);
        let key = KeyPath::new(["sweep", "backbone"]);
        self.keep_known(
            &key,
            &section.backbone,
            |name| is_builtin(name) || usable(name),
            |name| {
                let broken = backbones.plugin(name);
                if let Some((report, error)) = broken.and_then(|r| Some((r, r.error.as_ref()?))) {
                    let file = report.path.display();
                    return (
                        format!("plugin `{name}` ({file}) cannot be used: {error}"),
                        Some("rebuild the plugin with this version".to_owned()),
                    );
                }
                let near = nearest(name, found.iter().copied())
                    .map(|near| format!("did you mean `{near}`? "));
                let hint = format!(
                    "{}plugins of other folders are found with --plugin-dir FOLDER or GENAIR_PLUGIN_PATH",
                    near.unwrap_or_default()
                );
                let there = nearest_few(name, &found);
                let message = format!("no backbone `{name}`; there are {there}");
                (message, Some(hint))
            },
        )
    }

    /// Representations to use that are `id` or have a table.
    pub(crate) fn known_representations(&mut self, section: &SweepSection) -> Vec<String> {
        let mut known = self.tables("representation");
        if !known.iter().any(|name| name == "id") {
            known.insert(0, "id".to_owned());
        }
        self.with_table("representation", &section.representation, &known)
    }

    /// The names that are among the `known` ones of a section.
    fn with_table(&mut self, section: &str, names: &[String], known: &[String]) -> Vec<String> {
        let key = KeyPath::new(["sweep", section]);
        let there: HashSet<&str> = known.iter().map(String::as_str).collect();
        self.keep_known(
            &key,
            names,
            |name| there.contains(name),
            |name| {
                let message = format!("`{key}` names `{name}`, but there is no [{section}.{name}]");
                (message, suggestion(name, known))
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

    /// Warns of the tables under `[SECTION.*]` that `[sweep]` does not name.
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
}
