//! Principal components of a matrix, exactly: mean-centred, in f64; whitened on demand.
//!
//! Owns the fit, its signs and its rank. Knows nothing of items: whoever calls decides which rows there are.

use std::path::Path;

use genair_protocol::{PcaReply, PcaSummary};
use tch::{Kind, TchError, Tensor};

/// The only tensor of the files that are exchanged, `[rows, width]`.
const ROWS: &str = "rows";

/// Why a file cannot be reduced.
#[derive(Debug, thiserror::Error)]
pub enum PcaError {
    /// The file is none, cannot be written, or the rows do not fit in memory.
    #[error(transparent)]
    Tensor(#[from] TchError),
    /// There is no matrix of this name.
    #[error("the file has no matrix `{ROWS}`")]
    NoRows,
}

/// Reduces the tensor `rows` (f32, `[rows, width]`) of a safetensors file to principal components, and writes
/// `rows` (f32, `[rows, components]`) to another, on one thread: the sums would otherwise depend on how many there
/// are. `ridge` whitens, see [`Pca::transform`]. The components are those of the first `fitted` rows; of all where it is
/// absent.
///
/// # Errors
/// [`PcaError`].
pub fn reduce_file(
    input: &Path,
    output: &Path,
    components: usize,
    ridge: Option<f64>,
    fitted: Option<i64>,
) -> Result<PcaReply, PcaError> {
    tch::set_num_threads(1);
    let tensors = Tensor::read_safetensors(input)?;
    let named = tensors.into_iter().find(|(name, _)| name == ROWS);
    let x_nw = named.map(|(_, tensor)| tensor).ok_or(PcaError::NoRows)?;
    if x_nw.dim() != 2 {
        return Err(PcaError::NoRows);
    }
    let rows = x_nw.size()[0];
    let fitted = fitted.map_or(rows, |fitted| fitted.min(rows));
    let fitted = match Pca::fit(&x_nw.f_narrow(0, 0, fitted)?, components)? {
        Fit::Done(pca) => pca,
        Fit::NoVariance => return Ok(PcaReply::NoVariance),
        Fit::NotConverged => return Ok(PcaReply::NotConverged),
    };
    let reduced = fitted.transform(&x_nw, ridge)?;
    Tensor::write_safetensors(&[(ROWS, reduced)], output)?;
    Ok(PcaReply::Reduced(fitted.summary))
}

/// The first principal components of rows `[rows, width]`: f32, `[rows, components]`; `None` where there are not
/// so many. They are those of the first `fitted` rows.
pub(crate) fn first_components(
    x_nw: &Tensor,
    fitted: i64,
    components: usize,
) -> Result<Option<Tensor>, TchError> {
    match Pca::fit(&x_nw.f_narrow(0, 0, fitted)?, components)? {
        Fit::Done(pca) if pca.summary.components == components => {
            pca.transform(x_nw, None).map(Some)
        }
        Fit::Done(_) | Fit::NoVariance | Fit::NotConverged => Ok(None),
    }
}

/// What came of a fit.
#[derive(Debug)]
enum Fit {
    Done(Pca),
    NoVariance,
    NotConverged,
}

/// A fitted projection to the first principal components.
///
/// The entry of largest magnitude of each component is positive, as in scikit-learn's full solver.
#[derive(Debug)]
struct Pca {
    /// `[width]`, f64.
    mean_w: Tensor,
    /// `[width, components]`, f64, orthonormal columns by falling variance.
    axes_wk: Tensor,
    /// Squared singular values of the centred rows, `[components]`, f64.
    squares_k: Tensor,
    rows: f64,
    summary: PcaSummary,
}

impl Pca {
    /// Fits to rows `[rows, width]`; takes so many components, or the rank where that is less.
    ///
    /// Solves the smaller of covariance (`width x width`) and Gram matrix (`rows x rows`): squared singular values
    /// below `max(rows, width) * 2^-52` of the largest count as zero, which is far below the noise of f32 input.
    fn fit(x_nw: &Tensor, components: usize) -> Result<Fit, TchError> {
        let (n, width) = x_nw.size2()?;
        if n < 2 || width == 0 {
            return Ok(Fit::NoVariance);
        }
        let x_nw = x_nw.f_to_kind(Kind::Double)?;
        let mean_w = x_nw.f_mean_dim(&[0_i64][..], false, Kind::Double)?;
        let x_nw = x_nw.f_sub(&mean_w)?;
        let square = match width <= n {
            true => x_nw.f_tr()?.f_matmul(&x_nw)?,
            false => x_nw.f_matmul(&x_nw.f_tr()?)?,
        };
        // Ascending; tiny negative ones are zeros.
        let Ok((values, vectors)) = square.f_linalg_eigh("L") else {
            return Ok(Fit::NotConverged);
        };
        let values: Vec<f64> = Vec::try_from(values.f_flip([0])?)?;
        let (rows, larger) = (n as f64, n.max(width) as f64);
        let largest = values.first().copied().unwrap_or_default();
        // What the mean's own rounding leaves of rows that are all the same.
        let squares = mean_w
            .f_square()?
            .f_sum(Kind::Double)?
            .f_double_value(&[])?;
        let rounding = rows * (rows * f64::EPSILON).powi(2) * squares;
        let floor = (largest * larger * f64::EPSILON).max(rounding);
        let rank = values.iter().filter(|&&value| value > floor).count();
        // Centring takes one dimension.
        let rank = rank.min(usize::try_from(n - 1).unwrap_or_default());
        if rank == 0 {
            return Ok(Fit::NoVariance);
        }
        let kept = components.min(rank);
        let vectors = vectors.f_flip([1])?.f_narrow(1, 0, kept as i64)?;
        let axes_wk = match width <= n {
            true => vectors,
            false => {
                let lengths = Tensor::from_slice(&values[..kept]).f_sqrt()?;
                x_nw.f_tr()?.f_matmul(&vectors)?.f_div(&lengths)?
            }
        };
        let freedom = rows - 1.0;
        let total = values.iter().map(|value| value.max(0.0)).sum::<f64>() / freedom;
        let explained_variance: Vec<f64> =
            values[..kept].iter().map(|value| value / freedom).collect();
        Ok(Fit::Done(Self {
            axes_wk: axes_wk.f_mul(&signs(&axes_wk)?)?,
            mean_w,
            squares_k: Tensor::f_from_slice(&values[..kept])?,
            rows,
            summary: PcaSummary {
                asked: components,
                components: kept,
                rank,
                explained_variance_ratio: explained_variance.iter().map(|v| v / total).collect(),
                explained_variance,
            },
        }))
    }

