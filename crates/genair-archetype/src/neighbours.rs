//! Nearest items by cosine within one part of the vectors, by comparing with all.

use genair_data::PartVectors;

/// Unit vectors of a part.
pub struct Neighbours {
    width: usize,
    /// `[items, width]`; zero for an item without a vector.
    unit: Vec<f32>,
}

/// An item near another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Its row.
    pub row: usize,
    /// In [-1, 1].
    pub cosine: f32,
}

impl Neighbours {
    /// Of a part.
    pub fn new(part: &PartVectors) -> Self {
        let mut unit = part.values.clone();
        for row in unit.chunks_exact_mut(part.width) {
            let length = dot(row, row).sqrt();
            if length > 0.0 {
                row.iter_mut()
                    .for_each(|value| *value = (f64::from(*value) / length) as f32);
            }
        }
        Self {
            width: part.width,
            unit,
        }
    }

    /// The `k` items nearest to the one in a row, nearest first, the earlier row of equals first.
    /// An item whose vector is zero has no neighbours and is nobody's.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn nearest(&self, row: usize, k: usize) -> Vec<Neighbour> {
        let row_of = |row: usize| &self.unit[row * self.width..(row + 1) * self.width];
        let own = row_of(row);
        if is_zero(own) {
            return Vec::new();
        }
        let mut found: Vec<Neighbour> = (0..self.unit.len() / self.width)
            .filter(|&other| other != row && !is_zero(row_of(other)))
            .map(|other| Neighbour {
                row: other,
                cosine: dot(own, row_of(other)).clamp(-1.0, 1.0) as f32,
            })
            .collect();
        // Stable, so equals keep the order of their rows.
        found.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
        found.truncate(k);
        found
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| f64::from(a) * f64::from(b))
        .sum()
}

pub(crate) fn is_zero(row: &[f32]) -> bool {
    row.iter().all(|&value| value == 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direction_counts_and_length_does_not() {
        let part = PartVectors {
            name: "text".to_owned(),
            width: 2,
            values: vec![
                2.0, 0.0, // Asked for.
                -1.0, 0.0, //
                9.0, 9.0, //
                0.0, 0.0, // Has no vector.
                0.1, 0.1, // As near as row 2.
                5.0, 0.0,
            ],
        };
        let neighbours = Neighbours::new(&part);
        let found = neighbours.nearest(0, 9);
        let rows: Vec<usize> = found.iter().map(|neighbour| neighbour.row).collect();
        assert_eq!(rows, [5, 2, 4, 1]);
        let cosines: Vec<f32> = found.iter().map(|neighbour| neighbour.cosine).collect();
        let diagonal = 0.5_f32.sqrt();
        assert_eq!(cosines, [1.0, diagonal, diagonal, -1.0]);
        assert_eq!(neighbours.nearest(0, 2).len(), 2);
        assert_eq!(neighbours.nearest(3, 2), []);
    }
}
