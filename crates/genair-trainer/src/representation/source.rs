//! What item vectors are made of: tables, an adapter, or both.
//!
//! Shapes: as in the module above.

use genair_protocol::Fusion;
use tch::{Device, Tensor};

use super::adapter::Adapter;
use super::{FrozenVectors, WEIGHT, create, refused};
use crate::RunErrorKind;
use crate::parameters::{Parameters, Start};

const TABLE: &str = "items.table";
const VECTORS: &str = "items.vectors";

/// Items whose vectors are made at once for the whole catalogue: the adapter's hidden layer stays
/// below 16 MiB at the paper's width, whatever the catalogue.
const BLOCK_ITEMS: i64 = 1 << 13;

/// One row for each item, row 0 padding.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// `[I + 1, width]`.
    pub(super) rows: Tensor,
    pub(super) trained: bool,
}

/// Where item vectors come from; see [`Fusion`].
pub(super) enum Source {
    Table(Table),
    Adapted(Adapted),
    Sum(Adapted, Table),
    Concat(Adapted, Table),
}

/// An adapter over vectors that exist before training.
pub(super) struct Adapted {
    vectors: Table,
    adapter: Adapter,
}

/// How rows are taken out of a table: see [`Source::vectors`].
type Take<'a> = dyn FnMut(&Table) -> Result<Tensor, tch::TchError> + 'a;

impl Table {
    pub(super) fn create(
        name: &'static str,
        shape: &[i64],
        start: Start,
        parameters: &mut Parameters,
    ) -> Result<Self, RunErrorKind> {
        Ok(Self {
            name,
            rows: create(parameters, name, shape, start)?,
            trained: true,
        })
    }
}

impl Adapted {
    /// `output` is the adapter's width.
    fn create(
        frozen: FrozenVectors,
        output: i64,
        parameters: &mut Parameters,
    ) -> Result<Self, RunErrorKind> {
        let FrozenVectors { spec, rows, sha256 } = frozen;
        let shape = rows.size();
        let adapter = Adapter::create(&spec.adapter, shape[1], output, parameters)?;
        let rows = if spec.finetune {
            let created = parameters.create_from(VECTORS, &rows);
            created.map_err(|error| refused(VECTORS, &shape, error))?
        } else {
            parameters.freeze(VECTORS, &rows, sha256)?
        };
        let vectors = Table {
            name: VECTORS,
            rows,
            trained: spec.finetune,
        };
        Ok(Self { vectors, adapter })
    }

    fn vectors(&self, take: &mut Take<'_>) -> Result<Tensor, tch::TchError> {
        self.adapter.forward(&take(&self.vectors)?)
    }
}

impl Source {
    /// A learned table `[rows, width]`.
    pub(super) fn table(
        rows: i64,
        width: i64,
        parameters: &mut Parameters,
    ) -> Result<Self, RunErrorKind> {
        Table::create(TABLE, &[rows, width], WEIGHT, parameters).map(Self::Table)
    }

    /// Vectors that exist before training, an adapter to `width`, and a table where they are fused.
    pub(super) fn frozen(
        frozen: FrozenVectors,
        width: i64,
        parameters: &mut Parameters,
    ) -> Result<Self, RunErrorKind> {
        let (fusion, rows) = (frozen.spec.fusion, frozen.rows.size()[0]);
        // The larger half of an odd width is the adapter's.
        let (adapted, learned) = match fusion {
            Fusion::Concat => (width - width / 2, width / 2),
            Fusion::None | Fusion::Sum => (width, width),
        };
        let adapted = Adapted::create(frozen, adapted, parameters)?;
        let mut table = || Table::create(TABLE, &[rows, learned], WEIGHT, parameters);
        Ok(match fusion {
            Fusion::None => Self::Adapted(adapted),
            Fusion::Sum => Self::Sum(adapted, table()?),
            Fusion::Concat => Self::Concat(adapted, table()?),
        })
    }

    /// Vectors `[R, D]` made of the rows that `take` takes out of each table.
    pub(super) fn vectors(&self, take: &mut Take<'_>) -> Result<Tensor, tch::TchError> {
        match self {
            Self::Table(table) => take(table),
            Self::Adapted(adapted) => adapted.vectors(take),
            Self::Sum(adapted, table) => adapted.vectors(take)?.f_add(&take(table)?),
            Self::Concat(adapted, table) => {
                Tensor::f_cat(&[adapted.vectors(take)?, take(table)?], 1)
            }
        }
    }

    /// Vectors of all items and padding, `[I + 1, D]`. Of an adapter they are made block by block.
    pub(super) fn all(&self) -> Result<Tensor, tch::TchError> {
        if let Self::Table(table) = self {
            return Ok(table.rows.shallow_clone());
        }
        let rows = self.first().rows.size()[0];
        let blocks = (0..rows).step_by(BLOCK_ITEMS as usize).map(|first| {
            let len = BLOCK_ITEMS.min(rows - first);
            self.vectors(&mut |table| table.rows.f_narrow(0, first, len))
        });
        Tensor::f_cat(&blocks.collect::<Result<Vec<_>, _>>()?, 0)
    }

    /// Whether an item has a row of its own that training moves.
    pub(super) fn has_learned_rows(&self) -> bool {
        match self {
            Self::Adapted(adapted) => adapted.vectors.trained,
            Self::Table(_) | Self::Sum(..) | Self::Concat(..) => true,
        }
    }

    pub(super) fn device(&self) -> Device {
        self.first().rows.device()
    }

    /// The table, or the vectors that are adapted.
    fn first(&self) -> &Table {
        match self {
            Self::Table(table) => table,
            Self::Adapted(adapted) | Self::Sum(adapted, _) | Self::Concat(adapted, _) => {
                &adapted.vectors
            }
        }
    }
}

/// Rows of tables by number.
pub(super) enum Rows {
    /// Every item in order, as a softmax over all items has them: a view, not a copy.
    All(i64),
    Chosen(Tensor),
}

impl Rows {
    pub(super) fn of(rows: &[i64], device: Device) -> Result<Self, tch::TchError> {
        if rows.iter().zip(1..).all(|(&row, expected)| row == expected) {
            return Ok(Self::All(rows.len() as i64));
        }
        Ok(Self::Chosen(
            Tensor::f_from_slice(rows)?.f_to_device(device)?,
        ))
    }

    /// The rows, out of the table's graph.
    pub(super) fn take(&self, table: &Tensor) -> Result<Tensor, tch::TchError> {
        let table = table.f_detach()?;
        match self {
            Self::All(len) => table.f_narrow(0, 1, *len),
            Self::Chosen(rows) => table.f_index_select(0, rows),
        }
    }
}
