//! The closed form against the definition, pair by pair, and against PyTorch.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

use genair_data::ItemId;
use proptest::prelude::*;
use safetensors::SafeTensors;
use zip::ZipArchive;

use super::*;

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

fn norm(row: &[f64]) -> f64 {
    row.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// The definition: one row per target, duplicates as rows of their own, every pair looked up.
fn quadratic_loss(rows: &[Vec<f64>], ids: &[u32], table: &Associations, gamma: f64) -> f64 {
    let n = rows.len() as f64;
    if rows.len() < 2 {
        return 0.0;
    }
    let unit: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| {
            row.iter()
                .map(|value| value / norm(row).max(1e-12))
                .collect()
        })
        .collect();
    let mut sum = 0.0;
    for a in 0..rows.len() {
        for b in 0..rows.len() {
            if a != b {
                let count = table.count_of(ItemId::new(ids[a]), ItemId::new(ids[b]));
                sum += (-gamma * table.score(count)).exp() * distance(&unit[a], &unit[b]);
            }
        }
    }
    -sum / (n * (n - 1.0))
}

/// Its gradient, pair by pair, through the normalisation's Jacobian.
fn quadratic_gradient(
    rows: &[Vec<f64>],
    ids: &[u32],
    table: &Associations,
    gamma: f64,
) -> Vec<Vec<f64>> {
    let n = rows.len() as f64;
    let scale = rows.iter().map(|row| norm(row).max(1e-12));
    let unit: Vec<Vec<f64>> = rows
        .iter()
        .zip(scale)
        .map(|(row, scale)| row.iter().map(|value| value / scale).collect())
        .collect();
    let mut gradient = vec![vec![0.0; rows.first().map_or(0, Vec::len)]; rows.len()];
    for a in 0..rows.len() {
        let mut by_unit = vec![0.0; rows[a].len()];
        for b in 0..rows.len() {
            let count = table.count_of(ItemId::new(ids[a]), ItemId::new(ids[b]));
            let weight = (-gamma * table.score(count)).exp();
            for (k, by_unit) in by_unit.iter_mut().enumerate() {
                if a != b {
                    *by_unit -= 4.0 * weight * (unit[a][k] - unit[b][k]) / (n * (n - 1.0));
                }
            }
        }
        let radial: f64 = by_unit.iter().zip(&unit[a]).map(|(g, e)| g * e).sum();
        let length = norm(&rows[a]);
        for k in 0..by_unit.len() {
            gradient[a][k] = if length < 1e-12 {
                by_unit[k] / 1e-12
            } else {
                (by_unit[k] - radial * unit[a][k]) / length
            };
        }
    }
    gradient
}

