#!/usr/bin/env python3
"""GenAIR beside RecBole and a plain-PyTorch baseline: the same data, settings and thread count.

Every column is a process of its own with one thread, one at a time and in turn, timed in processor
seconds, so that a busy machine disturbs little. Of several rounds the cheapest counts: noise only
adds. Results go to results/bench-peers.md and .json after every case.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import environment
import results

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = ROOT / ".tools/bench-peers"

DATA = ("ml-100k", "beauty-shaped")
SETTINGS = {50: 64, 200: 128}  # Window to width; the second is the paper's.
LOSSES = ("bce", "cross-entropy")
MODELS = ("sasrec", "bert4rec", "gru4rec", "gru4rec-last", "caser")
PEERS = {"baseline": "baseline.py", "recbole": "recbole_peer.py"}
COLUMNS = ("genair", *PEERS)

BATCH_SIZE = 128
EVAL_BATCH_SIZE = 256  # Of the peers; GenAIR's is at most that.
DROPOUT = {"gru4rec": 0.2, "gru4rec-last": 0.2}  # Others: 0.5.
CASER_WINDOW = 5  # The paper's Markov order; what `max_len` is to the others, bounds its targets.
LEARNING_RATE = 1e-3
SEED = 44
# BERT4Rec's share of chosen items, and its copies with the last item masked.
MASKED, LAST_ITEM_COPIES = 0.6, 1
# Our longer runs train for this share of what a peer may take, and so many epochs at the most.
OWN_SHARE, MAX_OWN_EPOCHS = 0.3, 20


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    data: str
    max_len: int
    model: str
    loss: str

    @property
    def hidden_size(self) -> int:
        return SETTINGS[self.max_len]

    @property
    def dropout(self) -> float:
        return DROPOUT.get(self.model, 0.5)


def variables() -> dict[str, str]:
    """One thread that never spins, and libraries as they come."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    return mine | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


def run(command: list, what: str) -> tuple[list[tuple[dict, float]], int]:
    """A process to its end: the JSON lines it says, each with the processor seconds of the process
    when it said it, and its peak memory."""
    # Standard input stays open: a worker ends with it.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables())
    said = [(json.loads(line), cpu_seconds(process.pid)) for line in process.stdout]
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{what} ended with {process.returncode}: {said[-1:]}")
    return said, usage.ru_maxrss * 1024


def cpu_seconds(process: int) -> float:
    """User and system time of a process so far, to the nanosecond; 0 where it has ended."""
    total = 0
    for thread in Path(f"/proc/{process}/task").glob("*/schedstat"):
        try:
            total += int(thread.read_text().split()[0])
        except OSError:  # It ended in between.
            pass
    return total / 1e9


def measure_peer(python: Path, script: str, case: Case, options: argparse.Namespace) -> dict:
    """What a peer says of itself, with the peak memory of its process."""
    request = {
        "data": str(WORK / case.data),
        "model": case.model,
        "loss": case.loss,
        "max_len": case.max_len,
        "hidden_size": case.hidden_size,
        "batch_size": BATCH_SIZE,
        "eval_batch_size": EVAL_BATCH_SIZE,
        "dropout": case.dropout,
        "caser_window": CASER_WINDOW,
        "lr": LEARNING_RATE,
        "seed": SEED,
        "train_seconds": options.train_seconds,
        "evaluation_seconds": options.evaluation_seconds,
    }
    path = WORK / "request.json"
    path.write_text(json.dumps(request))
    said, memory = run([python, HERE / script, path], f"{script} on {case}")
    return said[-1][0] | {"peak_memory_bytes": memory}


def measure_genair(binaries: Path, case: Case, options: argparse.Namespace) -> dict:
    """A worker's epochs but for the first, and its evaluation of the test split, by what it had used
    up at its events."""
    backbone = case.model.removesuffix("-last")
    parameters = {"hidden_size": case.hidden_size, "dropout": case.dropout}
    if backbone == "gru4rec":
        parameters["trains_on"] = "last" if case.model.endswith("-last") else "every"
    if backbone == "caser":
        parameters["window"] = CASER_WINDOW

    def worker(epochs: int) -> tuple[list[tuple[dict, float]], int]:
        stop = {"max_epochs": epochs, "eval_every": epochs, "patience": epochs}
        spec = {
            "dataset_name": case.data,
            "dataset": {"kind": "table", "path": str(WORK / case.data), "max_len": case.max_len},
            "backbone": {"name": backbone, "params": parameters},
            "representation": {"name": "id", "kind": "id"},
            "train": {
                "batch_size": BATCH_SIZE,
                "loss": {"kind": case.loss},
                "optimizer": {"lr": LEARNING_RATE},
                "stop": stop,
                "device": "cpu",
                "threads": 1,
            },
            "eval": {"protocols": ["full"]},
            "seed": SEED,
        }
        plugin = binaries / f"libgenair_backbone_{backbone}.so"
        request = {"run": spec, "plugin": str(plugin), "plugin_sha256": None, "artefacts": str(WORK / "run")}
        path = WORK / "request.json"
        path.write_text(json.dumps(request))
        return run([binaries / "genair-trainer", "run", path], f"genair-trainer on {case}")

    said, _ = worker(1)
    seconds = next(event["train_seconds"] for event, _ in said if event["event"] == "epoch")
    counted = min(MAX_OWN_EPOCHS, math.ceil(options.train_seconds * OWN_SHARE / max(seconds, 1e-3)))
    # The first epoch sets things up, and the last one ends with a validation.
    said, memory = worker(counted + 2)
    at_epoch = {event["epoch"]: at for event, at in said if event["event"] == "epoch"}
    at_metrics = {event["split"]: at for event, at in said if event["event"] == "metrics"}
    return {
        "training": {
            "cpu_seconds": (at_epoch[counted + 1] - at_epoch[1]) / counted,
            "targets": targets_per_epoch(case),
        },
        "evaluation": {"cpu_seconds": at_metrics["test"] - at_metrics["valid"]},
        "peak_memory_bytes": memory,
    }


