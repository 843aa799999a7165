//! Rows of cold items in a learned table: means of their neighbours' trained rows. See [`ImputedSpec`].

use genair_data::Dataset;
use genair_protocol::{ImputedSpec, InputFile};
use tch::{Device, Kind, Tensor};

use super::frozen::file_of;
use crate::RunErrorKind;
use crate::score::unit;

/// Similarities held at once: 64 MiB.
const MAX_SIMILARITIES: i64 = 1 << 24;

/// Which rows are replaced, and by the mean of which.
pub(crate) struct Imputation {
    /// Cold items that have a vector, `[C]`.
    items: Tensor,
    /// Their nearest warm items, `[C, k]`.
    neighbours: Tensor,
}

impl Imputation {
    /// Finds the neighbours of a dataset's cold items; `None` where there is nothing to replace, or no warm item has a
    /// vector.
    ///
    /// # Errors
    /// [`RunErrorKind::MissingInput`] and the errors of the file.
    pub(crate) fn of(
        spec: &ImputedSpec,
        file: Option<&InputFile>,
        dataset: &Dataset,
        device: Device,
    ) -> Result<Option<Self>, RunErrorKind> {
        let (width, rows) = file_of(spec.part, file, dataset)?;
        let rows = Tensor::f_from_slice(&rows)?.f_view([-1, width as i64])?;
        Self::nearest(
            &rows,
            dataset.num_warm_items() as i64,
            spec.neighbours,
            device,
        )
    }

    /// Of vectors `[I + 1, W]`, row 0 padding's; the first `warm` items are the neighbours there may be.
    fn nearest(
        rows: &Tensor,
        warm: i64,
        neighbours: usize,
        device: Device,
    ) -> Result<Option<Self>, RunErrorKind> {
        let present = rows.f_ne(0.0)?.f_any_dim(1, false)?;
        let of = |first: i64, len: i64| -> Result<Tensor, tch::TchError> {
            let places = present.f_narrow(0, first, len)?.f_nonzero()?.f_view([-1])?;
            places.f_add_scalar(first)
        };
        let warm_items = of(1, warm)?;
        let cold_items = of(warm + 1, rows.size()[0] - warm - 1)?;
        let (known, missing) = (warm_items.numel() as i64, cold_items.numel() as i64);
        if known == 0 || missing == 0 {
            return Ok(None);
        }
        let unit = unit(rows)?;
        let of_warm = unit.f_index_select(0, &warm_items)?.f_tr()?;
        let of_cold = unit.f_index_select(0, &cold_items)?;
        let (count, block) = (
            known.min(neighbours as i64),
            (MAX_SIMILARITIES / known).max(1),
        );
        let nearest = (0..missing).step_by(block as usize).map(|first| {
            let cold = of_cold.f_narrow(0, first, block.min(missing - first))?;
            let (_, places) = cold.f_matmul(&of_warm)?.f_topk(count, 1, true, true)?;
            warm_items
                .f_index_select(0, &places.f_view([-1])?)?
                .f_view([-1, count])
        });
        let nearest = nearest.collect::<Result<Vec<_>, tch::TchError>>()?;
        Ok(Some(Self {
            neighbours: Tensor::f_cat(&nearest, 0)?.f_to_device(device)?,
            items: cold_items.f_to_device(device)?,
        }))
    }

    /// A table with a row for each item, `[rows, D]`, with the rows of cold items replaced.
    pub(super) fn applied(&self, table: &Tensor) -> Result<Tensor, tch::TchError> {
        let [cold, count] = [self.neighbours.size()[0], self.neighbours.size()[1]];
        let rows = table.f_index_select(0, &self.neighbours.f_view([-1])?)?;
        let rows = rows.f_view([cold, count, -1])?;
        let means = rows.f_mean_dim([1_i64].as_slice(), false, Kind::Float)?;
        table.f_index_copy(0, &self.items, &means)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cold_rows_are_the_means_of_their_nearest_warm_ones() {
        // Items 1 to 4 are warm, 3 without a vector; 5 and 6 are cold, 7 is cold without a vector.
        let rows = Tensor::from_slice2(&[
            [0.0f32, 0.0],
            [1.0, 0.0],
            [2.0, 0.2],
            [0.0, 0.0],
            [0.0, 3.0],
            [5.0, 0.4],
            [0.1, 1.0],
            [0.0, 0.0],
        ]);
        let made = |neighbours| {
            let made = Imputation::nearest(&rows, 4, neighbours, Device::Cpu);
            made.unwrap().unwrap()
        };
        let table: Vec<f32> = (0..8).map(|row| 10.0f32.powi(row)).collect();
        let table = Tensor::from_slice(&table).view([8, 1]);
        let imputed = |neighbours| -> Vec<f32> {
            let applied = made(neighbours).applied(&table).unwrap();
            Vec::try_from(applied.view([-1])).unwrap()
        };
        let one = imputed(1);
        assert_eq!(
            one[5..],
            [100.0, 10_000.0, 1e7],
            "the untouched row is last"
        );
        assert_eq!(one[..5], [1.0, 10.0, 100.0, 1e3, 1e4]);
        assert_eq!(imputed(2)[5..7], [55.0, 5_050.0]);
        // There are three warm items with a vector.
        assert_eq!(imputed(9)[5..7], [3_370.0, 3_370.0]);
    }

    #[test]
    fn without_a_vector_there_is_nothing_to_impute() {
        let rows = Tensor::from_slice2(&[[0.0f32], [0.0], [1.0]]);
        let of = |warm| Imputation::nearest(&rows, warm, 3, Device::Cpu).unwrap();
        assert!(of(1).is_none() && of(2).is_none());
    }
}