fn fixture(name: &str) -> String {
    format!("{}/../../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Numbers of `N` bytes in a file of NumPy's format, version 1, inside an archive.
fn numpy<const N: usize>(archive: &mut ZipArchive<File>, name: &str) -> Vec<[u8; N]> {
    let mut bytes = Vec::new();
    archive
        .by_name(name)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\0");
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[10 + header..].as_chunks().0.to_vec()
}

/// The table that came with the fixtures, of 20 items.
fn published_table() -> Associations {
    let mut archive = ZipArchive::new(File::open(fixture("calib_table.npz")).unwrap()).unwrap();
    let ids = numpy(&mut archive, "pairs.npy");
    let counts = numpy(&mut archive, "counts.npy").into_iter();
    let counts = counts.map(|count| i64::from_le_bytes(count) as u32);
    let weights = numpy(&mut archive, "weights.npy")
        .into_iter()
        .map(f32::from_le_bytes);
    let item = |id: [u8; 4]| ItemId::new(u32::from_le_bytes(id));
    let pairs = ids.as_chunks().0.iter().zip(counts.clone());
    let pairs = pairs.map(|(&[a, b], count)| (item(a), item(b), count));
    let table = Associations::from_counts(20, pairs).unwrap();
    for (count, weight) in counts.zip(weights) {
        assert!((table.score(count) - f64::from(weight)).abs() < 1e-6);
    }
    table
}

/// Every F32 tensor of `calibration.safetensors`, and the ids.
fn published() -> (HashMap<String, Vec<f64>>, Vec<u32>) {
    let bytes = std::fs::read(fixture("calibration.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let ids = file.tensor("in.item_ids").unwrap();
    let ids = ids.data().as_chunks::<8>().0.iter();
    let ids = ids.map(|&bytes| i64::from_le_bytes(bytes) as u32).collect();
    let floats = |data: &[u8]| {
        let (values, _) = data.as_chunks::<4>();
        values
            .iter()
            .map(|&bytes| f64::from(f32::from_le_bytes(bytes)))
            .collect()
    };
    let tensors = file.tensors().into_iter();
    (
        tensors
            .map(|(name, view)| (name, floats(view.data())))
            .collect(),
        ids,
    )
}

fn rows(values: &[f64], width: usize) -> Vec<Vec<f64>> {
    values.chunks(width).map(<[f64]>::to_vec).collect()
}

fn assert_close(found: impl IntoIterator<Item = f64>, expected: &[f64]) {
    let found: Vec<f64> = found.into_iter().collect();
    assert_eq!(found.len(), expected.len());
    for (&found, &expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() < 1e-5 + 1e-4 * expected.abs(),
            "{found} for {expected}"
        );
    }
}

/// Distinct ids of a batch, their counts, and the first row of each, in order of first appearance.
fn collapse(rows: &[Vec<f64>], ids: &[u32]) -> (Vec<u32>, Vec<u32>, Vec<f32>) {
    let (mut distinct, mut counts, mut embeddings) = (Vec::new(), Vec::<u32>::new(), Vec::new());
    for (row, &id) in rows.iter().zip(ids) {
        match distinct.iter().position(|&known| known == id) {
            Some(place) => counts[place] += 1,
            None => {
                distinct.push(id);
                counts.push(1);
                embeddings.extend(row.iter().map(|&value| value as f32));
            }
        }
    }
    (distinct, counts, embeddings)
}

#[test]
fn values_and_gradients_are_those_of_pytorch() {
    let (tensors, ids) = published();
    let table = Arc::new(published_table());
    let targets = rows(&tensors["in.embeddings"], 8);
    let (distinct, counts, embeddings) = collapse(&targets, &ids);
    assert_eq!(counts.iter().max(), Some(&2), "the fixture has a duplicate");
    for gamma in [0.0, 2.0, 4.0] {
        let mut loss = CalibrationLoss::new(table.clone(), gamma);
        let found = loss.value_and_gradient(&embeddings, &distinct, &counts);
        assert_close([found.loss], &tensors[&format!("out.loss_gamma{gamma}")]);
        // PyTorch has a row for each occurrence; the closed form has their sum.
        let mut expected = vec![0.0; embeddings.len()];
        let by_target = rows(&tensors[&format!("g.embeddings_gamma{gamma}")], 8);
        for (row, id) in by_target.iter().zip(&ids) {
            let place = distinct.iter().position(|known| known == id).unwrap();
            for (sum, value) in expected[place * 8..].iter_mut().zip(row) {
                *sum += value;
            }
        }
        assert_close(
            found.gradient.iter().map(|&value| f64::from(value)),
            &expected,
        );
    }
}

/// The oracle of the property tests is held against PyTorch too, where an item's own association
/// matters: two occurrences of item 5 that have different vectors.
#[test]
fn the_definition_is_that_of_pytorch() {
    let (tensors, ids) = published();
    let (table, targets) = (published_table(), rows(&tensors["in.embeddings_dup"], 8));
    let loss = quadratic_loss(&targets, &ids, &table, 4.0);
    assert_close([loss], &tensors["out.loss_dup_gamma4"]);
    let gradient = quadratic_gradient(&targets, &ids, &table, 4.0).concat();
    assert_close(gradient, &tensors["g.embeddings_dup_gamma4"]);
}

#[test]
fn a_vector_below_the_clamp_has_the_gradient_of_the_clamped_form() {
    let table = Arc::new(published_table());
    let (ids, counts) = ([1, 2, 3], [1, 3, 1]);
    for tiny in [0.0, 3e-13] {
        let embeddings = [tiny, 0.0, 1.0, 2.0, -0.5, 0.25];
        let found =
            CalibrationLoss::new(table.clone(), 4.0).value_and_gradient(&embeddings, &ids, &counts);
        let row = |k: usize| {
            embeddings[2 * k..2 * k + 2]
                .iter()
                .map(|&v| f64::from(v))
                .collect()
        };
        let targets: [Vec<f64>; 5] = [row(0), row(1), row(1), row(1), row(2)];
        let ids = [1, 2, 2, 2, 3];
        let loss = quadratic_loss(&targets, &ids, &table, 4.0);
        assert!(
            (found.loss - loss).abs() < 1e-6,
            "{} for {loss}",
            found.loss
        );
        let gradient = quadratic_gradient(&targets, &ids, &table, 4.0);
        for (found, expected) in found.gradient[..2].iter().zip(&gradient[0]) {
            let found = f64::from(*found);
            assert!(
                (found - expected).abs() < 1e-5 * expected.abs(),
                "{found} for {expected}"
            );
        }
    }
}

#[test]
fn counts_beyond_the_table_weigh_the_same() {
    let pair = |a, b, count| (ItemId::new(a), ItemId::new(b), count);
    let pairs = [
        pair(1, 2, TABLED - 1),
        pair(1, 3, TABLED + 1),
        pair(2, 3, 3 * TABLED),
    ];
    let table = Arc::new(Associations::from_counts(3, pairs).unwrap());
    let embeddings = [1.0, 0.5, -0.3, 2.0, 0.1, -1.0];
    let targets: Vec<f64> = embeddings.iter().map(|&value| f64::from(value)).collect();
    let expected = quadratic_loss(&rows(&targets, 2), &[1, 2, 3], &table, 1.0);
    let mut loss = CalibrationLoss::new(table, 1.0);
    let found = loss.value_and_gradient(&embeddings, &[1, 2, 3], &[1; 3]);
    assert_close([found.loss], &[expected]);
}

#[test]
fn a_loss_forgets_the_batch_before() {
    let table = Arc::new(published_table());
    let embeddings: Vec<f32> = (0..12).map(|k| (k as f32 * 0.7).sin()).collect();
    let mut used = CalibrationLoss::new(table.clone(), 4.0);
    used.value_and_gradient(&embeddings, &[5, 9, 3, 2], &[1, 2, 1, 4]);
    let again = used.value_and_gradient(&embeddings[..9], &[2, 5, 1], &[1, 1, 2]);
    let fresh = CalibrationLoss::new(table, 4.0).value_and_gradient(
        &embeddings[..9],
        &[2, 5, 1],
        &[1, 1, 2],
    );
    assert_eq!(again, fresh);
}

/// Items a test batch may have: more than a block has rows, so that there are several blocks.
const ITEMS: u32 = 90;

/// Which pairs are observed.
#[derive(Clone, Copy, Debug)]
enum Observed {
    None,
    Share(u32),
    All,
}

fn table(observed: Observed, salt: u32) -> Associations {
    let mut pairs = Vec::new();
    for a in 1..=ITEMS {
        for b in a..=ITEMS {
            let noise = mixed(a * 1000 + b, salt);
            let kept = match observed {
                Observed::None => false,
                Observed::Share(percent) => noise % 100 < percent,
                Observed::All => true,
            };
            if kept {
                pairs.push((ItemId::new(a), ItemId::new(b), 1 + noise / 100 % 40));
            }
        }
    }
    Associations::from_counts(ITEMS as usize, pairs).unwrap()
}

/// Murmur3's finaliser: any bits do, as long as they differ.
fn mixed(value: u32, salt: u32) -> u32 {
    let value = (value ^ salt ^ value >> 16).wrapping_mul(0x85eb_ca6b);
    let value = (value ^ value >> 13).wrapping_mul(0xc2b2_ae35);
    value ^ value >> 16
}

fn observed() -> impl Strategy<Value = Observed> {
    prop_oneof![
        Just(Observed::None),
        (1_u32..60).prop_map(Observed::Share),
        Just(Observed::All)
    ]
}

proptest! {
    #[test]
    fn the_closed_form_is_the_definition(
        observed in observed(),
        salt in any::<u32>(),
        gamma in 0.0..8.0,
        width in 1_usize..20,
        // Each item once or several times; 0, 1 and 2 targets among the cases.
        ids in prop_oneof![
            prop::collection::vec(1..=ITEMS, 0..4),
            prop::collection::vec(1..=6_u32, 0..30),
            prop::collection::vec(1..=ITEMS, 100..160),
        ],
    ) {
        let vector = |id: u32| (0..width as u32)
            .map(|k| f64::from((mixed(id * 32 + k, salt) as f32 / 2e9 - 1.0) * 3.0))
            .collect::<Vec<f64>>();
        let targets: Vec<Vec<f64>> = ids.iter().map(|&id| vector(id)).collect();
        let table = Arc::new(table(observed, salt));
        let (distinct, counts, embeddings) = collapse(&targets, &ids);

        let found = CalibrationLoss::new(table.clone(), gamma).value_and_gradient(&embeddings, &distinct, &counts);
        let loss = quadratic_loss(&targets, &ids, &table, gamma);
        prop_assert!((found.loss - loss).abs() < 2e-6, "{} for {loss}", found.loss);
        prop_assert_eq!(found.gradient.len(), embeddings.len());
        let by_target = quadratic_gradient(&targets, &ids, &table, gamma);
        for (place, &id) in distinct.iter().enumerate() {
            let rows = by_target.iter().zip(&ids).filter(|row| *row.1 == id);
            let expected: Vec<f64> = rows.fold(vec![0.0; width], |sum, (row, _)| {
                sum.iter().zip(row).map(|(a, b)| a + b).collect()
            });
            // Relative to what a unit vector's gradient could be: 4 m / n, over the norm.
            let scale = f64::from(counts[place]) / ids.len() as f64 / norm(&vector(id));
            for (k, expected) in expected.iter().enumerate() {
                let found = f64::from(found.gradient[place * width + k]);
                prop_assert!((found - expected).abs() < 1e-5 * scale, "{found} for {expected}");
            }
        }
    }

    #[test]
    fn the_gradient_is_the_slope(
        observed in observed(),
        salt in any::<u32>(),
        gamma in 0.0..8.0,
        ids in prop::collection::vec(1..=8_u32, 2..12),
        place in any::<prop::sample::Index>(),
    ) {
        let vector = |id: u32| (0..5)
            .map(|k| f64::from(mixed(id * 32 + k, salt)) / 2e9 - 1.0)
            .collect::<Vec<f64>>();
        let mut targets: Vec<Vec<f64>> = ids.iter().map(|&id| vector(id)).collect();
        let table = table(observed, salt);
        let gradient = quadratic_gradient(&targets, &ids, &table, gamma);
        let row = place.index(ids.len());
        prop_assume!(norm(&targets[row]) > 0.1);
        for k in 0..5 {
            let (value, step) = (targets[row][k], 1e-5);
            targets[row][k] = value + step;
            let above = quadratic_loss(&targets, &ids, &table, gamma);
            targets[row][k] = value - step;
            let below = quadratic_loss(&targets, &ids, &table, gamma);
            targets[row][k] = value;
            let slope = (above - below) / (2.0 * step);
            prop_assert!((slope - gradient[row][k]).abs() < 1e-6 * (1.0 + slope.abs()));
        }
    }
}
