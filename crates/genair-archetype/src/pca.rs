//! Principal components of a matrix, exactly: mean-centred, no whitening, in f64, on one thread.
//!
//! Owns the fit, its signs and its rank. Knows nothing of items: whoever calls decides which rows
//! there are.

use faer::linalg::matmul::{matmul, triangular};
use faer::{Accum, Mat, MatRef, Par, Side};

use triangular::BlockStructure::{Rectangular, TriangularLower};

/// Why there are no principal components.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PcaError {
    /// Rows that do not differ have no direction of greatest variance.
    #[error("the {rows} vectors do not differ, so they have no principal components")]
    NoVariance {
        /// How many rows there are.
        rows: usize,
    },
    /// The solver did not converge.
    #[error("the eigenvalues of {rows} vectors of width {width} did not converge")]
    NotConverged {
        /// Rows.
        rows: usize,
        /// Components of a row.
        width: usize,
    },
}

/// A fitted projection to the first principal components.
///
/// The entry of largest magnitude of each component is positive, as in scikit-learn's full solver.
#[derive(Clone, Debug)]
pub(crate) struct Pca {
    /// `[width]`
    mean: Vec<f64>,
    /// `[width, components]`, orthonormal columns by falling variance.
    components: Mat<f64>,
    explained_variance: Vec<f64>,
    total_variance: f64,
    rank: usize,
}

impl Pca {
    /// Fits to rows of one width; takes `components` of them, or the rank where that is less.
    ///
    /// Solves the smaller of covariance (`width x width`) and Gram matrix (`rows x rows`): squared
    /// singular values below `max(rows, width) * 2^-52` of the largest count as zero, which is far
    /// below the noise of f32 input.
    ///
    /// # Errors
    /// [`PcaError`].
    ///
    /// # Panics
    /// If rows differ in width.
    pub(crate) fn fit(rows: &[&[f32]], components: usize) -> Result<Self, PcaError> {
        let n = rows.len();
        let width = rows.first().map_or(0, |row| row.len());
        if n < 2 || width == 0 {
            return Err(PcaError::NoVariance { rows: n });
        }
        let mean = mean(rows, width);
        let x_nw = centred(rows, &mean);
        // The triangle alone: the solver reads no more.
        let mut square = Mat::<f64>::zeros(n.min(width), n.min(width));
        let (left, right) = if width <= n {
            (x_nw.transpose(), x_nw.as_ref())
        } else {
            (x_nw.as_ref(), x_nw.transpose())
        };
        triangular::matmul(
            &mut square,
            TriangularLower,
            Accum::Replace,
            left,
            Rectangular,
            right,
            Rectangular,
            1.0,
            Par::Seq,
        );
        let eigen = square
            .self_adjoint_eigen(Side::Lower)
            .map_err(|_| PcaError::NotConverged { rows: n, width })?;
        // Ascending; tiny negative ones are zeros.
        let values: Vec<f64> = eigen.S().column_vector().iter().rev().copied().collect();
        let largest = values.first().copied().unwrap_or_default();
        // What the mean's own rounding leaves of rows that are all the same.
        let rounding = n as f64
            * (n as f64 * f64::EPSILON).powi(2)
            * mean.iter().map(|mean| mean * mean).sum::<f64>();
        let floor = (largest * n.max(width) as f64 * f64::EPSILON).max(rounding);
        // Centring takes one dimension.
        let rank = values.iter().filter(|&&value| value > floor).count();
        let rank = rank.min(n - 1);
        if rank == 0 {
            return Err(PcaError::NoVariance { rows: n });
        }
        let kept = components.min(rank);
        let vectors = eigen.U();
        let last = vectors.ncols() - 1;
        let vectors = Mat::from_fn(vectors.nrows(), kept, |i, j| vectors[(i, last - j)]);
        let mut axes = if width <= n {
            vectors
        } else {
            let mut axes = product(x_nw.transpose(), vectors.as_ref());
            for (j, value) in values.iter().enumerate().take(kept) {
                let length = value.sqrt();
                axes.col_mut(j)
                    .iter_mut()
                    .for_each(|entry| *entry /= length);
            }
            axes
        };
        for axis in axes.col_iter_mut() {
            // The first of equals, so that there is one answer.
            let largest = axis.as_ref().iter().fold(0.0_f64, |largest, &entry| {
                if entry.abs() > largest.abs() {
                    entry
                } else {
                    largest
                }
            });
            if largest < 0.0 {
                axis.iter_mut().for_each(|entry| *entry = -*entry);
            }
        }
        let freedom = (n - 1) as f64;
        Ok(Self {
            mean,
            components: axes,
            explained_variance: values[..kept].iter().map(|value| value / freedom).collect(),
            total_variance: values.iter().map(|value| value.max(0.0)).sum::<f64>() / freedom,
            rank,
        })
    }

    /// The rows on the components: `[rows, components]`, row by row.
    ///
    /// # Panics
    /// If a row is not as wide as those of the fit.
    pub(crate) fn transform(&self, rows: &[&[f32]]) -> Vec<f32> {
        let x_nw = centred(rows, &self.mean);
        let scores = product(x_nw.as_ref(), self.components.as_ref());
        (0..rows.len())
            .flat_map(|i| (0..self.components()).map(move |j| (i, j)))
            .map(|place| scores[place] as f32)
            .collect()
    }

