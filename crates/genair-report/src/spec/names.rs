//! What texts of a report spec may hold: they are printed in tables, figures and pages.

use genair_protocol::text::{check_name, is_control, quoted};

use super::ReportSection;
use super::read::Reader;

impl Reader<'_> {
    /// Checks the names that `[report]` gives to results.
    pub(super) fn check_printed_names(&mut self, report: &ReportSection) {
        for (name, text) in &report.names {
            for (what, text) in [("the name", name), ("its text", text)] {
                if let Err(bad) = check_name(text) {
                    let key = format!("report.names.{name}");
                    let message = format!("`report.names`: {what} {} {bad}", quoted(text));
                    self.report(&key, message, Some(TAKE_IT_OUT.to_owned()));
                }
            }
        }
    }

    /// Checks a caption, which may have several lines.
    pub(super) fn check_caption(&mut self, at: &str, caption: Option<&str>) {
        let stays = |c: char| matches!(c, '\n' | '\r' | '\t');
        let Some(caption) = caption.filter(|text| text.contains(|c| is_control(c) && !stays(c)))
        else {
            return;
        };
        let key = format!("{at}.caption");
        let message = format!(
            "`{key}` is {}; it holds a control character or a mark of the direction of writing",
            quoted(caption)
        );
        self.report(&key, message, Some(TAKE_IT_OUT.to_owned()));
    }
}

const TAKE_IT_OUT: &str = "take it out; letters, digits, spaces and punctuation are fine";
