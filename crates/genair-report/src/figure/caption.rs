//! What stands under a figure whose spec has no caption: what it draws.

use itertools::Itertools;

use crate::build::text;
use crate::spec::{Dimension, FigureKind, FigureSpec, Measure, ReportSpec};

use super::measured::cost_label;

/// The caption of a figure, its own or made of what it draws.
pub(super) fn caption(report: &ReportSpec, spec: &FigureSpec) -> String {
    if let Some(own) = &spec.caption {
        return own.clone();
    }
    let title = |metric: &Measure| text(&Dimension::Metric, &metric.to_string(), report);
    let metrics = spec.metrics.iter().map(title).join(" and ");
    match spec.kind {
        FigureKind::Sensitivity => {
            let x = spec.x.clone().unwrap_or_default();
            let axis = report.names.get(&x).unwrap_or(&x);
            format!("{metrics} by {axis}.")
        }
        FigureKind::Cohorts => format!("{metrics} by cohort of users."),
        FigureKind::LearningCurves => "Validation and training loss by epoch.".to_owned(),
        FigureKind::Cost => format!("{metrics} against {}.", cost_label(spec.cost())),
        FigureKind::ItemSpace => "Item spaces before training and after.".to_owned(),
        FigureKind::Trajectories => {
            "Validation of each run by epoch, until it was pruned or done.".to_owned()
        }
    }
}
