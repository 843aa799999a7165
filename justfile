# One recipe for each task of CI. `just` lists them; `./just` runs them where just is not installed. Every recipe that
# builds runs `setup` first, which takes milliseconds after the first time.

set positional-arguments
set shell := ["bash", "-euo", "pipefail", "-c"]

export PATH := justfile_directory() / ".tools/bin" + ":" + env("PATH")
genair := env("CARGO_TARGET_DIR", "target") / "release/genair"

[private]
default:
    @"{{ just_executable() }}" --list --unsorted

# Install a C++ compiler and libtorch 2.13.0 if they are missing
setup:
    @scripts/setup.sh

# Build what sweeps need in target/release/: genair, genair-trainer, genair-encoder and the plugins
build: setup
    @cargo build --release

# Build also genair-report (tables, figures, pages, exports) and genair-conformance (tests of plugins)
tools: setup
    @cargo build --release --workspace

# Train the runs of a spec that have no result yet: just sweep [SPEC.toml] [--set PATH=VALUE] [-j N]
sweep *ARGS: build
    @case " $* " in *.toml\ *) ;; *) set -- experiments/quickstart.toml "$@" ;; esac; \
        GENAIR_BUILD_LLAMA="{{ justfile_directory() }}/scripts/llama.sh" "{{ genair }}" sweep "$@"

# Make the tables and figures of the paper from the results database, in results/paper/
paper *ARGS: tools
    @"{{ genair }}" report experiments/reports/paper.toml --out results/paper --skip-missing "$@"

# Build genair-llama, the worker that runs language models (`just sweep` builds it when needed)
llama:
    @scripts/llama.sh

# Check the installation, and say how to fix what is missing
doctor: build
    @"{{ genair }}" doctor

# Check format and lints, and licences if cargo-deny is installed
check: setup
    @cargo fmt --all --check
    @cargo clippy --release --workspace --lib --bins --examples --benches --tests \
        --test fuzz --test plugin_template --test real_engine --test slurm --test stress -- -D warnings
    @if command -v cargo-deny >/dev/null; then "{{ just_executable() }}" deny; fi

# Two tests at once for each core, because tests wait for processes.
#
# Run all tests; `--fast` leaves out the slow suites; other arguments go to cargo test: just test k_core
test *ARGS: setup
    @cargo build --release --workspace --lib --bins --examples # Examples are the broken plugins that tests open.
    @given=$#; if [ "${1:-}" = --fast ]; then shift; fi; \
        export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) * 2))}"; \
        cargo test --release --workspace "$@"; \
        if [ "$given" = 0 ]; then cargo test --release --workspace --test stress --test fuzz; fi

# Test with random hostile specs, data, vectors, model files, statements and plugins: just fuzz [SECONDS]
fuzz SECONDS="600": tools
    @cargo test --release --workspace --test fuzz --no-run
    @GENAIR_FUZZ_SECONDS="{{ SECONDS }}" GENAIR_FUZZ_SEED="${GENAIR_FUZZ_SEED:-$(date +%s)}" \
        cargo test --release --workspace --test fuzz -- --test-threads 1 --nocapture

# Compare ranks with those of the reference's weights on MovieLens-100k (in the folder GENAIR_GOLDENS)
test-data: build
    @scripts/test-data.sh "{{ genair }}"

# Compare the engines with their oracles and with a real local server, with the real models
test-engines: build llama
    @scripts/test-engines.sh "{{ genair }}"

# Test that the LaTeX of a report compiles; installs a small LaTeX on Debian if permitted
test-latex: tools
    @command -v pdflatex >/dev/null || apt-get install --yes --no-install-recommends texlive-latex-recommended
    @cargo test --release --workspace --test report latex -- --ignored

# Test that the tensorboard package from PyPI (installed in .tools/) reads our event files
test-tensorboard: tools
    @scripts/test-tensorboard.sh "{{ genair }}"

