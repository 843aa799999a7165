//! `[eval]`: what is measured.

use genair_protocol::EvalSpec;
use genair_toml::{KeyPath, read_section};

use super::check::Checker;

impl Checker<'_> {
    /// Reads `[eval]`; the defaults where that is not possible.
    pub(crate) fn eval(&mut self) -> EvalSpec {
        let at = KeyPath::new(["eval"]);
        let eval: EvalSpec =
            read_section(&at, &at.table(&self.tree), &mut self.problems).unwrap_or_default();
        self.judge(&at, eval.validate());
        eval
    }
}
