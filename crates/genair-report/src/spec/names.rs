//! What texts of a report spec may hold: they are printed in tables, figures and pages.

use genair_protocol::text::{check_name, is_control, quoted};
use genair_toml::{KeyPath, Problems};

use super::ReportSection;

/// Checks the names that `[report]` gives to results.
pub(super) fn check_printed_names(report: &ReportSection, problems: &mut Problems<'_>) {
    for (name, text) in &report.names {
        for (what, text) in [("the name", name), ("its text", text)] {
            if let Err(bad) = check_name(text) {
                let key = KeyPath::new(["report", "names", name]);
                let message = format!("`report.names`: {what} {} {bad}", quoted(text));
                problems.report(&key, message, Some(TAKE_IT_OUT.to_owned()));
            }
        }
    }
}

/// Checks a caption, which may have several lines.
pub(super) fn check_caption(at: &KeyPath, caption: Option<&str>, problems: &mut Problems<'_>) {
    let stays = |c: char| matches!(c, '\n' | '\r' | '\t');
    let Some(caption) = caption.filter(|text| text.contains(|c| is_control(c) && !stays(c))) else {
        return;
    };
    let key = at.child("caption");
    let message = format!(
        "`{key}` is {}; it holds a control character or a mark of the direction of writing",
        quoted(caption)
    );
    problems.report(&key, message, Some(TAKE_IT_OUT.to_owned()));
}

const TAKE_IT_OUT: &str = "take it out; letters, digits, spaces and punctuation are fine";
