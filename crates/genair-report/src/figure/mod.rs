//! Figures: from the cells of a table, or the rows behind them, to a chart; from a chart to files.

mod caption;
mod chart;
mod convert;
mod draw;
mod item_space;
mod layout;
mod learning;
mod looks;
mod measured;
mod strokes;
mod style;
mod ticks;
mod trajectories;

use genair_store::Store;
use serde::{Deserialize, Serialize};

use crate::ReportError;
use crate::spec::{FigureKind, FigureSpec, ReportSpec};
use chart::Chart;
use convert::Picture;

pub(crate) use convert::described;

/// A finished figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Its name, which is that of its files.
    pub name: String,
    /// What stands below it: that of its spec, or what it draws.
    pub caption: String,
    /// What a reader must know to read it, in sentences.
    pub notes: Vec<String>,
    /// SVG whose letters are outlines.
    pub svg: String,
    /// The numbers it draws, with a header.
    pub csv: String,
    pdf: Vec<u8>,
    png: Vec<u8>,
}

/// A format of a figure.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "lowercase")]
pub enum FigureFormat {
    /// Vector graphics for the web, letters as outlines.
    Svg,
    /// Vector graphics for LaTeX, typeface embedded.
    Pdf,
    /// 300 dots per inch, on white.
    Png,
    /// The numbers that are drawn.
    Csv,
}

impl FigureFormat {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Svg, Self::Pdf, Self::Png, Self::Csv];

    /// The extension of its files.
    pub fn extension(self) -> &'static str {
        self.into()
    }
}

impl Figure {
    /// The file in a format.
    pub fn bytes(&self, format: FigureFormat) -> &[u8] {
        match format {
            FigureFormat::Svg => self.svg.as_bytes(),
            FigureFormat::Pdf => &self.pdf,
            FigureFormat::Png => &self.png,
            FigureFormat::Csv => self.csv.as_bytes(),
        }
    }
}

/// What a figure is made of: what to draw, the numbers as CSV, and what to say about them.
struct Drawing {
    chart: Chart,
    csv: String,
    notes: Vec<String>,
}

/// Makes one figure of a report.
///
/// # Errors
/// As of [`crate::build_tables`]; runs that have not stored what the figure shows.
pub(crate) fn build_figure(
    store: &mut Store,
    report: &ReportSpec,
    spec: &FigureSpec,
) -> Result<Figure, ReportError> {
    let drawing = match spec.kind {
        FigureKind::Sensitivity => measured::sensitivity(store, report, spec),
        FigureKind::Cohorts => measured::cohorts(store, report, spec),
        FigureKind::Cost => measured::cost(store, report, spec),
        FigureKind::LearningCurves => learning::curves(store, report, spec),
        FigureKind::ItemSpace => item_space::item_space(store, report, spec),
        FigureKind::Trajectories => trajectories::trajectories(store, report, spec),
    }?;
    let failed = |reason: String| ReportError::Drawing {
        figure: spec.name.clone(),
        reason,
    };
    let picture = draw::svg(&drawing.chart)
        .and_then(|svg| Picture::read(&svg))
        .map_err(failed)?;
    let caption = caption::caption(report, spec);
    Ok(Figure {
        name: spec.name.clone(),
        svg: picture.svg(&caption, &drawing.notes.join(" ")),
        caption,
        notes: drawing.notes,
        csv: drawing.csv,
        pdf: picture.pdf().map_err(failed)?,
        png: picture.png().map_err(failed)?,
    })
}
