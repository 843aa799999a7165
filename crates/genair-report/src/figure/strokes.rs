//! A line cut into the strokes of its pattern.

/// A place of the drawing, in points.
pub(super) type Place = (f64, f64);

/// The strokes of a line through `points`, each of at least two places. `pattern` is lengths, in points, of a
/// stroke, a gap, a stroke and so on; empty for a line without gaps. The pattern goes on around corners.
pub(super) fn strokes(points: &[Place], pattern: &[f64]) -> Vec<Vec<Place>> {
    if pattern.is_empty() {
        return match points.len() {
            0 | 1 => Vec::new(),
            _ => vec![points.to_vec()],
        };
    }
    let mut found = Vec::new();
    let (mut at, mut left) = (0, pattern[0]);
    let mut stroke: Vec<Place> = points.first().copied().into_iter().collect();
    for ends in points.windows(2) {
        let [(x0, y0), (x1, y1)] = [ends[0], ends[1]];
        let length = (x1 - x0).hypot(y1 - y0);
        let mut gone = 0.0;
        while length - gone > left {
            gone += left;
            let share = gone / length;
            let place = (x0 + share * (x1 - x0), y0 + share * (y1 - y0));
            // Even places of the pattern are drawn, odd ones are gaps.
            if at % 2 == 0 {
                stroke.push(place);
                found.push(std::mem::take(&mut stroke));
            } else {
                stroke = vec![place];
            }
            at = (at + 1) % pattern.len();
            left = pattern[at];
        }
        left -= length - gone;
        if at % 2 == 0 && length > 0.0 {
            stroke.push((x1, y1));
        }
    }
    if stroke.len() > 1 {
        found.push(stroke);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strokes_go_around_corners_and_have_two_ends() {
        let corner = [(0.0, 0.0), (3.0, 0.0), (3.0, 4.0)];
        assert_eq!(
            strokes(&corner, &[4.0, 2.0]),
            [
                vec![(0.0, 0.0), (3.0, 0.0), (3.0, 1.0)],
                vec![(3.0, 3.0), (3.0, 4.0)],
            ]
        );
        assert_eq!(strokes(&corner, &[]), [corner.to_vec()]);
        for line in [&[][..], &[(1.0, 1.0)], &[(1.0, 1.0), (1.0, 1.0)]] {
            for pattern in [&[4.0, 2.0][..], &[1.0, 1.0, 3.0, 1.0]] {
                assert!(strokes(line, pattern).is_empty(), "{line:?}");
            }
        }
        let dotted = strokes(&[(0.0, 0.0), (100.0, 0.0)], &[1.2, 1.6]);
        assert!(dotted.iter().all(|stroke| stroke.len() == 2));
        assert_eq!(dotted.len(), 36);
    }
}
