//! The overview of a report: one page with every table and figure, and what is missing.

use itertools::Itertools;

use crate::figure::Figure;
use crate::render::{Format, escape_latex, escape_markdown, render};
use crate::report::Report;
use crate::spec::ReportSpec;

/// For people who browse the folder.
pub(crate) fn markdown(report: &Report, spec: &ReportSpec) -> String {
    let mut parts = vec![format!(
        "Made by `genair report {}`; every number is from the results database.",
        spec.path.display()
    )];
    for table in &report.tables {
        parts.push(format!("## {}", escape_markdown(&table.name)));
        parts.push(render(table, Format::Markdown).trim_end().to_owned());
        let files = files(&table.name, &["tex", "csv", "json"]);
        parts.push(format!("Also as {files}."));
    }
    for figure in &report.figures {
        let name = &figure.name;
        parts.push(format!("## {}", escape_markdown(name)));
        let caption = escape_markdown(&figure.caption);
        parts.push(format!("![{caption}]({name}.svg)"));
        parts.push(escape_markdown(&text_below(figure)));
        parts.push(format!("Also as {}.", files(name, &["pdf", "png", "csv"])));
    }
    if !report.skipped.is_empty() {
        parts.push("## Not made, for want of results".to_owned());
        let mut lines = report.skipped.iter().map(|skipped| format!("- {skipped}"));
        parts.push(lines.join("\n"));
    }
    parts.join("\n\n") + "\n"
}

/// A figure's caption and notes.
fn text_below(figure: &Figure) -> String {
    let caption = figure.caption.trim();
    [caption, &figure.notes.join(" ")].join(" ")
}

fn files(name: &str, extensions: &[&str]) -> String {
    let link = |extension| format!("[{extension}]({name}.{extension})");
    extensions.iter().map(link).join(", ")
}

/// A document that compiles: every table and figure as a paper would include it.
pub(crate) fn latex(report: &Report) -> String {
    let mut lines = vec![
        "% Made by `genair report`; compile with pdflatex in this folder.".to_owned(),
        "\\documentclass{article}".to_owned(),
        "\\usepackage[landscape,margin=1.5cm]{geometry}".to_owned(),
        "\\usepackage{booktabs,graphicx}".to_owned(),
        "\\begin{document}".to_owned(),
    ];
    for table in &report.tables {
        lines.push(format!("\\input{{{}}}", table.name));
        lines.push("\\clearpage".to_owned());
    }
    for figure in &report.figures {
        lines.push("\\begin{figure}".to_owned());
        lines.push("\\centering".to_owned());
        lines.push(format!("\\includegraphics{{{}.pdf}}", figure.name));
        let text = escape_latex(&text_below(figure));
        lines.push(format!("\\caption{{{text}}}"));
        lines.push(format!("\\label{{fig:{}}}", figure.name));
        lines.push("\\end{figure}".to_owned());
        lines.push("\\clearpage".to_owned());
    }
    lines.push("\\end{document}".to_owned());
    lines.join("\n") + "\n"
}
