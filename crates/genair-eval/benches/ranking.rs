//! One user's rank in full ranking, and the negatives of the sampled protocol.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use genair_eval::{rank, sampled_negatives};
use genair_protocol::Split;

/// Catalogues: Amazon Beauty's, and the largest this project promises to handle.
const CATALOGUES: [u32; 2] = [12_000, 1_000_000];

/// A user's 50 items, spread over the catalogue.
fn history(items: u32) -> Vec<u32> {
    (1..=50).map(|place| place * (items / 51)).collect()
}

fn ranking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rank");
    for items in CATALOGUES {
        // Any numbers do, as long as they are not in order.
        let scores: Vec<f32> = (0..=items)
            .map(|item| (item.wrapping_mul(2_654_435_761) >> 8) as f32)
            .collect();
        let history = history(items);
        group.throughput(Throughput::Elements(u64::from(items)));
        group.bench_function(BenchmarkId::from_parameter(items), |bencher| {
            bencher.iter(|| rank(black_box(&scores), 7, &history));
        });
    }
}

fn negatives(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sampled negatives");
    for items in CATALOGUES {
        let known = history(items);
        let mut user = 0;
        group.bench_function(BenchmarkId::from_parameter(items), |bencher| {
            bencher.iter(|| {
                user += 1;
                sampled_negatives(items, black_box(&known), 100, 44, user, Split::Test)
            });
        });
    }
}

criterion_group!(benches, ranking, negatives);
criterion_main!(benches);
