//! What every backbone does with a batch before its own arithmetic: dropout, and padded form.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use genair_plugin_sdk::{Mode, Result, SequenceBatch};
use tch::{Device, Kind, Tensor};

/// Sequences of a batch and width of their vectors, the paper's.
const SEQUENCES: i64 = 128;
const WIDTH: i64 = 128;

/// 128 sequences of 5 to 50 tokens, most of them short.
fn lengths() -> Vec<i64> {
    (0..SEQUENCES)
        .map(|sequence| 5 + 45 * (sequence * sequence % 97) * (sequence % 31) / (97 * 31))
        .collect()
}

fn batch() -> Result<SequenceBatch> {
    let lengths = lengths();
    let tokens: i64 = lengths.iter().sum();
    let positions: Vec<i64> = lengths.iter().flat_map(|&length| 0..length).collect();
    let items = Tensor::zeros([tokens, WIDTH], (Kind::Float, Device::Cpu));
    SequenceBatch::new(items, Tensor::from_slice(&positions), lengths, None, None)
}

fn sequences(criterion: &mut Criterion) {
    tch::set_num_threads(1);
    let new_batch = || batch().unwrap_or_else(|error| panic!("{error}"));

    let tokens = new_batch().tokens();
    let x = Tensor::ones([tokens, WIDTH], (Kind::Float, Device::Cpu));
    let mode = Mode::train(44);
    let mut dropout = criterion.benchmark_group(format!("dropout of {tokens} x {WIDTH}"));
    dropout.bench_function("ours", |bencher| bencher.iter(|| mode.dropout(&x, 0.5)));
    dropout.bench_function("libtorch", |bencher| {
        bencher.iter(|| x.f_dropout(0.5, true))
    });
    dropout.finish();

    let mut groups = criterion.benchmark_group(format!("length groups of {SEQUENCES} sequences"));
    groups.bench_function("made", |bencher| {
        let count = |batch: SequenceBatch| batch.groups().map(|groups| groups.iter().count());
        bencher.iter_batched(new_batch, count, BatchSize::SmallInput);
    });
    let batch = new_batch();
    groups.bench_function("padded and packed", |bencher| {
        bencher.iter(|| {
            let groups = batch.groups()?;
            let padded = groups
                .iter()
                .map(|group| group.pad(&x)?.f_reshape([-1, WIDTH]).map_err(Into::into));
            groups.pack(&padded.collect::<Result<Vec<_>>>()?, None)
        });
    });
}

criterion_group!(benches, sequences);
criterion_main!(benches);
