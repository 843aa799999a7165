//! `[train]`: how runs train.

use genair_protocol::TrainSpec;
use genair_toml::{KeyPath, read_section};
use toml::Value;

use super::axes::Axis;
use super::check::Checker;

impl Checker<'_> {
    /// Reads `[train]` with these values of its axes; `None` if there was anything to report.
    pub(crate) fn train(&mut self, chosen: &[(&Axis, &Value)]) -> Option<TrainSpec> {
        let at = KeyPath::new(["train"]);
        let train: TrainSpec = read_section(&at, &self.table(&at, chosen), &mut self.problems)?;
        self.judge(&at, train.validate()).then_some(train)
    }
}
