//! Means of hidden states, and how they travel: little-endian f32 in standard base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A running mean of vectors of one width. Sums in f64 and in the order given, so that equal states
/// give equal bits.
#[derive(Clone, Debug)]
pub struct Mean {
    sum: Vec<f64>,
    count: usize,
}

impl Mean {
    /// Of nothing yet; vectors will have `width` components.
    pub fn new(width: usize) -> Self {
        Self {
            sum: vec![0.0; width],
            count: 0,
        }
    }

    /// Of the vectors of `width` components that lie one after another in `states`.
    pub fn of(width: usize, states: &[f32]) -> Self {
        let mut mean = Self::new(width);
        for state in states.chunks_exact(width) {
            mean.add(state);
        }
        mean
    }

    /// Takes one vector in.
    pub fn add(&mut self, state: &[f32]) {
        debug_assert_eq!(state.len(), self.sum.len());
        for (sum, &component) in self.sum.iter_mut().zip(state) {
            *sum += f64::from(component);
        }
        self.count += 1;
    }

    /// The mean; `None` of nothing.
    pub fn finish(self) -> Option<Vec<f32>> {
        let count = self.count as f64;
        (self.count > 0).then(|| self.sum.iter().map(|sum| (sum / count) as f32).collect())
    }
}

/// Little-endian f32 in standard base64, as `genair_protocol::EngineRecord` wants it.
pub fn encode_vector(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_the_sum_over_the_count() {
        let mean = Mean::of(2, &[1.0, 10.0, 2.0, 20.0, 6.0, 60.0]);
        assert_eq!(mean.finish(), Some(vec![3.0, 30.0]));
    }

    #[test]
    fn a_mean_of_nothing_is_no_vector_of_nan() {
        assert_eq!(Mean::new(3).finish(), None);
    }

    #[test]
    fn vectors_travel_as_little_endian_f32() {
        // python3 -c 'import base64,struct; print(base64.b64encode(struct.pack("<2f", 1.0, -2.5)).decode())'
        assert_eq!(encode_vector(&[1.0, -2.5]), "AACAPwAAIMA=");
    }
}
