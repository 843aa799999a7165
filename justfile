# One recipe for each thing CI does; `just` alone lists them. Every recipe that builds runs `setup`
# first, which takes milliseconds once it is done.

set positional-arguments
set shell := ["bash", "-euo", "pipefail", "-c"]

export PATH := justfile_directory() / ".tools/bin" + ":" + env("PATH")
genair := env("CARGO_TARGET_DIR", "target") / "release/genair"

[private]
default:
    @"{{ just_executable() }}" --list --unsorted

# Get a C++ compiler and libtorch 2.13.0, where they are missing
setup:
    @scripts/setup.sh

# Build the command, the workers and the plugins, in target/release/
build: setup
    @cargo build --release --workspace

# Train what a spec asks for and is not done: just sweep [SPEC.toml] [--set PATH=VALUE] [-j N]
sweep *ARGS: build
    @case " $* " in *.toml\ *) ;; *) set -- experiments/quickstart.toml "$@" ;; esac; \
        GENAIR_BUILD_LLAMA="{{ justfile_directory() }}/scripts/llama.sh" "{{ genair }}" sweep "$@"

# Every table and figure of the paper from the results database, into results/paper/ (after `just sweep`)
paper *ARGS: build
    @"{{ genair }}" report experiments/reports/paper.toml --out results/paper --skip-missing "$@"

# Build genair-llama, the worker that runs language models; `just sweep` does it on first need
llama:
    @scripts/llama.sh

# Say what is here, what is missing, and what to do about it
doctor: build
    @"{{ genair }}" doctor

# Format, lints, and licences where cargo-deny is installed
check: setup
    @cargo fmt --all --check
    @cargo clippy --release --workspace --all-targets -- -D warnings
    @if command -v cargo-deny >/dev/null; then "{{ just_executable() }}" deny; fi

# All tests; arguments go to cargo test: just test -p genair-data k_core
test *ARGS: build
    @cargo build --release --workspace --examples # The broken plugins that tests open.
    @cargo test --release "$@"

# Hostile specs, data, vectors, model heads, statements and plugins, from seeds drawn anew: just fuzz [SECONDS]
fuzz SECONDS="600": build
    @cargo test --release --workspace --test fuzz --no-run
    @GENAIR_FUZZ_SECONDS="{{ SECONDS }}" GENAIR_FUZZ_SEED="${GENAIR_FUZZ_SEED:-$(date +%s)}" \
        cargo test --release --workspace --test fuzz -- --test-threads 1 --nocapture

# Ranks by the reference's trained weights on MovieLens-100k; GENAIR_GOLDENS says where the weights are
test-data: build
    @scripts/test-data.sh "{{ genair }}"

# The engines against their oracles, and against a real server on loopback, with the real models
test-engines: build llama
    @scripts/test-engines.sh "{{ genair }}"

# LaTeX of a report compiles; installs a small LaTeX on Debian where it may
test-latex: build
    @command -v pdflatex >/dev/null || apt-get install --yes --no-install-recommends texlive-latex-recommended
    @GENAIR_TEST_LATEX=1 cargo test --release --workspace --test report latex

# TensorBoard event files are what the real tensorboard package reads; it comes from PyPI into .tools/
test-tensorboard: build
    @scripts/test-tensorboard.sh "{{ genair }}"

# The HTML report in a real browser; installs Debian's chromium where it may, playwright-core into .tools/
test-browser: build
    @scripts/test-browser.sh "{{ genair }}"

# Exports read by the real MLflow, pyarrow and pandas, from PyPI into .tools/ (some 850 MB)
test-mlflow: build
    @scripts/test-mlflow.sh "{{ genair }}"

# A plugin made from the template, outside the workspace, passes the conformance suite (minutes)
test-template: build
    @cargo test --release --workspace --test plugin_template

# Microbenchmarks on one thread; arguments go to criterion: just bench Adam
bench *ARGS: setup
    @OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive cargo bench --workspace \
        --bench ranking --bench loading --bench sequences --bench training --bench calibration --bench events -- "$@"

# Events a second of 8 workers into one database while a reader (sqlite3, where there is one) has it open
bench-load: build
    @cargo test --release --workspace --test cli --test store database_is_locked -- --nocapture

# The calibration loss beside its quadratic form and the published algorithm, in torch
bench-calibration: build
    @cargo build --release --workspace --example time_calibration
    @scripts/bench/calibration.py "$(dirname "{{ genair }}")/examples/time_calibration"

# Beside RecBole and plain PyTorch: seconds and memory, into results/bench-peers.md (--quick, --help)
bench-peers *ARGS: build
    @scripts/bench/peers.py --binaries "$(dirname "{{ genair }}")" "$@"

# 32 points of SASRec with and without pruning: best validation and time (about 15 minutes); -j N
bench-asha *ARGS: build
    @scripts/bench/asha.py "{{ genair }}" "$@"

# Leaderboard queries on a generated database of 10,000 runs; --metrics 100 for 200 million rows of epochs
bench-database *ARGS: build
    @cargo build --release --workspace --example generate_database
    @scripts/bench/database.sh "{{ genair }}" "$(dirname "{{ genair }}")/examples/generate_database" "$@"

# What CI runs
ci: check test test-browser

# Accept every changed snapshot; read the diff before committing it
bless *ARGS: build
    @command -v cargo-insta >/dev/null || cargo install cargo-insta --locked --root .tools
    @cargo insta test --accept --release --workspace "$@"

# Licences, bans and sources; `just deny advisories` needs GitHub
deny *CHECKS="bans licenses sources":
    @command -v cargo-deny >/dev/null || cargo install cargo-deny --version 0.20.2 --locked --root .tools
    @cargo deny --log-level error check {{ CHECKS }}
