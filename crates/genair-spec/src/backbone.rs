//! `[backbone.NAME]`: settings of a backbone, checked by its schema and then, of a plugin, by itself.

use std::collections::BTreeSet;

use genair_toml::{KeyPath, Problems};
use toml::Value;

use super::PluginFile;
use super::axes::Axis;
use super::check::{Checker, is_builtin};
use super::params::{self, Params};

impl<'s> Checker<'s> {
    /// The schema of a backbone's settings, where its plugin is known.
    pub(crate) fn schema(&self, backbone: &str) -> Option<serde_json::Value> {
        Some(self.backbones.descriptor(backbone)?.parameters.clone())
    }

    /// A backbone's settings with these values of its axes; `None` if there was anything to report.
    pub(crate) fn backbone(
        &mut self,
        name: &str,
        chosen: &[(&Axis, &Value)],
    ) -> Option<(Params, Option<PluginFile>)> {
        let at = KeyPath::new(["backbone", name]);
        let descriptor = self.backbones.descriptor(name)?;
        let table = self.table(&at, chosen);
        let params = params::check_params(&descriptor, &at, &table, &mut self.problems)?;
        if is_builtin(name) {
            return Some((params, None));
        }
        let report = self.backbones.plugin(name)?;
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
        let known = self.backbones.plugin(name);
        let Some((report, descriptor)) = known.zip(self.backbones.descriptor(name)) else {
            return;
        };
        let at = KeyPath::new(["backbone", name]);
        let mut questions: Vec<Params> = Vec::new();
        let mut asked = BTreeSet::new();
        for chosen in all {
            // What is wrong with them is reported where each is checked by itself.
            let mut problems = Problems::new(&self.file.sources);
            let table = self.table(&at, chosen);
            let Some(params) = params::check_params(&descriptor, &at, &table, &mut problems) else {
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
