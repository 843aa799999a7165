//! Learning curves, thinned out where there are many.

use std::collections::HashMap;

use genair_store::{CurvePoint, RunId, Store};

use super::blocks::Blocks;
use super::index::{CHUNK, Index};
use crate::ReportError;

/// Points of all curves together, about: some three megabytes of the page.
const POINTS: u32 = 400_000;
/// Points of one curve at the least and the most.
const OF_CURVE: std::ops::RangeInclusive<u32> = 24..=1000;

/// A run's curves, point by point; a value is null where it was not measured.
#[derive(Default, serde::Serialize)]
struct Curves {
    epoch: Vec<u64>,
    loss: Vec<Option<f64>>,
    calibration: Vec<Option<f64>>,
    valid: Vec<Option<f64>>,
}

/// Adds the blocks `curves-N`.
pub(super) fn add(
    store: &mut Store,
    index: &mut Index,
    blocks: &mut Blocks,
) -> Result<(), ReportError> {
    let runs = u32::try_from(index.runs.len()).unwrap_or(u32::MAX);
    let most = POINTS / runs.max(1);
    index.curve_points = most.clamp(*OF_CURVE.start(), *OF_CURVE.end());
    let curves = store.thinned_curves(index.curve_points)?;
    let mut curves: HashMap<RunId, Vec<CurvePoint>> = curves.into_iter().collect();
    for (number, runs) in index.runs.chunks(CHUNK).enumerate() {
        let curves = runs.iter().map(|run| curves.remove(&run.run_id));
        let chunk: Vec<Option<Curves>> = curves.map(|points| Some(Curves::from(points?))).collect();
        blocks.add_json(&format!("curves-{number}"), &chunk);
    }
    Ok(())
}

impl From<Vec<CurvePoint>> for Curves {
    fn from(points: Vec<CurvePoint>) -> Self {
        let mut curves = Self::default();
        for (epoch, loss, calibration, valid) in points {
            curves.epoch.push(epoch);
            curves.loss.push(short(loss));
            curves.calibration.push(short(calibration));
            curves.valid.push(short(valid));
        }
        // A series without a value is none.
        for series in [&mut curves.calibration, &mut curves.valid] {
            if series.iter().all(Option::is_none) {
                series.clear();
            }
        }
        curves
    }
}

/// Five significant digits: a curve is looked at.
fn short(number: Option<f64>) -> Option<f64> {
    format!("{:.4e}", number?).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_has_five_digits() {
        assert_eq!(short(Some(0.123_456_789)), Some(0.12346));
        assert_eq!(short(Some(123_456_789.0)), Some(123_460_000.0));
        assert_eq!(short(None), None);
    }
}
