//! What item vectors are made of: tables, an adapter, or both.
//!
//! Shapes: as in the module above.

use genair_abi::InitKind;
use genair_protocol::{DeltaSpec, Fusion, FusionSpec, TableInit};
use rand::RngExt;
use tch::{Device, Kind, Tensor};

use super::adapter::Adapter;
use super::{FrozenVectors, WEIGHT, create, refused};
use crate::RunErrorKind;
use crate::parameters::{Parameters, Start};
use crate::pca::first_components;
use crate::random::Streams;

pub(super) const TABLE: &str = "items.table";
pub(super) const VECTORS: &str = "items.vectors";
pub(super) const DELTA: &str = "items.delta";

const ZERO: Start = Start {
    kind: InitKind::Constant,
    value: 0.0,
};

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

/// Where item vectors come from.
pub(super) enum Source {
    Table(Table),
    Adapted(Adapted),
    Fused(Adapted, Fused),
}

/// Vectors that exist before training, moved as far as they may, and an adapter over them.
pub(super) struct Adapted {
    vectors: Table,
    delta: Option<Table>,
    adapter: Option<Adapter>,
    /// Probability with which a component is zero in a training step.
    dropout: f64,
}

/// The learned table of a fusion.
pub(super) struct Fused {
    kind: Fusion,
    table: Table,
    /// Width of an item vector in one view.
    width: i64,
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

    fn starting_as(
        name: &'static str,
        values: &Tensor,
        parameters: &mut Parameters,
    ) -> Result<Self, RunErrorKind> {
        let created = parameters.create_from(name, values);
        Ok(Self {
            name,
            rows: created.map_err(|error| refused(name, &values.size(), error))?,
            trained: true,
        })
    }
}

impl Adapted {
    /// `output` is the adapter's width.
    fn create(
        frozen: &FrozenVectors,
        output: i64,
        parameters: &mut Parameters,
    ) -> Result<Self, RunErrorKind> {
        let FrozenVectors {
            spec, rows, sha256, ..
        } = frozen;
        let shape = rows.size();
        let adapter = Adapter::create(&spec.adapter, shape[1], output, parameters)?;
        let freeze = |parameters: &mut Parameters| -> Result<Table, RunErrorKind> {
            Ok(Table {
                name: VECTORS,
                rows: parameters.freeze(VECTORS, rows, sha256.clone())?,
                trained: false,
            })
        };
        let (vectors, delta) = match (spec.finetune, spec.delta) {
            (true, None) => (Table::starting_as(VECTORS, rows, parameters)?, None),
            (true, Some(DeltaSpec { max_norm })) => {
                let delta = Table::create(DELTA, &shape, ZERO, parameters)?;
                parameters.bound_rows(DELTA, max_norm);
                (freeze(parameters)?, Some(delta))
            }
            (false, _) => (freeze(parameters)?, None),
        };
        Ok(Self {
            vectors,
            delta,
            adapter,
            dropout: spec.adapter.dropout,
        })
    }

    fn vectors(&self, take: &mut Take<'_>, seed: Option<u64>) -> Result<Tensor, tch::TchError> {
        let mut x_rw = take(&self.vectors)?;
        if let Some(delta) = &self.delta {
            x_rw = x_rw.f_add(&take(delta)?)?;
        }
        if let Some(seed) = seed.filter(|_| self.dropout > 0.0) {
            x_rw = dropped(&x_rw, self.dropout, seed)?;
        }
        match &self.adapter {
            Some(adapter) => adapter.forward(&x_rw),
            None => Ok(x_rw),
        }
    }
}

/// Zeroes each element with a probability and scales the rest up to keep the mean.
fn dropped(x: &Tensor, probability: f64, seed: u64) -> Result<Tensor, tch::TchError> {
    let mut stream = Streams::new(seed).at("adapter dropout", 0, 0);
    let kept = (1.0 / (1.0 - probability)) as f32;
    let factor = |_| match stream.random::<f32>() < probability as f32 {
        true => 0.0,
        false => kept,
    };
    let mask: Vec<f32> = (0..x.numel()).map(factor).collect();
    let mask = Tensor::f_from_slice(&mask)?.f_view(x.size().as_slice())?;
    x.f_mul(&mask.f_to_device(x.device())?)
}

