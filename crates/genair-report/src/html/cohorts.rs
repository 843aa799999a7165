//! How many users each cohort has, which a mean over them does not say.

use genair_store::Store;
use serde::{Deserialize, Serialize};

use super::index::Measure;
use crate::ReportError;
use crate::rows::{literal, rows};

/// The users of a cohort, of runs with this data and these thresholds.
#[derive(Serialize, Deserialize)]
pub(super) struct CohortUsers {
    data: String,
    head_item: Option<i64>,
    long_user: Option<i64>,
    split: String,
    cohort: String,
    users: i64,
}

/// Reads them where one measure was measured: they are the same for every other.
pub(super) fn read(
    store: &mut Store,
    measure: Option<&Measure>,
) -> Result<Vec<CohortUsers>, ReportError> {
    let Some(measure) = measure else {
        return Ok(Vec::new());
    };
    rows(
        store,
        &format!(
            "SELECT DISTINCT coalesce(sequences_sha256, 'raw ' || data_sha256) AS data, head_item, long_user,
                    split, cohort, metrics.users AS users
             FROM metrics JOIN runs USING (run_id)
             WHERE epoch IS NULL AND protocol = {} AND metric = {} AND k = {}
             ORDER BY data, head_item, long_user, split, cohort",
            literal(&measure.protocol),
            literal(&measure.metric),
            measure.k
        ),
    )
}
