//! A log of 10^6 interactions, from the file to the split, by each filter.

use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use genair_data::{export, load};
use genair_protocol::{DatasetKind, DatasetSpec, KCore, KCoreMode};

/// Users of 50 interactions on average.
const USERS: usize = 20_000;

/// Writes a generated log. Returns its rows.
fn write_log(folder: &Path) -> Result<u64, Box<dyn std::error::Error>> {
    let spec = DatasetSpec {
        kind: DatasetKind::Synthetic,
        users: Some(USERS),
        catalogue: Some(USERS),
        mean_length: Some(50),
        ..DatasetSpec::default()
    };
    let dataset = load(&spec)?;
    export(&dataset, folder)?;
    // Metadata would be most of the reading.
    std::fs::remove_file(folder.join("items.jsonl"))?;
    Ok(dataset.num_interactions() as u64)
}

fn loading(criterion: &mut Criterion) {
    let folder = std::env::temp_dir().join(format!("genair-bench-{}", std::process::id()));
    let rows = write_log(&folder).unwrap_or_else(|error| panic!("cannot write a log: {error}"));
    let mut group = criterion.benchmark_group("load");
    group.throughput(Throughput::Elements(rows)).sample_size(10);
    let filter = |mode| {
        Some(KCore {
            mode,
            user: 20,
            item: 20,
        })
    };
    for (name, k_core) in [
        ("unfiltered", None),
        ("single-pass k-core", filter(KCoreMode::SinglePass)),
        ("iterative k-core", filter(KCoreMode::Iterative)),
    ] {
        let spec = DatasetSpec {
            path: Some(folder.clone()),
            k_core,
            ..DatasetSpec::default()
        };
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| load(&spec).unwrap_or_else(|error| panic!("{error}")));
        });
    }
    group.finish();
    // A folder for temporary files may keep it.
    let _ = std::fs::remove_dir_all(folder);
}

criterion_group!(benches, loading);
criterion_main!(benches);
