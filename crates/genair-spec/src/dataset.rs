//! `[dataset.NAME]`: where interactions come from.

use genair_protocol::DatasetSpec;
use genair_toml::{KeyPath, read_section};
use toml::Value;

use super::axes::Axis;
use super::check::Checker;
use super::data_path::{Leads, absolute};

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
}
