//! Learning curves, thinned out where there are many.

use std::collections::HashMap;

use genair_store::Store;

use super::blocks::Blocks;
use super::index::{CHUNK, Index};
use crate::ReportError;
use crate::rows::unexpected;

/// Points of all curves together, about: some three megabytes of the page.
const POINTS: usize = 400_000;
/// Points of one curve at the least and the most.
const OF_CURVE: std::ops::RangeInclusive<usize> = 24..=1000;

/// A run's curves, point by point; a value is null where it was not measured.
#[derive(Default, serde::Serialize)]
struct Curves {
    epoch: Vec<i64>,
    loss: Vec<Option<f64>>,
    calibration: Vec<Option<f64>>,
    valid: Vec<Option<f64>>,
}

/// Adds the blocks `curves-N`. A thinned curve keeps its first, its best and its last epoch.
pub(super) fn add(
    store: &mut Store,
    index: &mut Index,
    blocks: &mut Blocks,
) -> Result<(), ReportError> {
    let most = POINTS / index.runs.len().max(1);
    index.curve_points = most.clamp(*OF_CURVE.start(), *OF_CURVE.end());
    let places = index.run_places();
    // A row a run instead of one an epoch. An infinite number has no place on a curve, nor in JSON.
    let sql = format!(
        "WITH sizes AS (
             SELECT run_id, max(epoch) AS last, (max(epoch) + {0} - 1) / {0} AS step FROM epochs GROUP BY run_id
         )
         SELECT run_id, json_group_array(
             json_array(epoch, iif(abs(loss) < 1e300, loss, NULL), iif(abs(calibration) < 1e300, calibration, NULL), valid)
             ORDER BY epoch)
         FROM sizes JOIN epochs USING (run_id) JOIN runs USING (run_id)
         WHERE epoch % step = 0 OR epoch = 1 OR epoch = last OR epoch = best_epoch
         GROUP BY run_id",
        index.curve_points
    );
    let path = store.path().to_owned();
    let mut curves: HashMap<usize, Curves> = HashMap::new();
    store.query_each::<ReportError>(&sql, |row| {
        let place = row[0].as_i64().and_then(|run| places.get(&run));
        if let (Some(&place), Some(points)) = (place, row[1].as_str()) {
            let points: Vec<Point> = serde_json::from_str(points)
                .map_err(|source| unexpected(&path, "curve", source))?;
            curves.insert(place, points.into_iter().collect());
        }
        Ok(())
    })?;
    for (number, first) in (0..index.runs.len()).step_by(CHUNK).enumerate() {
        let last = (first + CHUNK).min(index.runs.len());
        let chunk: Vec<Option<Curves>> = (first..last).map(|place| curves.remove(&place)).collect();
        blocks.add_json(&format!("curves-{number}"), &chunk);
    }
    Ok(())
}

/// Epoch, loss, calibration and validation.
type Point = (i64, Option<f64>, Option<f64>, Option<f64>);

impl FromIterator<Point> for Curves {
    fn from_iter<I: IntoIterator<Item = Point>>(points: I) -> Self {
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