    /// Rows `[rows, width]` on the components: f32, `[rows, components]`.
    ///
    /// With a ridge they are whitened: component `k` is multiplied by `sqrt(rows / (s_k^2 + ridge))`, `s_k` its
    /// singular value. Of ridge 0 every component has variance 1 (WhitenRec, ICDE 2024); a larger one damps the
    /// weak components (ACE, SIGIR 2026: `U sqrt(S^2 / (S^2 + lambda))`, here times `sqrt(rows)`).
    fn transform(&self, x_nw: &Tensor, ridge: Option<f64>) -> Result<Tensor, TchError> {
        let centred = x_nw.f_to_kind(Kind::Double)?.f_sub(&self.mean_w)?;
        let mut reduced = centred.f_matmul(&self.axes_wk)?;
        if let Some(ridge) = ridge {
            let deviation_k = self
                .squares_k
                .f_add_scalar(ridge)?
                .f_div_scalar(self.rows)?;
            reduced = reduced.f_div(&deviation_k.f_sqrt()?)?;
        }
        reduced.f_to_kind(Kind::Float)
    }
}

/// -1 for each column whose entry of largest magnitude, the first of equals, is negative; else 1.
fn signs(axes_wk: &Tensor) -> Result<Tensor, TchError> {
    let (width, kept) = axes_wk.size2()?;
    let columns: Vec<f64> = Vec::try_from(axes_wk.f_tr()?.f_contiguous()?.f_view([width * kept])?)?;
    let sign = |column: &[f64]| {
        let largest = column.iter().fold(0.0_f64, |largest, &entry| {
            match entry.abs() > largest.abs() {
                true => entry,
                false => largest,
            }
        });
        if largest < 0.0 { -1.0 } else { 1.0 }
    };
    let signs: Vec<f64> = columns.chunks(width.max(1) as usize).map(sign).collect();
    Ok(Tensor::from_slice(&signs))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use serde::Deserialize;

    use super::*;

    /// An array of f64, row by row.
    fn array(archive: &mut zip::ZipArchive<File>, name: &str) -> Vec<f64> {
        let file = archive.by_name(&format!("{name}.npy")).unwrap();
        let npy = npyz::NpyFile::new(file).unwrap();
        let (order, shape) = (npy.order(), npy.shape().to_vec());
        let values = npy.into_vec().unwrap();
        match (order, &shape[..]) {
            (npyz::Order::Fortran, &[rows, width]) => (0..rows)
                .flat_map(|i| (0..width).map(move |j| (j * rows + i) as usize))
                .map(|place| values[place])
                .collect(),
            _ => values,
        }
    }

    fn tensor(rows: &[Vec<f32>]) -> Tensor {
        Tensor::from_slice(&rows.concat()).view([rows.len() as i64, -1])
    }

    #[track_caller]
    fn fitted(x_nw: &Tensor, components: usize) -> Pca {
        match Pca::fit(x_nw, components).unwrap() {
            Fit::Done(pca) => pca,
            other => panic!("{other:?}"),
        }
    }

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(tensor.to_kind(Kind::Double).flatten(0, -1)).unwrap()
    }

