//! Vectors that exist before training: read from a file, or drawn.

use genair_data::Dataset;
use genair_files::Sha256;
use genair_protocol::{FrozenSpec, InputFile, RepresentationSpec, VectorPart, VectorSource};
use rand_distr::{Distribution, StandardNormal};
use tch::Tensor;

use crate::random::Streams;
use crate::{RunErrorKind, input};

/// One vector for each item, and what the spec makes of them.
pub(crate) struct FrozenVectors {
    pub(crate) spec: FrozenSpec,
    /// `[I + 1, W]` on the CPU, row 0 (padding) zero.
    pub(crate) rows: Tensor,
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
        let (width, rows) = match spec.source {
            VectorSource::File { .. } => from_file(spec.part, file, dataset)?,
            VectorSource::Gaussian { width } => {
                (width, gaussian(dataset.num_items(), width, streams))
            }
        };
        Self::new(spec.clone(), width, &rows).map(Some)
    }

    /// `rows` are `[I + 1, width]`, row 0 zero.
    pub(crate) fn new(spec: FrozenSpec, width: usize, rows: &[f32]) -> Result<Self, RunErrorKind> {
        Ok(Self {
            spec,
            rows: Tensor::f_from_slice(rows)?.f_view([-1, width as i64])?,
            sha256: digest(rows),
        })
    }
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

fn from_file(
    part: VectorPart,
    file: Option<&InputFile>,
    dataset: &Dataset,
) -> Result<(usize, Vec<f32>), RunErrorKind> {
    const WHAT: &str = "item vectors";
    let file = file.ok_or(RunErrorKind::MissingInput { what: WHAT })?;
    let file = input::check(file, WHAT)?;
    let part = match part {
        VectorPart::Context => Some("context"),
        VectorPart::Archetype => Some("archetype"),
        VectorPart::Both => None,
    };
    Ok(genair_data::ItemVectors::read(file)?.rows_for(dataset, part)?)
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
