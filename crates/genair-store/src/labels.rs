//! Labels of a run in one sweep, from a row that has them.

use genair_protocol::{Axes, Labels};

use crate::json::Json;

/// The columns of a row that are [`Labels`].
#[derive(sqlx::FromRow)]
pub(crate) struct LabelColumns {
    dataset: String,
    backbone: String,
    representation: String,
    #[sqlx(try_from = "Json<Axes>")]
    axes: Axes,
    seed: u64,
}

impl From<LabelColumns> for Labels {
    fn from(columns: LabelColumns) -> Self {
        let LabelColumns {
            dataset,
            backbone,
            representation,
            axes,
            seed,
        } = columns;
        Self {
            dataset,
            backbone,
            representation,
            axes,
            seed,
        }
    }
}
