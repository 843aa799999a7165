#!/usr/bin/env python3
"""The calibration loss with its gradient, beside the published algorithm and the quadratic form.

scripts/bench/calibration.py target/release/examples/time_calibration [--rounds N]

Three ways to the same number: GenAIR's closed form (the example, which is built by `cargo build
--release -p genair-calibration --examples`); the published algorithm, written afresh: all differences
as n x n x d numbers, and one dictionary lookup for each pair of two; the same sum as n x n inner products in
PyTorch, with all weights at hand. Every measurement is a process of its own with one thread, one at
a time and in turn, timed in processor seconds; of several rounds the cheapest counts. A table in
Markdown goes to standard output. A form that would need more than 4 GB is left out.
"""

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import environment

WIDTH = 128
GAMMA = 4.0
SIZES = (128, 1024, 8192)
PERCENT = (1, 50)  # Of all pairs, observed.
FORMS = ("closed form", "quadratic", "published")
TOO_MUCH = 4e9  # Bytes.
CALLS, SECONDS = 3, 1.0  # At least so many calls, for at least so long.


def mixed(values):
    """Murmur3's finaliser, as in benches/calibration/inputs.rs."""
    import numpy as np

    values = values.astype(np.uint32)
    values = (values ^ values >> np.uint32(16)) * np.uint32(0x85EBCA6B)
    values = (values ^ values >> np.uint32(13)) * np.uint32(0xC2B2AE35)
    return values ^ values >> np.uint32(16)


def measure(form: str, n: int, percent: int) -> dict:
    """Mean processor seconds of a call, memory it takes, and the loss."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    # The inputs of benches/calibration/inputs.rs.
    places = np.arange(n * WIDTH)
    values = (mixed(places).astype(np.float32) / np.float32(2e9) - np.float32(1)).reshape(n, WIDTH)
    embeddings = torch.from_numpy(values).requires_grad_()
    first, second = np.triu_indices(n, 1)
    noise = mixed((first + 1) * 16384 + second + 1)
    kept = noise % 100 < percent
    first, second, counts = first[kept], second[kept], 1 + noise[kept] // 100 % 30
    seen = np.exp(-GAMMA * np.log1p(counts) / math.log1p(counts.max()))

    if form == "published":
        pairs = list(zip((first + 1).tolist(), (second + 1).tolist()))
        table = dict(zip(pairs, seen.tolist()))
        table |= {(b, a): weight for (a, b), weight in table.items()}
        ids = list(range(1, n + 1))
        loss = lambda: published(embeddings, ids, table)  # noqa: E731
    else:
        weights = torch.ones(n, n)
        weights[first, second] = weights[second, first] = torch.from_numpy(seen).float()
        loss = lambda: quadratic(embeddings, weights)  # noqa: E731
    del noise, kept, first, second, counts, seen

    Path("/proc/self/clear_refs").write_text("5")  # Forgets the peak so far.
    before = peak()
    calls, value, began, start = 0, math.nan, time.monotonic(), time.process_time()
    while calls < CALLS or time.monotonic() - began < SECONDS:
        embeddings.grad = None
        found = loss()
        found.backward()
        value = found.item()
        calls += 1
    return {"seconds": (time.process_time() - start) / calls, "bytes": peak() - before, "loss": value}


def published(embeddings, ids: list[int], table: dict):
    """Differences of all pairs; the weight of each pair of two looked up once, in either order."""
    import torch

    n = len(ids)
    unit = torch.nn.functional.normalize(embeddings, dim=-1)
    squares = (unit[:, None] - unit[None]).pow(2).sum(-1)
    looked_up = torch.tensor([table.get(pair, 1.0) for pair in itertools.combinations(ids, 2)])
    weights = torch.zeros(n, n)
    weights[tuple(torch.triu_indices(n, n, 1))] = looked_up
    return -((weights + weights.T) * squares).sum() / (n * (n - 1))


def quadratic(embeddings, weights):
    """n x n inner products, their weights at hand."""
    import torch

    n = len(embeddings)
    unit = torch.nn.functional.normalize(embeddings, dim=-1)
    squares = 2 - 2 * unit @ unit.T
    off_diagonal = 1 - torch.eye(n)
    return -(weights * off_diagonal * squares).sum() / (n * (n - 1))


def peak() -> int:
    """Largest resident size since it was last forgotten, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


def least(command: list, rounds: list[dict]) -> None:
    """Adds a round: what a process of its own says."""
    variables = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    said = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    if said.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {said.returncode}: {said.stderr}")
    rounds.append(json.loads(said.stdout))


def compare(example: Path, python: Path, n: int, percent: int, rounds: int) -> list[dict | None]:
    """The cheapest round of each form; none for one that needs too much memory."""
    commands = [[example, "loss", str(n), str(WIDTH), str(percent)]]
    bytes_needed = {"quadratic": 4 * 4 * n * n, "published": 2 * 4 * n * n * WIDTH}
    for form in FORMS[1:]:
        command = [python, __file__, "--form", form, str(n), str(percent)]
        commands.append(command if bytes_needed[form] < TOO_MUCH else None)
    said = [[] for _ in commands]
    for _ in range(rounds):
        for command, facts in zip(commands, said):
            if command is not None:
                least(command, facts)
    cheapest = [min(facts, key=lambda fact: fact["seconds"]) if facts else None for facts in said]
    losses = [facts["loss"] for facts in cheapest if facts]
    if max(losses) - min(losses) > 1e-5:
        sys.exit(f"the forms do not agree at n = {n}, {percent} % observed: {losses}")
    return cheapest


def cells(facts: dict | None, ours: dict) -> str:
    """Time, how often ours fits into it, and memory."""
    if facts is None:
        return "- | -"
    times = "" if facts is ours else f" ({facts['seconds'] / ours['seconds']:,.0f}x)"
    return f"{facts['seconds'] * 1e3:,.2f} ms{times} | {facts['bytes'] / 1e6:,.1f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("example", type=Path, nargs="?", help="the built example, time_calibration")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--form", nargs=3, metavar=("FORM", "N", "PERCENT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.form:
        form, n, percent = options.form
        print(json.dumps(measure(form, int(n), int(percent))))
        return
    if options.example is None:
        parser.error("name the built example")
    python = environment.python()
    print("| n | observed | " + " | ".join(f"{form} | memory" for form in FORMS) + " |")
    print("|---:" * (2 + 2 * len(FORMS)) + "|")
    for n in SIZES:
        for percent in PERCENT:
            facts = compare(options.example, python, n, percent, options.rounds)
            line = " | ".join(cells(fact, facts[0]) for fact in facts)
            print(f"| {n:,} | {percent} % | {line} |", flush=True)


if __name__ == "__main__":
    main()
