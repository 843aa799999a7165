//! Made-up inputs of a given size, shared with `examples/time_calibration.rs`.

use genair_calibration::Associations;
use genair_data::{Dataset, ItemId, load};
use genair_protocol::{DatasetKind, DatasetSpec};

/// A batch of `n` distinct items, and the associations of a catalogue with no others.
pub(crate) struct Batch {
    /// `[n, width]`, row by row.
    pub(crate) embeddings: Vec<f32>,
    /// 1 to `n`.
    pub(crate) ids: Vec<u32>,
    /// All 1.
    pub(crate) counts: Vec<u32>,
    /// About `percent` in a hundred of the pairs.
    pub(crate) associations: Associations,
}

impl Batch {
    /// Makes the same batch every time.
    pub(crate) fn new(n: u32, width: u32, percent: u32) -> Self {
        let pairs = (1..=n).flat_map(|a| {
            (a + 1..=n)
                .map(move |b| (a, b, mixed(a * 16_384 + b)))
                .filter(|&(.., noise)| noise % 100 < percent)
                .map(|(a, b, noise)| (ItemId::new(a), ItemId::new(b), 1 + noise / 100 % 30))
        });
        Self {
            embeddings: (0..n * width)
                .map(|place| mixed(place) as f32 / 2e9 - 1.0)
                .collect(),
            ids: (1..=n).collect(),
            counts: vec![1; n as usize],
            associations: Associations::from_counts(n as usize, pairs)
                .unwrap_or_else(|error| panic!("{error}")),
        }
    }
}

/// A log of about so many interactions, 50 for each user, and half as many items as users.
pub(crate) fn log(interactions: usize) -> Dataset {
    let users = interactions / 50;
    let spec = DatasetSpec {
        kind: DatasetKind::Synthetic,
        users: Some(users),
        catalogue: Some(users / 2),
        mean_length: Some(50),
        ..DatasetSpec::default()
    };
    load(&spec).unwrap_or_else(|error| panic!("{error}"))
}

/// Murmur3's finaliser.
fn mixed(value: u32) -> u32 {
    let value = (value ^ value >> 16).wrapping_mul(0x85eb_ca6b);
    let value = (value ^ value >> 13).wrapping_mul(0xc2b2_ae35);
    value ^ value >> 16
}
