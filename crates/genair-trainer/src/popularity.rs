//! The popularity baseline: every user gets the items with the most training interactions.

use genair_data::Dataset;

use crate::RunErrorKind;
use crate::evaluation::{Input, Scorer};

/// Scores items by how often they occur in the training part.
pub(crate) struct Popularity {
    scores: Vec<f32>,
}

impl Popularity {
    pub(crate) fn new(dataset: &Dataset) -> Self {
        Self {
            scores: dataset
                .train_popularity()
                .iter()
                .map(|&count| count as f32)
                .collect(),
        }
    }
}

impl Scorer for Popularity {
    fn score(&self, inputs: &[Input<'_>], scores: &mut Vec<f32>) -> Result<(), RunErrorKind> {
        scores.clear();
        for _ in inputs {
            scores.extend_from_slice(&self.scores);
        }
        Ok(())
    }
}
