//! Many tests in one table: Holm's correction.

/// Adjusts p values for their number, in the same order: the k-th smallest of m is multiplied by
/// m - k + 1, and none is smaller than the one before it or above 1 (Holm 1979). Comparing the
/// results with a level keeps the chance of any false finding in the table below that level.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut least = 0.0f64;
    for (smaller, index) in order.into_iter().enumerate() {
        let factor = (p_values.len() - smaller) as f64;
        least = least.max((factor * p_values[index]).min(1.0));
        adjusted[index] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn correction_keeps_order_and_never_helps(p_values in prop::collection::vec(0.0..=1.0f64, 0..20)) {
            let adjusted = holm(&p_values);
            for (i, a) in adjusted.iter().enumerate() {
                prop_assert!(*a >= p_values[i] && *a <= 1.0);
                for (j, b) in adjusted.iter().enumerate() {
                    prop_assert!(p_values[i] > p_values[j] || a <= b);
                }
            }
        }
    }
}
