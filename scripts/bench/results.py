"""results/bench-peers.md and .json from what scripts/bench/peers.py measured."""

import json
import os
import platform
import subprocess
from pathlib import Path

NAMES = {"genair": "GenAIR", "baseline": "padded PyTorch", "recbole": "RecBole 1.2.1"}

NOTES = """\
Processor seconds (user and system) of one process with one thread; the columns of a line ran one
after another, in turn, {rounds} time(s), and the cheapest counts. Batch 128, Adam 1e-3, two blocks,
one head, dropout 0.5 (GRU4Rec 0.2). `beauty-shaped` is generated: 22k users, 12k items, mean length 9.

- **GenAIR**: the worker process of a sweep, between its own events (an evaluation to within a few
  milliseconds). The loss is {loss_words}.
- **padded PyTorch**: the published code's algorithm (scripts/bench/baseline.py), torch 2.13.0, the
  same targets and loss. Checked against the published code's outputs and gradients. As published, it
  ranks by a double argsort, which is most of its evaluation at L = 50.
- **RecBole 1.2.1**: its own trainer, on torch 2.13.0, with {recbole_words}. It trains on every
  prefix of a sequence as a sample of its own, so its epoch is longer: compare the seconds per 1,000
  targets. Its BERT4Rec masks every prefix. Its evaluation does not leave the history out.
- **gru4rec-last** trains on the last item of each sequence alone, as published; RecBole's GRU4Rec
  does so for every prefix and stands in the line above. Caser sees a window of 5 in all columns.
- `~`: extrapolated from the first {train_seconds:.0f} s of an epoch ({evaluation_seconds:.0f} s of an evaluation).
- `x`: how many times GenAIR's seconds. Memory is the peak of the whole process, Python and libtorch
  included.
"""


WORDS = {
    "bce": {"loss_words": "BCE with one negative per target", "recbole_words": "BPR and one negative"},
    "cross-entropy": {"loss_words": "cross-entropy over all items", "recbole_words": "the same loss"},
}


def write(path: Path, cases: list[dict], options: dict, seconds: float) -> None:
    """Writes the tables and, beside them, the numbers; each file whole or not at all."""
    facts = {"machine": machine(), "revision": revision(), "seconds": seconds}
    numbers = json.dumps(facts | {"cases": cases}, indent=1) + "\n"
    parts = [
        "# GenAIR and its peers\n",
        f"{facts['machine']}; revision {facts['revision']}; measured in {seconds / 60:.0f} minutes.\n",
        NOTES.format(**options, **WORDS[options["loss"]]),
        "## Training: CPU-seconds per epoch\n",
        table(cases, lambda found: found["training"], lambda part: part["cpu_seconds"]),
        "## Training: CPU-milliseconds per 1,000 targets\n",
        table(
            cases,
            lambda found: found["training"],
            lambda part: part["cpu_seconds"] / part["targets"] * 1e6,
        ),
        "## Evaluation of all users, full ranking: CPU-seconds\n",
        table(cases, lambda found: found["evaluation"], lambda part: part["cpu_seconds"]),
        "## Peak memory: MiB\n",
        table(cases, lambda found: {"value": found["peak_memory_bytes"] / 2**20}, lambda part: part["value"]),
    ]
    for target, text in ((path.with_suffix(".json"), numbers), (path, "\n".join(parts))):
        temporary = target.with_name(f"{target.name}.tmp")
        temporary.write_text(text)
        temporary.replace(target)


def table(cases: list[dict], part, value) -> str:
    """A Markdown table: a line for each case, a column for each program, with ratios to the first."""
    columns = [name for name in NAMES if any(name in case["columns"] for case in cases)]
    head = ["data", "L", "d", "model", *(NAMES[name] for name in columns)]
    lines = ["| " + " | ".join(head) + " |", "|---|---:|---:|---|" + "---:|" * len(columns)]
    for case in cases:
        cells = [case["data"], str(case["max_len"]), str(case["hidden_size"]), case["model"]]
        ours = case["columns"].get("genair")
        for name in columns:
            found = case["columns"].get(name)
            reference = None if name == "genair" or ours is None else value(part(ours))
            cells.append("" if found is None else cell(part(found), value, reference))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def cell(part: dict, value, reference: float | None) -> str:
    """A number, and how many times the reference it is."""
    mark = "~" if part.get("extrapolated") else ""
    ratio = f" ({value(part) / reference:.1f}x)" if reference else ""
    return f"{mark}{number_of(value(part))}{ratio}"


def number_of(value: float) -> str:
    """Three digits that matter."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def line(case: dict) -> str:
    """One case in a line, for people who wait."""
    columns = (
        f"{name} {number_of(found['training']['cpu_seconds'])} s/epoch,"
        f" {number_of(found['evaluation']['cpu_seconds'])} s/evaluation"
        for name, found in case["columns"].items()
    )
    return f"{case['data']} L={case['max_len']} {case['model']}: " + "; ".join(columns)


def machine() -> str:
    """Processor and cores."""
    model = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").open() if line.startswith("model name")),
        platform.machine(),
    )
    return f"{model}, {os.cpu_count()} cores"


def revision() -> str:
    """The commit, with a mark where the tree differs from it."""
    command = ["git", "describe", "--always", "--dirty"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return found.stdout.strip() or "unknown"