    #[track_caller]
    fn close(
        found: impl IntoIterator<Item = f64>,
        expected: impl IntoIterator<Item = f64>,
        tolerance: f64,
    ) {
        for (place, (found, expected)) in found.into_iter().zip(expected).enumerate() {
            let error = (found - expected).abs();
            assert!(error <= tolerance, "{place}: {found} is not {expected}");
        }
    }

    /// numpy: `U, S, Vt = svd(x - x.mean(0)); sqrt(n) * U[:, :k] * S[:k] / sqrt(S[:k]**2 + ridge)`.
    #[test]
    fn whitening_makes_variances_equal_and_a_ridge_damps_the_weak() {
        let rows: Vec<Vec<f32>> = (0..40)
            .map(|row| {
                let t = row as f32;
                vec![
                    10.0 * (t * 0.7).sin(),
                    (t * 1.3).cos(),
                    0.1 * (t * 2.1).sin() + t * 0.01,
                ]
            })
            .collect();
        let x_nw = tensor(&rows);
        let pca = fitted(&x_nw, 3);
        let variances = |ridge| -> Vec<f64> {
            let reduced = pca.transform(&x_nw, ridge).unwrap().to_kind(Kind::Double);
            numbers(
                &(reduced
                    .square()
                    .sum_dim_intlist([0i64].as_slice(), false, Kind::Double)
                    / 40.0),
            )
        };
        close(variances(Some(0.0)), [1.0; 3], 1e-6);
        let squares = numbers(&pca.squares_k);
        let damped = squares.iter().map(|square| square / (square + 5.0));
        close(variances(Some(5.0)), damped, 1e-6);
        let plain = squares.iter().map(|square| square / 40.0);
        close(variances(None), plain, 1e-4);
        // Components stay uncorrelated.
        let white = pca
            .transform(&x_nw, Some(0.0))
            .unwrap()
            .to_kind(Kind::Double);
        let products = numbers(&(white.tr().matmul(&white) / 40.0));
        close(
            products,
            [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            1e-5,
        );
    }

    #[test]
    fn scikit_learn_agrees_signs_included() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/pca.npz");
        let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
        for set in ["1", "2"] {
            let mut array = |name: &str| array(&mut archive, &format!("{name}{set}"));
            let x: Vec<f32> = array("X").into_iter().map(|value| value as f32).collect();
            let x_nw = Tensor::from_slice(&x).view([-1, 10]);
            let pca = fitted(&x_nw, 4);
            let found = pca.transform(&x_nw, None).unwrap();
            assert_eq!(found.size(), [40, 4]);
            close(numbers(&found), array("R"), 1e-5);
            let PcaSummary {
                explained_variance,
                explained_variance_ratio,
                ..
            } = pca.summary;
            close(explained_variance, array("explained_variance"), 1e-5);
            close(
                explained_variance_ratio,
                array("explained_variance_ratio"),
                1e-6,
            );
        }
    }

    /// What NumPy's SVD says of [`matrix`] (tests/pca/oracle.py).
    #[derive(Deserialize)]
    struct Oracle {
        rows: usize,
        width: usize,
        explained_variance: Vec<f64>,
        ratio: Vec<f64>,
        first_rows: Vec<Vec<f64>>,
    }

