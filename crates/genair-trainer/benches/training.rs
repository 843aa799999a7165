//! The trainer's share of a training step, beside libtorch's own way of doing it, and what calibration
//! adds to an epoch of GenAIR.
//!
//! Ends with ratios of pairs that ran in turn: on a busy machine they are worth more than times.

#![expect(clippy::print_stdout, reason = "a benchmark says what it found")]

use std::time::Instant;

use criterion::{Criterion, criterion_group};
use genair_data::Dataset;
use genair_protocol::{
    CalibrationSpec, DatasetSpec, FrozenSpec, RepresentationKind, RepresentationSpec, TrainSpec,
    VectorSource,
};
use genair_trainer::bench::{TableStep, softmax_gradients, training_negatives};
use genair_trainer::harness::{ModelUnderTest, built_plugin};
use genair_trainer::plugin::Plugin;
use serde_json::json;
use tch::nn::OptimizerConfig;
use tch::{Device, Kind, Tensor, nn};

/// Amazon Beauty at the paper's width, and what a batch of 128 meets of it.
const ITEMS: i64 = 12_000;
const WIDTH: i64 = 128;
const MET: i64 = 2_000;
/// Targets of a batch.
const TARGETS: i64 = 1_024;
/// Runs of each that a comparison takes the median of.
const PAIRS: usize = 51;
/// The same for whole epochs.
const EPOCHS: usize = 5;

/// libtorch's Adam on a whole table, with a dense gradient, as PyTorch programs run it.
fn libtorch_adam() -> impl FnMut() {
    let variables = nn::VarStore::new(Device::Cpu);
    let table = variables.root().zeros("table", &[ITEMS, WIDTH]);
    let mut adam = nn::Adam::default()
        .build(&variables, 1e-3)
        .unwrap_or_else(|error| panic!("{error}"));
    (&table * 0.01).sum(Kind::Float).backward();
    move || adam.step()
}

/// States, item vectors and targets.
fn softmax_input() -> [Tensor; 3] {
    tch::manual_seed(44);
    let leaf =
        |shape: [i64; 2]| Tensor::randn(shape, (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let targets = Tensor::randint(ITEMS, [TARGETS], (Kind::Int64, Device::Cpu));
    [leaf([TARGETS, WIDTH]), leaf([ITEMS, WIDTH]), targets]
}

/// The softmax over all items as autograd differentiates it, all logits at once.
fn libtorch_softmax([states, items, targets]: &[Tensor; 3]) -> Vec<Tensor> {
    let loss = states
        .linear(items, None::<&Tensor>)
        .cross_entropy_for_logits(targets);
    Tensor::run_backward(&[loss], &[states, items], false, false)
}

fn steps(criterion: &mut Criterion) {
    tch::set_num_threads(1);
    let mut group = criterion.benchmark_group(format!("Adam on {ITEMS} x {WIDTH}"));
    let mut table = TableStep::new(ITEMS, WIDTH, MET);
    group.bench_function("ours, by rows", |bencher| bencher.iter(|| table.step()));
    let mut adam = libtorch_adam();
    group.bench_function("libtorch, dense", |bencher| bencher.iter(&mut adam));
    group.finish();

    let mut group =
        criterion.benchmark_group(format!("softmax of {TARGETS} targets over {ITEMS} items"));
    group.sample_size(10);
    let input = softmax_input();
    let [states, items, targets] = &input;
    group.bench_function("ours, in blocks", |bencher| {
        bencher.iter(|| softmax_gradients(states, items, targets));
    });
    group.bench_function("autograd", |bencher| {
        bencher.iter(|| libtorch_softmax(&input))
    });
    group.finish();

    let seen: Vec<u32> = (1..=50).map(|place| place * 200).collect();
    criterion.bench_function(
        &format!("{TARGETS} training negatives of {ITEMS} items"),
        |bencher| {
            bencher.iter(|| training_negatives(&seen, ITEMS as u32, TARGETS as usize));
        },
    );
}

/// A tenth of Amazon Beauty's users, with its lengths and catalogue.
fn dataset() -> Dataset {
    let spec: DatasetSpec = serde_json::from_value(json!({
        "kind": "synthetic", "users": 2_200, "catalogue": ITEMS, "mean_length": 9, "max_len": 200,
    }))
    .unwrap_or_else(|error| panic!("{error}"));
    genair_data::load(&spec).unwrap_or_else(|error| panic!("{error}"))
}

/// GenAIR-SASRec at the paper's settings, on random vectors: an epoch costs the same.
fn genair<'a>(plugin: &'a Plugin, dataset: &'a Dataset, calibrated: bool) -> ModelUnderTest<'a> {
    let params = json!({"hidden_size": WIDTH, "dropout": 0.5});
    let representation = RepresentationSpec {
        name: "random".to_owned(),
        kind: RepresentationKind::Random,
        frozen: Some(FrozenSpec::new(VectorSource::Gaussian { width: 768 })),
        imputed: None,
        calibration: calibrated.then(CalibrationSpec::default),
    };
    let train = TrainSpec::default();
    let params = params.as_object().cloned().unwrap_or_default();
    ModelUnderTest::with_representation(plugin, &params, dataset, &representation, &train, 44)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Compares medians of runs in turn, each side by its name.
fn compare(
    what: &str,
    pairs: usize,
    names: [&str; 2],
    mut theirs: impl FnMut(),
    mut ours: impl FnMut(),
) {
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    let (mut of_theirs, mut of_ours): (Vec<_>, Vec<_>) = (0..pairs)
        .map(|_| (time(&mut theirs), time(&mut ours)))
        .unzip();
    of_theirs.sort();
    of_ours.sort();
    let (theirs, ours) = (of_theirs[pairs / 2], of_ours[pairs / 2]);
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    let [first, second] = names;
    println!("{what}: {first} {theirs:.2?}, {second} {ours:.2?}, ratio {ratio:.2}");
}

criterion_group!(benches, steps);

fn main() {
    benches();
    let mut table = TableStep::new(ITEMS, WIDTH, MET);
    let names = ["libtorch", "ours"];
    compare("Adam", PAIRS, names, libtorch_adam(), || table.step());
    let input = softmax_input();
    let [states, items, targets] = &input;
    let ours = || drop(softmax_gradients(states, items, targets));
    compare(
        "softmax",
        PAIRS,
        names,
        || drop(libtorch_softmax(&input)),
        ours,
    );
    let (plugin, dataset) = (built_plugin("sasrec"), dataset());
    let [mut with, mut without] = [true, false].map(|on| genair(&plugin, &dataset, on));
    let names = ["with calibration", "without"];
    let epoch = |model: &mut ModelUnderTest<'_>| {
        model.train(1).unwrap_or_else(|error| panic!("{error}"));
    };
    compare(
        "epoch of GenAIR",
        EPOCHS,
        names,
        || epoch(&mut with),
        || epoch(&mut without),
    );
    Criterion::default().configure_from_args().final_summary();
}
