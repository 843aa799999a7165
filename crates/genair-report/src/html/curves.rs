//! Learning curves, thinned out where there are many.

use std::collections::HashMap;

use genair_store::Store;
use serde_json::Value;

use super::blocks::Blocks;
use super::index::{CHUNK, Index};
use crate::ReportError;

/// Points of all curves together, about: some three megabytes of the page.
const POINTS: usize = 400_000;
/// Points of one curve at the least and the most.
const OF_CURVE: std::ops::RangeInclusive<usize> = 24..=1000;

/// A run's curves, point by point; a value is null where it was not measured.
#[derive(Default, serde::Serialize)]
struct Curves {
    epoch: Vec<i64>,
    loss: Vec<Value>,
    calibration: Vec<Value>,
    valid: Vec<Value>,
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
    let sql = format!(
        "WITH sizes AS (
             SELECT run_id, max(epoch) AS last, (max(epoch) + {0} - 1) / {0} AS step FROM epochs GROUP BY run_id
         )
         SELECT run_id, epoch, loss, calibration, valid
         FROM sizes JOIN epochs USING (run_id) JOIN runs USING (run_id)
         WHERE epoch % step = 0 OR epoch = 1 OR epoch = last OR epoch = best_epoch
         ORDER BY run_id, epoch",
        index.curve_points
    );
    let mut curves: HashMap<usize, Curves> = HashMap::new();
    store.query_each::<ReportError>(&sql, |row| {
        let [run, epoch] = [&row[0], &row[1]].map(|value| value.as_i64().unwrap_or_default());
        if let Some(&place) = places.get(&run) {
            let curves = curves.entry(place).or_default();
            curves.epoch.push(epoch);
            curves.loss.push(short(&row[2]));
            curves.calibration.push(short(&row[3]));
            curves.valid.push(short(&row[4]));
        }
        Ok(())
    })?;
    for (number, first) in (0..index.runs.len()).step_by(CHUNK).enumerate() {
        let last = (first + CHUNK).min(index.runs.len());
        let chunk: Vec<Option<Curves>> = (first..last)
            .map(|place| curves.remove(&place).map(Curves::tidy))
            .collect();
        blocks.add_json(&format!("curves-{number}"), &chunk);
    }
    Ok(())
}

impl Curves {
    /// A series without a value is none.
    fn tidy(mut self) -> Self {
        for series in [&mut self.calibration, &mut self.valid] {
            if series.iter().all(Value::is_null) {
                series.clear();
            }
        }
        self
    }
}

/// Five significant digits: a curve is looked at.
fn short(value: &Value) -> Value {
    match value.as_f64() {
        Some(number) => format!("{number:.4e}")
            .parse::<f64>()
            .map_or(Value::Null, Value::from),
        // An infinite number comes as text and has no place on a curve.
        None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_has_five_digits() {
        assert_eq!(short(&Value::from(0.123_456_789)), Value::from(0.12346));
        assert_eq!(
            short(&Value::from(123_456_789.0)),
            Value::from(123_460_000.0)
        );
        assert_eq!(short(&Value::from("inf")), Value::Null);
    }
}
