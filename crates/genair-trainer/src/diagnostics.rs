//! What a run says of the geometry of its item space; nothing is chosen by it.

use genair_calibration::{Associations, ItemSpace};
use genair_data::Dataset;
use genair_protocol::Diagnostic;
use tch::Device;

use crate::RunErrorKind;
use crate::representation::ItemVectors;

/// `norm`, the mean Euclidean length of the item vectors that a backbone gets, their `uniformity`, and where there are association scores,
/// `alignment` and the correlation of cosine similarity with held-out behaviour
/// (`association_pearson`, `association_spearman`); definitions are [`ItemSpace`]'s. A measure that
/// has no value for this catalogue is left out. Pairs that are sampled are those of `seed`.
pub(crate) fn diagnostics(
    items: &ItemVectors,
    associations: Option<&Associations>,
    dataset: &Dataset,
    seed: u64,
) -> Result<Vec<Diagnostic>, RunErrorKind> {
    let vectors = items.catalogue()?.inputs;
    let (rows, width) = (items.len() as i64 + 1, vectors.size()[1]);
    // After the last item there may be the mask token.
    let vectors = vectors.f_narrow(0, 0, rows)?.f_to_device(Device::Cpu)?;
    let vectors = Vec::<f32>::try_from(vectors.f_reshape([-1])?)?;
    let space = ItemSpace::new(&vectors, width as usize);
    let norm = mean_norm(&vectors[width as usize..], width as usize);
    drop(vectors);
    let mut measures = vec![("norm", Some(norm)), ("uniformity", space.uniformity(seed))];
    if let Some(associations) = associations {
        let correlation = space.association_correlation(associations, dataset, seed);
        measures.extend([
            ("alignment", space.alignment(associations, seed)),
            ("association_pearson", correlation.map(|both| both.pearson)),
            (
                "association_spearman",
                correlation.map(|both| both.spearman),
            ),
        ]);
    }
    let named = measures.into_iter().filter_map(|(name, value)| {
        let name = name.to_owned();
        value.map(|value| Diagnostic { name, value })
    });
    Ok(named.collect())
}

/// The mean Euclidean length of rows; 0 of none.
fn mean_norm(rows: &[f32], width: usize) -> f64 {
    let square = |row: &[f32]| {
        row.iter()
            .map(|&value| f64::from(value).powi(2))
            .sum::<f64>()
    };
    let rows = rows.chunks_exact(width);
    let count = rows.len().max(1) as f64;
    rows.map(|row| square(row).sqrt()).sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_norm_is_the_mean_length_of_rows() {
        assert_eq!(mean_norm(&[3.0, 4.0, 0.0, 1.0], 2), 3.0);
        assert_eq!(mean_norm(&[], 2), 0.0);
    }
}
