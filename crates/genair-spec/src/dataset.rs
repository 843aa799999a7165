//! `[dataset.NAME]`: where interactions come from.

use std::path::PathBuf;

use genair_protocol::DatasetSpec;
use genair_toml::{KeyPath, read_section};
use toml::Value;

use super::axes::Axis;
use super::check::{Checker, listed};
use super::data_path::{Leads, fill_in_variables};
use super::load::SpecFile;

impl SpecFile {
    /// Folders that the sweep's datasets name, there or not. What is wrong with one of them, [`SpecFile::expand`]
    /// says.
    pub fn data_folders(&self) -> Vec<PathBuf> {
        let at = KeyPath::new(["dataset"]);
        let used = KeyPath::new(["sweep", "dataset"]);
        let used = used.get(&self.tree).map(listed);
        let mut folders = Vec::new();
        for name in self.sources.names(&at) {
            let is_used = used.is_none_or(|used| used.contains(&Value::from(&*name)));
            let path = at.child(&name).child("path");
            let paths = path.get(&self.tree).filter(|_| is_used);
            for path in paths.into_iter().flat_map(listed) {
                let filled = path.as_str().and_then(|path| fill_in_variables(path).ok());
                folders.extend(filled.map(|path| self.folder().join(path)));
            }
        }
        folders
    }
}

impl Checker<'_> {
    /// Reads a dataset with these values of its axes; `None` if there was anything to report.
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
            let path = self.absolute(&at.child("path"), path, Leads::ToData);
            valid &= path.is_some();
            spec.path = path;
        }
        valid.then_some(spec)
    }
}
