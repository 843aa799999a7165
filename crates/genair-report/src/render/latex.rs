//! Booktabs LaTeX that compiles with any TeX distribution: needs `\usepackage{booktabs}` and no more.

use itertools::Itertools;

use super::{CellText, shown, spans};
use crate::table::{Column, Place, Row, Style, Table, Verdict};

pub(super) fn render(table: &Table) -> String {
    let labels = table.row_dimensions.len();
    let mut lines = vec![
        "% Made by `genair report`; needs \\usepackage{booktabs}.".to_owned(),
        "\\begin{table}".to_owned(),
        "\\centering".to_owned(),
    ];
    if let Some(caption) = &table.caption {
        lines.push(format!("\\caption{{{}}}", escape(caption)));
    }
    lines.push(format!("\\label{{tab:{}}}", table.name));
    lines.push(format!(
        "\\begin{{tabular}}{{{}{}}}",
        "l".repeat(labels),
        "r".repeat(table.columns.len())
    ));
    lines.push("\\toprule".to_owned());
    lines.extend(header(table));
    lines.push("\\midrule".to_owned());
    let mut previous: Option<&Row> = None;
    for row in &table.rows {
        if labels > 1 && previous.is_some_and(|previous| previous.labels[0] != row.labels[0]) {
            lines.push("\\midrule".to_owned());
        }
        lines.push(body_row(row, previous, &table.columns, table.style));
        previous = Some(row);
    }
    lines.push("\\bottomrule".to_owned());
    lines.push("\\end{tabular}".to_owned());
    let notes = table.notes.iter().map(|note| escape(note)).join(" ");
    lines.push(format!("\\par\\smallskip{{\\footnotesize {notes}\\par}}"));
    lines.push("\\end{table}".to_owned());
    lines.join("\n") + "\n"
}

/// One line per dimension of the columns; the last one also names the rows' labels.
fn header(table: &Table) -> Vec<String> {
    let labels = table.row_dimensions.len();
    let names = table.row_dimensions.iter();
    let names = names.map(|own| escape(&capitalised(own.as_str())));
    let names: Vec<String> = names.collect();
    let levels = table.column_dimensions.len();
    if levels == 0 {
        let titles = table.columns.iter();
        let titles = titles.map(|column| escape(&column.measure.title()));
        return vec![line(names.into_iter().chain(titles))];
    }
    let mut lines = Vec::new();
    for level in 0..levels {
        let last = level + 1 == levels;
        let start = match last {
            true => names.clone(),
            false => vec![String::new(); labels],
        };
        let (mut titles, mut rules, mut column) = (Vec::new(), String::new(), labels + 1);
        for (label, width) in spans(&table.columns, level) {
            let text = escape(&label.text);
            titles.push(match (last, width) {
                (true, 1) => text,
                (_, width) => format!("\\multicolumn{{{width}}}{{c}}{{{text}}}"),
            });
            if !label.text.is_empty() {
                rules += &format!("\\cmidrule(lr){{{column}-{}}}", column + width - 1);
            }
            column += width;
        }
        lines.push(line(start.into_iter().chain(titles)));
        if !last {
            lines.push(rules);
        }
    }
    lines
}

fn body_row(row: &Row, previous: Option<&Row>, columns: &[Column], style: Style) -> String {
    // A label is printed once, where it and those before it last changed.
    let repeats = |at: usize| {
        at + 1 < row.labels.len()
            && previous.is_some_and(|previous| previous.labels[..=at] == row.labels[..=at])
    };
    let labels = row
        .labels
        .iter()
        .enumerate()
        .map(|(at, label)| match repeats(at) {
            true => String::new(),
            false => escape(shown(label)),
        });
    let cells = std::iter::zip(&row.cells, columns).map(|(cell, column)| match cell {
        Some(cell) => cell_text(&CellText::of(cell, column, style)),
        None => "--".to_owned(),
    });
    line(labels.chain(cells))
}

fn cell_text(cell: &CellText) -> String {
    let mut text = match cell.place {
        Some(Place::Best) => format!("\\textbf{{{}}}", cell.mean),
        Some(Place::Second) => format!("\\underline{{{}}}", cell.mean),
        None => cell.mean.clone(),
    };
    if let Some(spread) = &cell.spread {
        text += &format!("{{\\scriptsize$\\pm${spread}}}");
    }
    if let Some((verdict, marks)) = cell.verdict {
        let mark = match verdict {
            Verdict::Better => "*",
            Verdict::Worse => "\\dagger",
        };
        text += &format!("$^{{{}}}$", mark.repeat(marks));
    }
    if let Some(delta) = &cell.delta {
        // In mathematics a sign is a sign, not a hyphen.
        let (sign, rest) = delta.split_at(1);
        text += &format!(" ($\\mathord{{{sign}}}${})", escape(rest));
    }
    text
}

fn line(mut cells: impl Iterator<Item = String>) -> String {
    cells.join(" & ") + " \\\\"
}

/// A dimension's name as a header.
pub(super) fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// Text that LaTeX prints as it is.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', letter]),
            '\\' => escaped += "\\textbackslash{}",
            '~' => escaped += "\\textasciitilde{}",
            '^' => escaped += "\\textasciicircum{}",
            '<' => escaped += "\\ensuremath{<}",
            '>' => escaped += "\\ensuremath{>}",
            '|' => escaped += "\\ensuremath{|}",
            '"' => escaped += "{''}", // A straight one needs another font encoding.
            '*' => escaped += "{*}",  // `\\*` would take a star for its own.
            '[' => escaped += "{[}",  // `\\[` would take a length.
            ']' => escaped += "{]}",
            '\u{2013}' => escaped += "--",
            '\u{2020}' => escaped += "\\ensuremath{\\dagger}",
            '\u{b1}' => escaped += "\\ensuremath{\\pm}",
            '\n' | '\r' | '\t' => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_printed() {
        assert_eq!(
            escape("50 % of A&B_C #1 {x} $5"),
            "50 \\% of A\\&B\\_C \\#1 \\{x\\} \\$5"
        );
        assert_eq!(
            escape("a\\b~c^d<e>"),
            "a\\textbackslash{}b\\textasciitilde{}c\\textasciicircum{}d\\ensuremath{<}e\\ensuremath{>}"
        );
    }
}
