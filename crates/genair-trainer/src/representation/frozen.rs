//! Vectors that exist before training: read from a file or drawn, then shuffled and scaled.

use std::collections::BTreeMap;

use genair_data::{Dataset, ItemVectors};
use genair_files::Sha256;
use genair_protocol::{
    FrozenSpec, InputFile, Permutation, RepresentationSpec, Scale, VectorPart, VectorSource,
};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use tch::Tensor;

use crate::random::Streams;
use crate::{RunErrorKind, input};

/// One vector for each item, and what the spec makes of them.
pub(crate) struct FrozenVectors {
    pub(crate) spec: FrozenSpec,
    /// `[I + 1, W]` on the CPU, row 0 (padding) zero.
    pub(crate) rows: Tensor,
    /// So many items, from the first, may be fitted to.
    pub(crate) warm: usize,
    /// Of the rows' little-endian bytes, lower-case hex: a checkpoint names its vectors by it.
    pub(crate) sha256: String,
}

impl FrozenVectors {
    /// The vectors a representation begins with; `None` where it begins with nothing.
    ///
    /// # Errors
    /// [`RunErrorKind::MissingInput`] and the errors of [`input::check`] for the
    /// file, [`RunErrorKind::Vectors`] for what is in it.
    pub(crate) fn of(
        representation: &RepresentationSpec,
        file: Option<&InputFile>,
        dataset: &Dataset,
        streams: Streams,
    ) -> Result<Option<Self>, RunErrorKind> {
        let Some(spec) = &representation.frozen else {
            return Ok(None);
        };
        let (width, mut rows, groups) = match spec.source {
            VectorSource::File { .. } => from_file(spec, file, dataset)?,
            VectorSource::Gaussian { width } => {
                let rows = gaussian(dataset.num_items(), width, streams);
                (width, rows, None)
            }
        };
        if spec.permuted.is_some() {
            let warm = dataset.num_warm_items();
            permute(&mut rows, width, groups.as_deref(), warm, streams);
        }
        Self::new(spec.clone(), width, rows, dataset.num_warm_items()).map(Some)
    }

    /// `rows` are `[I + 1, width]`, row 0 zero, before they are scaled; the first `warm` items decide the scale.
    pub(crate) fn new(
        spec: FrozenSpec,
        width: usize,
        mut rows: Vec<f32>,
        warm: usize,
    ) -> Result<Self, RunErrorKind> {
        if let Some(scale) = spec.scale {
            rescale(&mut rows, width, warm, scale);
        }
        Ok(Self {
            spec,
            rows: Tensor::f_from_slice(&rows)?.f_view([-1, width as i64])?,
            warm,
            sha256: digest(&rows),
        })
    }
}

/// Shuffles rows among the items of one group, or among all; rows of zeros stay where they are. The first `warm` items
/// are shuffled among each other, so that training sees no vector of a cold item.
fn permute(rows: &mut [f32], width: usize, groups: Option<&[u32]>, warm: usize, streams: Streams) {
    let mut members: BTreeMap<(bool, u32), Vec<usize>> = BTreeMap::new();
    for (item, row) in rows.chunks_exact(width).enumerate() {
        if !is_zero(row) {
            let group = groups.map_or(0, |groups| groups[item]);
            members.entry((item > warm, group)).or_default().push(item);
        }
    }
    let mut stream = streams.at("permuted item vectors", 0, 0);
    let from = rows.to_vec();
    for items in members.into_values() {
        let mut shuffled = items.clone();
        for last in (1..shuffled.len()).rev() {
            shuffled.swap(last, stream.random_range(0..=last));
        }
        for (item, other) in items.into_iter().zip(shuffled) {
            let row = &from[other * width..(other + 1) * width];
            rows[item * width..(item + 1) * width].copy_from_slice(row);
        }
    }
}

/// See [`Scale`]. A common factor is that of the first `warm` items.
fn rescale(rows: &mut [f32], width: usize, warm: usize, scale: Scale) {
    let square = |row: &[f32]| {
        row.iter()
            .map(|&value| f64::from(value).powi(2))
            .sum::<f64>()
    };
    let factor_of_all = match scale {
        Scale::Unit => None,
        Scale::Std(deviation) => {
            let warm = &rows[..(warm + 1) * width];
            let present = warm.chunks_exact(width).filter(|row| !is_zero(row)).count();
            let mean = square(warm) / (present * width).max(1) as f64;
            Some(deviation / mean.sqrt())
        }
    };
    for row in rows.chunks_exact_mut(width).filter(|row| !is_zero(row)) {
        let factor = factor_of_all.unwrap_or_else(|| 1.0 / square(row).sqrt());
        for value in row {
            *value = (f64::from(*value) * factor) as f32;
        }
    }
}

fn is_zero(row: &[f32]) -> bool {
    row.iter().all(|&value| value == 0.0)
}

/// SHA-256 of the numbers' little-endian bytes.
fn digest(values: &[f32]) -> String {
    let mut digest = Sha256::default();
    for block in values.chunks(1 << 14) {
        let bytes: Vec<u8> = block.iter().flat_map(|value| value.to_le_bytes()).collect();
        digest.update(bytes);
    }
    digest.finish()
}

