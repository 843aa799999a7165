//! Behavioural calibration (docs/method.md, section 6): how often items meet in training sequences, and
//! the loss that pushes item vectors apart except where they do, with its gradient. Plain slices, no
//! tensors.
//!
//! Start with [`Associations`], counted once for each dataset, then [`CalibrationLoss`]. [`ItemSpace`]
//! measures what calibration did; nothing it says may enter training.

mod associations;
mod counting;
mod diagnostics;
mod error;
mod file;
mod loss;

pub use associations::Associations;
pub use diagnostics::{AssociationCorrelation, ItemSpace};
pub use error::{AssociationsError, AssociationsProblem};
pub use loss::{Calibration, CalibrationLoss};
