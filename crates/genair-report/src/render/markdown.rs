//! GitHub's Markdown: headers of several dimensions become one line, since it has no spans.

use itertools::Itertools;

use super::latex::capitalised;
use super::{CellText, shown};
use crate::table::{Cell, Column, Place, Style, Table};

pub(super) fn render(table: &Table) -> String {
    let mut lines = Vec::new();
    if let Some(caption) = &table.caption {
        lines.extend([format!("**{}**", escape(caption)), String::new()]);
    }
    let names = table.row_dimensions.iter();
    let names = names.map(|own| escape(&capitalised(own.as_str())));
    let titles = table.columns.iter().map(title);
    lines.push(line(names.chain(titles)));
    let left = table.row_dimensions.iter().map(|_| "---".to_owned());
    let right = table.columns.iter().map(|_| "---:".to_owned());
    lines.push(line(left.chain(right)));
    for row in &table.rows {
        let labels = row.labels.iter().map(|label| escape(shown(label)));
        let cells = std::iter::zip(&row.cells, &table.columns)
            .map(|(cell, column)| cell_text(cell.as_ref(), column, table.style));
        lines.push(line(labels.chain(cells)));
    }
    lines.push(String::new());
    lines.push(table.notes.iter().map(|note| escape(note)).join(" "));
    lines.join("\n") + "\n"
}

fn title(column: &Column) -> String {
    let labels = column.labels.iter().filter(|label| !label.text.is_empty());
    let labels = labels.map(|label| escape(&label.text)).join(" ");
    match labels.is_empty() {
        true => escape(&column.measure.title()),
        false => labels,
    }
}

fn cell_text(cell: Option<&Cell>, column: &Column, style: Style) -> String {
    let Some(cell) = cell else {
        return "\u{2013}".to_owned();
    };
    let cell = CellText::of(cell, column, style);
    let mut text = match cell.place {
        Some(Place::Best) => format!("**{}**", cell.mean),
        Some(Place::Second) => format!("<u>{}</u>", cell.mean),
        None => cell.mean,
    };
    if let Some(spread) = cell.spread {
        text += &format!(" \u{b1} {spread}");
    }
    if let Some((verdict, marks)) = cell.verdict {
        text += &escape(&verdict.mark().repeat(marks));
    }
    if let Some(delta) = cell.delta {
        text += &format!(" ({delta})");
    }
    text
}

fn line(mut cells: impl Iterator<Item = String>) -> String {
    format!("| {} |", cells.join(" | "))
}

/// Text that Markdown prints as it is.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' => escaped.extend(['\\', letter]),
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            '\n' | '\r' => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}