/// Width, rows and, where the rows are shuffled in groups, the group of each row.
type Table = (usize, Vec<f32>, Option<Vec<u32>>);

fn from_file(
    spec: &FrozenSpec,
    file: Option<&InputFile>,
    dataset: &Dataset,
) -> Result<Table, RunErrorKind> {
    let vectors = opened(file)?;
    let (width, rows) = vectors.rows_for(dataset, name_of(spec.part))?;
    let groups = (spec.permuted == Some(Permutation::Groups))
        .then(|| vectors.groups_for(dataset))
        .transpose()?;
    Ok((width, rows, groups))
}

/// A part of the vectors of a file: its width and `[I + 1, width]`, row 0 zero.
///
/// # Errors
/// As [`FrozenVectors::of`].
pub(super) fn file_of(
    part: VectorPart,
    file: Option<&InputFile>,
    dataset: &Dataset,
) -> Result<(usize, Vec<f32>), RunErrorKind> {
    Ok(opened(file)?.rows_for(dataset, name_of(part))?)
}

fn opened(file: Option<&InputFile>) -> Result<ItemVectors, RunErrorKind> {
    const WHAT: &str = "item vectors";
    let file = file.ok_or(RunErrorKind::MissingInput { what: WHAT })?;
    Ok(ItemVectors::read(input::check(file, WHAT)?)?)
}

/// The name of a part in a file; none for all of them.
fn name_of(part: VectorPart) -> Option<&'static str> {
    match part {
        VectorPart::Context => Some("context"),
        VectorPart::Archetype => Some("archetype"),
        VectorPart::Both => None,
    }
}

/// Independent N(0, 1), item by item, in the order of their ids.
fn gaussian(items: usize, width: usize, streams: Streams) -> Vec<f32> {
    let mut stream = streams.at("random item vectors", 0, 0);
    let mut rows = vec![0.0; (items + 1) * width];
    for value in &mut rows[width..] {
        *value = StandardNormal.sample(&mut stream);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row 0 is padding, row 3 an item without a vector.
    fn rows() -> Vec<f32> {
        let mut rows: Vec<f32> = (0..14).map(|place| place as f32 - 1.0).collect();
        for zero in [0, 1, 6, 7] {
            rows[zero] = 0.0;
        }
        rows
    }

    #[test]
    fn scales_are_what_numpy_has() {
        let nonzero = |rows: &[f32]| -> Vec<f64> {
            rows.iter()
                .map(|&v| f64::from(v))
                .filter(|v| *v != 0.0)
                .collect()
        };
        let mut scaled = rows();
        rescale(&mut scaled, 2, 6, Scale::Std(0.1));
        let values = nonzero(&scaled);
        let mean_square = values.iter().map(|v| v * v).sum::<f64>() / 10.0;
        assert!((mean_square.sqrt() - 0.1).abs() < 1e-7);
        // Directions stay.
        assert!((scaled[3] / scaled[2] - 2.0).abs() < 1e-6);
        let mut unit = rows();
        rescale(&mut unit, 2, 6, Scale::Unit);
        for row in unit.chunks(2) {
            let length = row[0].hypot(row[1]);
            assert!(length == 0.0 || (length - 1.0).abs() < 1e-6);
        }
        assert_eq!(unit.iter().filter(|v| **v == 0.0).count(), 4);
    }

    #[test]
    fn rows_are_shuffled_within_their_groups_and_none_is_lost() {
        let groups = [9, 0, 0, 0, 1, 1, 1];
        let mut moved = 0;
        for seed in 0..20 {
            let mut shuffled = rows();
            permute(&mut shuffled, 2, Some(&groups), 6, Streams::new(seed));
            let again = {
                let mut again = rows();
                permute(&mut again, 2, Some(&groups), 6, Streams::new(seed));
                again
            };
            assert_eq!(shuffled, again);
            moved += usize::from(shuffled != rows());
            for (group, items) in [(0, 1..4), (1, 4..7)] {
                let sorted = |rows: &[f32]| {
                    let mut rows: Vec<_> = rows.chunks(2).map(|row| row[0] as i64).collect();
                    rows.sort_unstable();
                    rows
                };
                let place = items.start * 2..items.end * 2;
                assert_eq!(
                    sorted(&shuffled[place.clone()]),
                    sorted(&rows()[place]),
                    "group {group}"
                );
            }
            assert_eq!(shuffled[6..8], [0.0, 0.0]);
        }
        assert!(moved > 10, "{moved}");
    }

    #[test]
    fn random_vectors_are_the_seeds_and_have_unit_variance() {
        let rows = gaussian(500, 16, Streams::new(3));
        assert_eq!(rows, gaussian(500, 16, Streams::new(3)));
        assert_ne!(rows, gaussian(500, 16, Streams::new(4)));
        assert!(rows[..16].iter().all(|&value| value == 0.0));
        let values = &rows[16..];
        let mean = |of: &dyn Fn(f32) -> f32| {
            values.iter().map(|&value| of(value)).sum::<f32>() / values.len() as f32
        };
        assert!(mean(&|value| value).abs() < 0.05);
        assert!((mean(&|value| value * value) - 1.0).abs() < 0.05);
    }
}
