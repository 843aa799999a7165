//! A picture of the item space: a sample of items on its two principal axes. Nothing is chosen by it.

use genair_data::Dataset;
use genair_protocol::ItemPlace;
use tch::{Device, Kind, Tensor};

use crate::RunErrorKind;
use crate::representation::ItemVectors;

/// Items in a picture at the most; a database keeps two pictures of every run.
const SHOWN: usize = 1_000;

/// Places of evenly spaced items, the same of every run of a data set, by the vectors that a backbone
/// gets: scaled to length 1, as calibration and cosine similarity see them, then projected on the two
/// axes along which they vary most. Empty for a catalogue or a width below 2.
pub(crate) fn item_space(
    items: &ItemVectors,
    dataset: &Dataset,
) -> Result<Vec<ItemPlace>, RunErrorKind> {
    let _guard = tch::no_grad_guard();
    let vectors = items.catalogue()?.inputs;
    let (count, width) = (items.len(), vectors.size()[1]);
    if count < 2 || width < 2 {
        return Ok(Vec::new());
    }
    let shown = count.min(SHOWN);
    // Row 0 is padding.
    let rows: Vec<i64> = (0..shown)
        .map(|at| (1 + at * count / shown) as i64)
        .collect();
    let chosen = Tensor::from_slice(&rows).f_to_device(vectors.device())?;
    let vectors = vectors
        .f_index_select(0, &chosen)?
        .f_to_device(Device::Cpu)?;
    let places = project(&vectors.f_to_kind(Kind::Double)?)?;
    let popularity = dataset.train_popularity();
    let places = rows.iter().zip(places).map(|(&row, [x, y])| ItemPlace {
        item: row as u64,
        x,
        y,
        interactions: u64::from(popularity[row as usize]),
    });
    Ok(places.collect())
}

/// Rows of `[items, width]`, both at least 2, on two axes.
fn project(vectors: &Tensor) -> Result<Vec<[f64; 2]>, tch::TchError> {
    let lengths = vectors.f_norm_scalaropt_dim(2.0, [1i64].as_slice(), true)?;
    let vectors = vectors.f_div(&lengths.f_clamp_min(1e-12)?)?;
    let mean = vectors.f_mean_dim([0i64].as_slice(), true, Kind::Double)?;
    let centred = vectors.f_sub(&mean)?;
    let (_, axes) = centred
        .f_transpose(0, 1)?
        .f_matmul(&centred)?
        .f_linalg_eigh("L")?;
    // Eigenvalues rise, so the last two columns are the principal axes.
    let axes = axes
        .f_narrow(1, axes.size()[1] - 2, 2)?
        .f_flip([1i64].as_slice())?;
    // The sign of an axis is arbitrary: its largest component is positive.
    let largest = axes.f_abs()?.f_argmax(0, true)?;
    let axes = axes.f_mul(&axes.f_gather(0, &largest, false)?.f_sign()?)?;
    let places = Vec::<f64>::try_from(centred.f_matmul(&axes)?.f_reshape([-1])?)?;
    Ok(places
        .chunks_exact(2)
        .map(|place| [place[0], place[1]])
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_those_of_numpy() {
        // import numpy as np
        // v = np.array([[3., 0, 1], [0, 2, 1], [1, 1, 1], [4, 1, 0], [0, 1, 5]])
        // v /= np.linalg.norm(v, axis=1, keepdims=True); c = v - v.mean(0)
        // w, a = np.linalg.eigh(c.T @ c); a = a[:, [2, 1]]
        // a *= np.sign(a[np.abs(a).argmax(0), [0, 1]]); (c @ a).round(7)
        let vectors: [f64; 15] = [
            3.0, 0.0, 1.0, 0.0, 2.0, 1.0, 1.0, 1.0, 1.0, 4.0, 1.0, 0.0, 0.0, 1.0, 5.0,
        ];
        let places = project(&Tensor::from_slice(&vectors).view([5, 3])).unwrap();
        let expected: [[f64; 2]; 5] = [
            [0.5672431, -0.2193677],
            [-0.5738474, 0.4214470],
            [-0.0617027, 0.0920959],
            [0.6505207, 0.1628014],
            [-0.5822137, -0.4569766],
        ];
        for (place, expected) in places.iter().zip(expected) {
            for (found, expected) in place.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{places:?}");
            }
        }
    }

    #[test]
    fn a_space_without_extent_is_a_point() {
        let places = project(&Tensor::ones([4, 3], (Kind::Double, Device::Cpu))).unwrap();
        assert!(
            places.iter().flatten().all(|part| part.abs() < 1e-12),
            "{places:?}"
        );
    }
}