impl Fused {
    /// The table of `spec` beside vectors of an adapter.
    fn create(
        spec: FusionSpec,
        frozen: &FrozenVectors,
        width: i64,
        parameters: &mut Parameters,
    ) -> Result<Self, RunErrorKind> {
        let wrong = |key, value: String, reason: String| RunErrorKind::Spec { key, value, reason };
        let learned = match (spec.kind, spec.width) {
            (Fusion::Concat, _) => width / 2,
            (Fusion::NullSpace, Some(own)) if own as i64 > width => {
                let reason = format!("it must be at most the model's width, {width}");
                let key = "representation.fusion.width";
                return Err(wrong(key, own.to_string(), reason));
            }
            (Fusion::NullSpace, own) => own.map_or(width / 2, |own| own as i64),
            _ => width,
        };
        let shape = [frozen.rows.size()[0], learned];
        let table = match (spec.kind, spec.init) {
            (Fusion::NullSpace, _) => Table::create(TABLE, &shape, ZERO, parameters)?,
            (_, TableInit::Random) => {
                let table = Table::create(TABLE, &shape, WEIGHT, parameters)?;
                zero_after(&table.rows, frozen.warm)?;
                table
            }
            (_, TableInit::Vectors) => {
                let start = first_components_of(frozen, learned)?.ok_or_else(|| {
                    let reason = format!(
                        "the vectors have fewer than the {learned} principal components of the table's rows"
                    );
                    wrong("representation.fusion.init", "\"vectors\"".to_owned(), reason)
                })?;
                Table::starting_as(TABLE, &start, parameters)?
            }
        };
        Ok(Self {
            kind: spec.kind,
            table,
            width,
        })
    }

    /// Item vectors of the adapter's output and the table's rows.
    fn with(&self, adapted: &Tensor, rows: &Tensor) -> Result<Tensor, tch::TchError> {
        match self.kind {
            Fusion::Concat | Fusion::Dual => Tensor::f_cat(&[adapted, rows], 1),
            Fusion::NullSpace => {
                let before = self.width - rows.size()[1];
                adapted.f_add(&rows.f_constant_pad_nd([before, 0])?)
            }
            Fusion::None | Fusion::Sum => adapted.f_add(rows),
        }
    }
}

/// Makes the rows of items after the first `items` zero: nothing trains them, so that chance would decide about them.
fn zero_after(rows: &Tensor, items: usize) -> Result<(), tch::TchError> {
    let first = items as i64 + 1;
    let _guard = tch::no_grad_guard();
    let _ = rows.f_narrow(0, first, rows.size()[0] - first)?.f_zero_()?;
    Ok(())
}

/// Principal components of the rows that are not zero, on one thread, fitted to those of warm items; rows of zeros stay
/// zero.
fn first_components_of(
    frozen: &FrozenVectors,
    components: i64,
) -> Result<Option<Tensor>, tch::TchError> {
    let rows = &frozen.rows;
    let present = rows
        .f_ne(0.0)?
        .f_any_dim(1, false)?
        .f_nonzero()?
        .f_view([-1])?;
    let warm = present.f_le(frozen.warm as i64)?.f_sum(Kind::Int64)?;
    let warm = i64::try_from(&warm)?;
    let chosen = rows.f_index_select(0, &present)?;
    let threads = tch::get_num_threads();
    tch::set_num_threads(1);
    let reduced = first_components(&chosen, warm, components as usize);
    tch::set_num_threads(threads);
    let Some(reduced) = reduced? else {
        return Ok(None);
    };
    let start = Tensor::f_zeros([rows.size()[0], components], (rows.kind(), rows.device()))?;
    start.f_index_copy(0, &present, &reduced).map(Some)
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
        frozen: &FrozenVectors,
        width: i64,
        parameters: &mut Parameters,
    ) -> Result<Self, RunErrorKind> {
        let fusion = frozen.spec.fusion;
        // The larger half of an odd width is the adapter's.
        let output = match fusion.kind {
            Fusion::Concat => width - width / 2,
            Fusion::None | Fusion::Sum | Fusion::NullSpace | Fusion::Dual => width,
        };
        let adapted = Adapted::create(frozen, output, parameters)?;
        if fusion.kind == Fusion::None {
            return Ok(Self::Adapted(adapted));
        }
        let fused = Fused::create(fusion, frozen, width, parameters)?;
        Ok(Self::Fused(adapted, fused))
    }

    /// Vectors `[R, D]` made of the rows that `take` takes out of each table. `seed` is that of a training step.
    pub(super) fn vectors(
        &self,
        take: &mut Take<'_>,
        seed: Option<u64>,
    ) -> Result<Tensor, tch::TchError> {
        match self {
            Self::Table(table) => take(table),
            Self::Adapted(adapted) => adapted.vectors(take, seed),
            Self::Fused(adapted, fused) => {
                let vectors = adapted.vectors(take, seed)?;
                fused.with(&vectors, &take(&fused.table)?)
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
            self.vectors(&mut |table| table.rows.f_narrow(0, first, len), None)
        });
        Tensor::f_cat(&blocks.collect::<Result<Vec<_>, _>>()?, 0)
    }

    /// Whether an item has a row of its own that training moves.
    pub(super) fn has_learned_rows(&self) -> bool {
        match self {
            Self::Adapted(adapted) => adapted.vectors.trained || adapted.delta.is_some(),
            Self::Table(_) | Self::Fused(..) => true,
        }
    }

    pub(super) fn device(&self) -> Device {
        self.first().rows.device()
    }

    /// The table, or the vectors that are adapted.
    fn first(&self) -> &Table {
        match self {
            Self::Table(table) => table,
            Self::Adapted(adapted) | Self::Fused(adapted, _) => &adapted.vectors,
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
