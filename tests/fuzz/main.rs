//! Hostile input: kept seeds, mutated, go through everything that reads what a user or a stranger wrote.
//!
//! An input may be refused, but nothing may panic, take more than [`PATIENCE`] or [`MEMORY`], or end a process by a
//! signal. `just test` runs each target for a few seconds from one seed of the generator; `just fuzz SECONDS` runs
//! them longer, each time from another seed, which it prints. An input that fails is kept in `target/tmp/fuzz`:
//! mend the fault and copy the input into `tests/fuzz/corpus/TARGET`, whose files are tried first, as they are.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is how a test fails, and how much was tried is told"
)]

mod child;
mod corpus;
mod mutate;
mod program;

use std::fmt::Write;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use child::Child;
use corpus::Seed;
use program::Program;

/// How long one input may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of memory that one input may take.
const MEMORY: u64 = 1 << 30;
/// Failures after which a target gives up.
const ENOUGH: usize = 5;

/// Seconds for all targets, and the generator's seed, where nobody says otherwise.
const SECONDS: u64 = 30;
const SEED: u64 = 1;
const TARGETS: u32 = 7;

/// Tries the seeds of a target and then mutations of them until its time is over.
fn fuzz(target: &str, seeds: &[Seed], mut attempt: impl FnMut(&Seed) -> Result<(), String>) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that says how long, and from which seed"
    )]
    let variable = |name: &str| std::env::var(name).ok()?.parse().ok();
    let seconds: u64 = variable("GENAIR_FUZZ_SECONDS").unwrap_or(SECONDS);
    let seed: u64 = variable("GENAIR_FUZZ_SEED").unwrap_or(SEED);
    let deadline = Instant::now() + Duration::from_secs(seconds) / TARGETS;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut failures = String::new();
    let (mut found, mut tried) = (0, 0);
    loop {
        let input = match seeds.get(tried) {
            Some(seed) => seed.clone(),
            None if Instant::now() >= deadline => break,
            None => {
                let seed = &seeds[rng.random_range(0..seeds.len())];
                let bytes = mutate::mutate(&mut rng, seed, seeds);
                Seed {
                    name: seed.name.clone(),
                    bytes,
                }
            }
        };
        tried += 1;
        if let Err(reason) = attempt(&input) {
            let kept = corpus::keep(target, &input);
            let _ = writeln!(failures, "{}: {reason}\n", kept.display());
            found += 1;
            if found == ENOUGH {
                break;
            }
        }
    }
    println!("{target}: {tried} inputs, generator's seed {seed}");
    assert!(found == 0, "{target}, generator's seed {seed}:\n{failures}");
}

/// Tries a target whose reader is a library, in a child process.
fn fuzz_in_child(target: &str, name: impl Fn(&Seed) -> String) {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Child::new(folder.path());
    fuzz(target, &corpus::seeds(target), |input| {
        let path = folder.path().join(name(input));
        std::fs::write(&path, &input.bytes).unwrap();
        let outcome = child.attempt(target, &path);
        std::fs::remove_file(&path).unwrap();
        outcome
    });
}

#[test]
fn specs() {
    fuzz_in_child("specs", |input| input.name.clone());
}

#[test]
fn reports() {
    fuzz_in_child("reports", |input| input.name.clone());
}

/// A file becomes the part of a dataset that its extension says; the other parts are as they should be.
#[test]
fn data() {
    fuzz_in_child("data", |input| match input.name.split_once('.') {
        Some((_, extension)) if extension.starts_with("json") => format!("items.{extension}"),
        Some((_, extension)) if extension.starts_with("i") => format!("x.{extension}"),
        Some((_, extension)) => format!("interactions.{extension}"),
        None => input.name.clone(),
    });
}

#[test]
fn vectors() {
    fuzz_in_child("vectors", |input| input.name.clone());
}

#[test]
fn gguf() {
    fuzz_in_child("gguf", |input| input.name.clone());
}

/// A statement in a file, for the real program on a real database.
#[test]
fn sql() {
    let program = Program::new();
    program.make_database();
    fuzz("sql", &corpus::seeds("sql"), |input| {
        program.write("statement.sql", &input.bytes);
        let json = input.bytes.len() % 2 == 0;
        let format = if json { "json" } else { "text" };
        let arguments = [
            "results",
            "sql",
            "--file",
            "statement.sql",
            "--format",
            format,
        ];
        program.run_within(MEMORY, &arguments)
    });
}

/// A plugin that cargo built, damaged, and files that are none. The corpus has none: a library is large, and made
/// of this project's source.
#[test]
fn plugins() {
    let program = Program::new();
    let whole = program.library();
    let (begin, text) = (whole[..4096].to_vec(), b"no library at all\n".to_vec());
    let seeds = [whole, begin, text, Vec::new(), b"\x7fELF".to_vec()].map(|bytes| Seed {
        name: "libgenair_backbone_hostile.so".to_owned(),
        bytes,
    });
    fuzz("plugins", &seeds, |input| {
        program.write(format!("plugins/{}", input.name), &input.bytes);
        program.run(&["plugin", "list", "--plugin-dir", "plugins"])
    });
}