def targets_per_epoch(case: Case) -> float:
    """Targets of our epoch; for BERT4Rec, expected ones."""
    lengths: dict[str, int] = {}
    with (WORK / case.data / "interactions.tsv").open() as lines:
        next(lines)
        for line in lines:
            user = line.split("\t", 1)[0]
            lengths[user] = lengths.get(user, 0) + 1
    train = [length - 2 for length in lengths.values() if length >= 4]
    match case.model:
        case "gru4rec-last":
            return len(train)
        case "bert4rec":
            # A sequence in which no item was chosen gets one.
            windows = [min(length, case.max_len) for length in train]
            chosen = sum(MASKED * window + (1 - MASKED) ** window for window in windows)
            return chosen + LAST_ITEM_COPIES * len(train)
        case _:
            return sum(min(length - 1, case.max_len) for length in train)


def least(rounds: list[dict]) -> dict:
    """The cheapest training and evaluation of all rounds, and the highest peak."""
    cheapest = lambda part: min((found[part] for found in rounds), key=lambda part: part["cpu_seconds"])
    return {
        "training": cheapest("training"),
        "evaluation": cheapest("evaluation"),
        "peak_memory_bytes": max(found["peak_memory_bytes"] for found in rounds),
    }


def measure(case: Case, python: Path, options: argparse.Namespace) -> dict:
    """All columns of a line, in turn."""
    # RecBole's GRU4Rec trains on the last item, of every prefix; it stands in the other line.
    columns = [c for c in options.column if (c, case.model) != ("recbole", "gru4rec-last")]
    rounds: dict[str, list[dict]] = {column: [] for column in columns}
    for _ in range(options.rounds):
        for column in columns:
            if column == "genair":
                found = measure_genair(options.binaries, case, options)
            else:
                found = measure_peer(python, PEERS[column], case, options)
            rounds[column].append(found)
    return {column: least(found) for column, found in rounds.items()}


def export(binaries: Path, data: str) -> None:
    """Writes a data set where all columns read it."""
    if data == "ml-100k":
        fetch = [binaries / "genair", "data", "fetch", "ml-100k", "--dest", ROOT / "data/ml-100k"]
        subprocess.run(fetch, check=True, stdout=sys.stderr)
    shutil.rmtree(WORK / data, ignore_errors=True)
    command = [binaries / "genair", "data", "export", HERE / "peers.toml", "--dataset", data]
    subprocess.run([*command, "--out", WORK / data], check=True, stdout=sys.stderr)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = lambda known: {"nargs": "+", "choices": known, "default": list(known), "metavar": "NAME"}
    parser.add_argument("--quick", action="store_true", help="MovieLens-100k at L = 50, one short round")
    parser.add_argument("--data", **names(DATA), help=", ".join(DATA))
    parser.add_argument("--max-len", **names(SETTINGS), type=int, help="50 (width 64), 200 (width 128)")
    parser.add_argument("--model", **names(MODELS), help=", ".join(MODELS))
    parser.add_argument("--loss", choices=LOSSES, default="bce", help="bce, cross-entropy (over all items)")
    parser.add_argument("--column", **names(COLUMNS), help=", ".join(COLUMNS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--train-seconds", type=float, default=20.0, help="of a peer, then extrapolated")
    parser.add_argument("--evaluation-seconds", type=float, default=6.0, help="likewise")
    parser.add_argument("--check", action="store_true", help="only compare the baseline with its fixtures")
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/release", help="folder of genair")
    parser.add_argument("--out", type=Path, help="default: results/bench-peers.md, or results/bench-peers-LOSS.md")
    options = parser.parse_args()
    suffix = "" if options.loss == "bce" else f"-{options.loss}"
    options.out = options.out or ROOT / f"results/bench-peers{suffix}.md"
    if options.quick:
        options.data, options.max_len, options.rounds = ["ml-100k"], [50], 1
        options.train_seconds, options.evaluation_seconds = 3.0, 3.0
    return options


def main() -> None:
    options = arguments()
    options.binaries = options.binaries.resolve()
    python = environment.python()
    subprocess.run([python, HERE / "baseline.py", "--check"], check=True, env=variables())
    if options.check:
        return
    WORK.mkdir(parents=True, exist_ok=True)
    for data in options.data:
        export(options.binaries, data)
    started, cases = time.monotonic(), []
    cells = ((d, n, m) for d in options.data for n in options.max_len for m in options.model)
    for case in (Case(*cell, options.loss) for cell in cells):
        columns = measure(case, python, options)
        facts = {"data": case.data, "max_len": case.max_len, "hidden_size": case.hidden_size}
        cases.append(facts | {"model": case.model, "columns": columns})
        print(results.line(cases[-1]), file=sys.stderr, flush=True)
        results.write(options.out, cases, vars(options), time.monotonic() - started)
    print(options.out.read_text())


if __name__ == "__main__":
    main()
