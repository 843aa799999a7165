//! What takes how much room in a chart: panels, legend and texts. Sizes are in points.

use plotters::style::FontStyle;

use super::chart::Chart;
use super::draw::{TEXT, UNIT, font};

/// Width of a figure in a column and across a page, of a journal with two columns.
const COLUMN: f64 = 252.0;
const PAGE: f64 = 504.0;

/// Where panels and legend go.
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) panel_height: f64,
    /// Entries of each line of the legend: which, and where from the left.
    pub(super) legend: Vec<Vec<(usize, f64)>>,
}

impl Layout {
    pub(super) const LEGEND_LINE: f64 = 12.0;
    pub(super) const LEGEND_SYMBOL: f64 = 20.0;
    pub(super) const LEGEND_GAP: f64 = 12.0;
    /// Left and right of the legend.
    pub(super) const MARGIN: f64 = 8.0;

    pub(super) fn of(chart: &Chart) -> Self {
        let panels = chart.panels.len();
        let columns = match panels {
            0 | 1 => 1,
            2 | 4 => 2,
            _ => 3,
        };
        let width = if columns == 1 && !chart.wide {
            COLUMN
        } else {
            PAGE
        };
        let panel_width = width / columns as f64;
        let panel_height = match columns {
            1 if chart.wide => 0.36 * panel_width,
            1 | 2 => 0.7 * panel_width,
            _ => 0.86 * panel_width,
        };
        let names = chart.legend.iter();
        let lengths: Vec<f64> = names
            .map(|(name, _)| Self::LEGEND_SYMBOL + text_width(name) + Self::LEGEND_GAP)
            .collect();
        let room = width - 2.0 * Self::MARGIN + Self::LEGEND_GAP;
        let mut legend = legend_lines(&lengths, room);
        for (_, x) in legend.iter_mut().flatten() {
            *x += Self::MARGIN;
        }
        Self {
            width,
            columns,
            rows: panels.div_ceil(columns),
            panel_height,
            legend,
        }
    }

    pub(super) fn legend_height(&self) -> f64 {
        match self.legend.len() {
            0 => 0.0,
            lines => lines as f64 * Self::LEGEND_LINE + 3.0,
        }
    }

    pub(super) fn height(&self) -> f64 {
        (self.legend_height() + self.rows as f64 * self.panel_height).round()
    }
}

/// Entries of these lengths in lines of at most `room`: which, and how far from the left. Of several lines
/// the entries stand in columns.
fn legend_lines(lengths: &[f64], room: f64) -> Vec<Vec<(usize, f64)>> {
    let numbered = || lengths.iter().copied().enumerate();
    if lengths.is_empty() {
        return Vec::new();
    }
    if lengths.iter().sum::<f64>() <= room {
        let starts = numbered().scan(0.0, |x, (at, length)| {
            let own = (at, *x);
            *x += length;
            Some(own)
        });
        return vec![starts.collect()];
    }
    let widest = lengths.iter().copied().fold(0.0, f64::max);
    let most = ((room / widest) as usize).max(1);
    // As many lines as it takes, and no more columns than these lines need.
    let columns = lengths.len().div_ceil(lengths.len().div_ceil(most));
    let mut lines = vec![Vec::new(); lengths.len().div_ceil(columns)];
    for at in 0..lengths.len() {
        lines[at / columns].push((at, (at % columns) as f64 * widest));
    }
    lines
}

/// Width of a text in points.
pub(super) fn text_width(text: &str) -> f64 {
    match font(TEXT, FontStyle::Normal).font.box_size(text) {
        Ok((width, _)) => f64::from(width) / UNIT,
        Err(_) => 0.6 * TEXT * text.chars().count() as f64,
    }
}

/// A text that is no wider than `room` points: its end is left out where it is.
pub(super) fn fitted(text: &str, room: f64) -> String {
    let mut kept = text.to_owned();
    while text_width(&kept) > room && kept.chars().count() > 4 {
        let letters = kept.trim_end_matches('\u{2026}').chars().count() - 1;
        kept = text.chars().take(letters).chain(['\u{2026}']).collect();
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::super::style::{Colour, Look};
    use super::*;

    #[test]
    fn a_legend_of_several_lines_stands_in_columns() {
        let lines = |lengths: &[f64]| legend_lines(lengths, 100.0);
        assert_eq!(lines(&[]), Vec::<Vec<(usize, f64)>>::new());
        assert_eq!(
            lines(&[20.0, 30.0, 40.0]),
            [[(0, 0.0), (1, 20.0), (2, 50.0)]]
        );
        let several = lines(&[20.0, 45.0, 30.0, 10.0, 25.0]);
        let expected = [
            vec![(0, 0.0), (1, 45.0)],
            vec![(2, 0.0), (3, 45.0)],
            vec![(4, 0.0)],
        ];
        assert_eq!(several, expected);
        // Four in two lines of two, rather than of three and one.
        let four = lines(&[33.0, 33.0, 33.0, 33.0]);
        assert_eq!(four.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(lines(&[500.0, 10.0]).len(), 2);
        let names: Vec<String> = (0..9).map(|at| "x".repeat(3 + 7 * at)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let look = Look {
            colour: Colour::number(0),
            variant: 0,
        };
        let legend = names.iter().map(|name| ((*name).to_owned(), look));
        let layout = Layout::of(&Chart::new(Vec::new(), legend.collect(), false));
        let columns: Vec<f64> = layout.legend[0].iter().map(|(_, x)| *x).collect();
        for line in &layout.legend {
            assert!(
                line.iter()
                    .zip(&columns)
                    .all(|((_, x), column)| x == column)
            );
        }
    }
}
