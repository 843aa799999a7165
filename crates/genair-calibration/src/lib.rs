//! Behavioural calibration: co-occurrence to association scores, and the calibration loss with its gradient on plain slices.
