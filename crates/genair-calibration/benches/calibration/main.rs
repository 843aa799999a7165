//! The loss with its gradient, by batch size and by share of observed pairs; and counting a log.

mod inputs;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use genair_calibration::{Associations, CalibrationLoss};
use genair_protocol::AssociationSpec;
use inputs::{Batch, log};

/// Width of an item vector, the paper's.
const WIDTH: u32 = 128;

fn loss(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("calibration");
    group.sample_size(10);
    for n in [128, 1024, 8192] {
        for (density, percent) in [("sparse", 1), ("dense", 50)] {
            let batch = Batch::new(n, WIDTH, percent);
            let mut loss = CalibrationLoss::new(Arc::new(batch.associations), 4.0);
            group.throughput(Throughput::Elements(u64::from(n)));
            group.bench_function(BenchmarkId::new(density, n), |bencher| {
                bencher.iter(|| {
                    loss.value_and_gradient(black_box(&batch.embeddings), &batch.ids, &batch.counts)
                });
            });
        }
    }
}

fn counting(criterion: &mut Criterion) {
    let dataset = log(1_000_000);
    let spec = AssociationSpec::default();
    let mut group = criterion.benchmark_group("associations");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(dataset.num_interactions() as u64));
    group.bench_function("count", |bencher| {
        bencher.iter(|| Associations::count(black_box(&dataset), &spec));
    });
}

criterion_group!(benches, loss, counting);
criterion_main!(benches);