    /// The matrix of tests/pca/oracle.py: noise and six directions of falling strength. Every step
    /// is exact in f64, so that both languages have the same numbers.
    fn matrix(rows: usize, width: usize) -> Vec<Vec<f32>> {
        let noise = |index: usize| {
            let mut z = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 56) as f64 - 127.5
        };
        let value = |i: usize, j: usize| {
            let strong = |k: usize| noise(1_000_000 + 7 * i + k) * noise(2_000_000 + 7 * j + k);
            let sum: f64 = (0..6).map(|k| strong(k) * (6 - k) as f64).sum();
            (noise(i * width + j) * 64.0 + sum) as f32 / 1024.0 + 3.0
        };
        (0..rows)
            .map(|i| (0..width).map(|j| value(i, j)).collect())
            .collect()
    }

    #[test]
    fn numpy_agrees_on_both_sides_of_square() {
        let oracles: Vec<Oracle> =
            serde_json::from_str(include_str!("../tests/pca/oracle.json")).unwrap();
        assert!(oracles.iter().any(|oracle| oracle.rows < oracle.width));
        assert!(oracles.iter().any(|oracle| oracle.rows > oracle.width));
        for oracle in oracles {
            let x_nw = tensor(&matrix(oracle.rows, oracle.width));
            let summary = fitted(&x_nw, 24).summary;
            let scale = oracle.explained_variance[0];
            let relative = |values: &[f64]| -> Vec<f64> {
                values.iter().map(|variance| variance / scale).collect()
            };
            let expected = relative(&oracle.explained_variance);
            assert_eq!(summary.explained_variance.len(), expected.len());
            close(relative(&summary.explained_variance), expected, 1e-12);
            close(summary.explained_variance_ratio, oracle.ratio, 1e-12);
            let expected = oracle.first_rows.concat();
            let few = fitted(&x_nw, expected.len() / oracle.first_rows.len());
            let first = x_nw.narrow(0, 0, oracle.first_rows.len() as i64);
            let found = numbers(&few.transform(&first, None).unwrap());
            assert_eq!(found.len(), expected.len());
            close(found, expected, 1e-3);
        }
    }

    #[test]
    fn the_rank_bounds_the_components() {
        let two = tensor(&[vec![1.0, 0.0, 5.0], vec![3.0, 0.0, 1.0]]);
        let pca = fitted(&two, 384);
        assert_eq!((pca.summary.rank, pca.summary.components), (1, 1));
        close(pca.summary.explained_variance_ratio.clone(), [1.0], 1e-15);
        // Half of the distance of the two, (1, 0, -2) in length; the entry of -2 turns the sign.
        let half = 5.0_f64.sqrt();
        close(
            numbers(&pca.transform(&two, None).unwrap()),
            [half, -half],
            1e-6,
        );

        // Five rows in a plane, fewer than the columns and, transposed, more.
        let plane = |i: usize, j: usize| (i * j) as f32 + (i * i) as f32;
        for (n, width) in [(5, 9), (9, 3)] {
            let rows: Vec<Vec<f32>> = (0..n)
                .map(|i| (0..width).map(|j| plane(i, j)).collect())
                .collect();
            assert_eq!(fitted(&tensor(&rows), 8).summary.rank, 2);
        }
    }

    #[test]
    fn rows_that_do_not_differ_have_no_components() {
        for same in [
            tensor(&vec![vec![0.1, 0.7]; 3]),
            tensor(&[vec![0.1, 0.7]]),
            Tensor::zeros([0, 2], (Kind::Float, tch::Device::Cpu)),
        ] {
            assert!(matches!(Pca::fit(&same, 2).unwrap(), Fit::NoVariance));
        }
    }

    #[test]
    fn files_are_reduced() {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in"), folder.path().join("out"));
        let rows = tensor(&matrix(40, 8));
        Tensor::write_safetensors(&[(ROWS, &rows)], &input).unwrap();
        let reply = reduce_file(&input, &output, 3, None, None).unwrap();
        let pca = fitted(&rows, 3);
        assert_eq!(reply, PcaReply::Reduced(pca.summary.clone()));
        let [(_, found)] = &Tensor::read_safetensors(&output).unwrap()[..] else {
            panic!("one tensor");
        };
        assert_eq!(
            numbers(found),
            numbers(&pca.transform(&rows, None).unwrap())
        );
        Tensor::write_safetensors(&[("x", &rows)], &input).unwrap();
        assert!(matches!(
            reduce_file(&input, &output, 3, None, None),
            Err(PcaError::NoRows)
        ));
    }
}
