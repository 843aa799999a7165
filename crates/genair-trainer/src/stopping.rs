//! Early stopping: which epoch was the best, and whether to go on.

use genair_protocol::StopSpec;

/// What the validation of an epoch means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The best so far; ties go to the earlier epoch.
    pub(crate) best: bool,
    /// No better epoch within the patience.
    pub(crate) stop: bool,
}

/// The state of early stopping.
pub(crate) struct EarlyStopping {
    patience: usize,
    best: Option<(usize, f64)>,
}

impl EarlyStopping {
    pub(crate) fn new(spec: &StopSpec) -> Self {
        Self {
            patience: spec.patience,
            best: None,
        }
    }

    /// Takes the metric of `epoch` (from 1, ascending).
    pub(crate) fn observe(&mut self, epoch: usize, value: f64) -> Verdict {
        let best = self.best.is_none_or(|(_, best)| value > best);
        if best {
            self.best = Some((epoch, value));
        }
        Verdict {
            best,
            stop: epoch - self.best_epoch() >= self.patience,
        }
    }

    /// The best epoch and its value; none before the first validation.
    pub(crate) fn best(&self) -> Option<(usize, f64)> {
        self.best
    }

    /// Goes back to where another one was.
    pub(crate) fn restore(&mut self, best: Option<(usize, f64)>) {
        self.best = best;
    }

    /// From 1; 0 before the first validation.
    pub(crate) fn best_epoch(&self) -> usize {
        self.best.map_or(0, |(epoch, _)| epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_after_patience_epochs_without_a_better_value() {
        let spec = StopSpec {
            patience: 2,
            ..StopSpec::default()
        };
        let mut stopping = EarlyStopping::new(&spec);
        let verdicts: Vec<_> = [0.1, 0.3, 0.3, 0.2]
            .iter()
            .enumerate()
            .map(|(index, &value)| stopping.observe(index + 1, value))
            .collect();
        let expected = [(true, false), (true, false), (false, false), (false, true)];
        assert_eq!(
            verdicts,
            expected.map(|(best, stop)| Verdict { best, stop })
        );
        assert_eq!(stopping.best_epoch(), 2);
    }
}