    /// Components kept, at least 1 if any were asked for.
    pub(crate) fn components(&self) -> usize {
        self.components.ncols()
    }

    /// Rank of the centred rows, at least 1.
    pub(crate) fn rank(&self) -> usize {
        self.rank
    }

    /// Variance along each component, divisor rows - 1, falling.
    pub(crate) fn explained_variance(&self) -> &[f64] {
        &self.explained_variance
    }

    /// Share of the total variance along each component, in (0, 1].
    pub(crate) fn explained_variance_ratio(&self) -> Vec<f64> {
        let share = |variance: &f64| variance / self.total_variance;
        self.explained_variance.iter().map(share).collect()
    }
}

fn mean(rows: &[&[f32]], width: usize) -> Vec<f64> {
    let mut sum = vec![0.0; width];
    for row in rows {
        assert_eq!(row.len(), width, "rows of one matrix differ in width");
        for (sum, &value) in sum.iter_mut().zip(*row) {
            *sum += f64::from(value);
        }
    }
    sum.iter().map(|sum| sum / rows.len() as f64).collect()
}

fn centred(rows: &[&[f32]], mean: &[f64]) -> Mat<f64> {
    Mat::from_fn(rows.len(), mean.len(), |i, j| {
        f64::from(rows[i][j]) - mean[j]
    })
}

fn product(left: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    let mut product = Mat::zeros(left.nrows(), right.ncols());
    // One thread: the sums would otherwise depend on how many there are.
    matmul(&mut product, Accum::Replace, left, right, 1.0, Par::Seq);
    product
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

    fn borrowed(rows: &[Vec<f32>]) -> Vec<&[f32]> {
        rows.iter().map(Vec::as_slice).collect()
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

    #[test]
    fn scikit_learn_agrees_signs_included() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/pca.npz");
        let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
        for set in ["1", "2"] {
            let mut array = |name: &str| array(&mut archive, &format!("{name}{set}"));
            let x: Vec<f32> = array("X").into_iter().map(|value| value as f32).collect();
            let rows: Vec<&[f32]> = x.chunks(10).collect();
            let pca = Pca::fit(&rows, 4).unwrap();
            let found = pca.transform(&rows);
            assert_eq!(found.len(), 40 * 4);
            close(found.into_iter().map(f64::from), array("R"), 1e-5);
            close(
                pca.explained_variance().iter().copied(),
                array("explained_variance"),
                1e-5,
            );
            close(
                pca.explained_variance_ratio(),
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
            let rows = matrix(oracle.rows, oracle.width);
            let rows = borrowed(&rows);
            let pca = Pca::fit(&rows, 24).unwrap();
            let scale = oracle.explained_variance[0];
            assert_eq!(
                pca.explained_variance().len(),
                oracle.explained_variance.len()
            );
            close(
                pca.explained_variance()
                    .iter()
                    .map(|variance| variance / scale),
                oracle
                    .explained_variance
                    .iter()
                    .map(|variance| variance / scale),
                1e-12,
            );
            close(pca.explained_variance_ratio(), oracle.ratio, 1e-12);
            let expected = oracle.first_rows.concat();
            let few = Pca::fit(&rows, expected.len() / oracle.first_rows.len()).unwrap();
            let found = few.transform(&rows[..oracle.first_rows.len()]);
            assert_eq!(found.len(), expected.len());
            close(found.into_iter().map(f64::from), expected, 1e-3);
        }
    }

    #[test]
    fn the_rank_bounds_the_components() {
        let two = [[1.0_f32, 0.0, 5.0], [3.0, 0.0, 1.0]];
        let rows: Vec<&[f32]> = two.iter().map(|row| &row[..]).collect();
        let pca = Pca::fit(&rows, 384).unwrap();
        assert_eq!((pca.rank(), pca.components()), (1, 1));
        assert_eq!(pca.explained_variance_ratio(), [1.0]);
        // Half of the distance of the two, (1, 0, -2) in length; the entry of -2 turns the sign.
        let half = 5.0_f32.sqrt();
        assert_eq!(pca.transform(&rows), [half, -half]);

        // Five rows in a plane, fewer than the columns and, transposed, more.
        let plane = |i: usize, j: usize| (i * j) as f32 + (i * i) as f32;
        for (n, width) in [(5, 9), (9, 3)] {
            let rows: Vec<Vec<f32>> = (0..n)
                .map(|i| (0..width).map(|j| plane(i, j)).collect())
                .collect();
            assert_eq!(Pca::fit(&borrowed(&rows), 8).unwrap().rank(), 2);
        }
    }

    #[test]
    fn rows_that_do_not_differ_are_an_error() {
        let same = [&[0.1_f32, 0.7][..]; 3];
        assert_eq!(
            Pca::fit(&same, 2).unwrap_err(),
            PcaError::NoVariance { rows: 3 }
        );
        assert_eq!(
            Pca::fit(&same[..1], 2).unwrap_err(),
            PcaError::NoVariance { rows: 1 }
        );
        assert_eq!(
            Pca::fit(&[], 2).unwrap_err(),
            PcaError::NoVariance { rows: 0 }
        );
    }
}
