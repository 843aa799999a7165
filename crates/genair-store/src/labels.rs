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
        Self {
            dataset: columns.dataset,
            backbone: columns.backbone,
            representation: columns.representation,
            axes: columns.axes,
            seed: columns.seed,
        }
    }
}