# Test that ranx, RecTools and PyTorch from PyPI (installed in .tools/) read our lists and checkpoints
test-lists: tools
    @scripts/test-lists.sh "{{ genair }}"

# Test the HTML report in a real browser; installs Debian's chromium if permitted, and playwright-core in .tools/
test-browser: tools
    @scripts/test-browser.sh "{{ genair }}"

# Test that MLflow, pyarrow and pandas from PyPI (850 MB, installed in .tools/) read our exports
test-mlflow: tools
    @scripts/test-mlflow.sh "{{ genair }}"

# Test sweeps on a real Slurm of three nodes on this machine; installs Debian's slurm-wlm and munge if permitted
test-slurm *ARGS: build
    @scripts/test-slurm.sh "$@"

# Test that a plugin from the template passes the conformance suite (takes minutes)
test-template: tools
    @cargo test --release --workspace --test plugin_template

# Make the documentation of the plugin SDK, in target/doc/genair_plugin_sdk/
docs: setup
    @cargo doc --release --no-deps --package genair-plugin-sdk

# Make a wheel of all programs and plugins, in target/wheels/ (docs/install.md)
wheel: tools
    @GENAIR_LLAMA_MARCH="${GENAIR_LLAMA_MARCH-x86-64-v3}" scripts/llama.sh
    @scripts/wheel.sh "$(dirname "{{ genair }}")"

# Test the wheel in a new virtual environment: downloads PyTorch (2.7 GB) and a language model
test-wheel: wheel
    @scripts/test-wheel.sh target/wheels/*.whl

# Run microbenchmarks on one thread; arguments go to criterion: just bench Adam
bench *ARGS: setup
    @OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive cargo bench --workspace \
        --bench ranking --bench loading --bench sequences --bench training --bench calibration --bench events -- "$@"

# Measure the events per second of 8 workers and one database, while a reader has the database open
bench-load: build
    @cargo test --release --workspace --test stress --test store database_is_locked -- --nocapture

# Measure the calibration loss beside its quadratic form and the published algorithm in torch
bench-calibration: build
    @cargo build --release --workspace --example time_calibration
    @scripts/bench/calibration.py "$(dirname "{{ genair }}")/examples/time_calibration"

# Compare time and memory with RecBole and PyTorch, in results/bench-peers.md (--quick, --help)
bench-peers *ARGS: build
    @scripts/bench/peers.py --binaries "$(dirname "{{ genair }}")" "$@"

# Compare genair-encoder with sentence-transformers on the same texts, one thread each (--rounds N, --texts FILE)
bench-encoder *ARGS: build
    @"{{ genair }}" archetype model fetch minilm-l6-v2
    @scripts/bench/encoder.py "$(dirname "{{ genair }}")/genair-encoder" data/cache/models/minilm-l6-v2 "$@"

# Compare a search of 32 points with and without pruning (about 15 minutes); -j N
bench-asha *ARGS: build
    @scripts/bench/asha.py "{{ genair }}" "$@"

# Read, filter and split 10^7 interactions, beside polars (needs numpy and polars)
bench-reading *ARGS: build
    @scripts/bench/reading.py "{{ genair }}" "$@"

# Measure leaderboard queries on a generated database of 10,000 runs; --metrics 100 adds 200 million rows
bench-database *ARGS: build
    @cargo build --release --workspace --example generate_database
    @scripts/bench/database.sh "{{ genair }}" "$(dirname "{{ genair }}")/examples/generate_database" "$@"

# Run the checks of CI
ci: check test test-browser

# Accept every changed snapshot; read the diff before committing it
bless *ARGS: tools
    @command -v cargo-insta >/dev/null || cargo install cargo-insta --locked --root .tools
    @cargo insta test --accept --release --workspace "$@"

# Check licences, bans and sources; `just deny advisories` needs GitHub
deny *CHECKS="bans licenses sources":
    @command -v cargo-deny >/dev/null || cargo install cargo-deny --version 0.20.2 --locked --root .tools
    @cargo deny --log-level error check {{ CHECKS }}
