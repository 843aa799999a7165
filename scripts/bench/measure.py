"""What both peers share: the request they get, and the clock around their loops."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Request:
    """One measurement, as scripts/bench/peers.py writes it."""

    data: Path  # A folder written by `genair data export`.
    model: str
    loss: str  # bce or cross-entropy.
    max_len: int
    hidden_size: int
    batch_size: int
    eval_batch_size: int
    dropout: float
    caser_window: int
    lr: float
    seed: int
    train_seconds: float  # Processor seconds of training after which the rest is extrapolated.
    evaluation_seconds: float

    @classmethod
    def read(cls) -> "Request":
        """The request named on the command line."""
        fields = json.loads(Path(sys.argv[1]).read_text())
        return cls(**fields | {"data": Path(fields["data"])})


class Stretch:
    """Passes batches on until they have cost `budget` processor seconds; the first is not counted.

    The clock is that of the process, user and system time; making a batch counts as well as using
    it. `sequences` and `targets` say how many a batch has.
    """

    def __init__(self, batches: Iterable, budget: float, sequences: Callable, targets: Callable) -> None:
        self._batches, self._budget = batches, budget
        self._sequences, self._targets = sequences, targets
        self.sequences, self.targets, self.cpu_seconds = 0, 0, 0.0

    def __iter__(self) -> Iterator:
        start = None
        for batch in self._batches:
            yield batch
            if start is None:  # What the first step sets up is no part of the others.
                start = time.process_time()
                continue
            self.cpu_seconds = time.process_time() - start
            self.sequences += int(self._sequences(batch))
            self.targets += int(self._targets(batch))
            if self.cpu_seconds > self._budget:
                return

    def facts(self, of_sequences: int, first: int) -> dict:
        """Processor seconds and targets of a whole of so many sequences, and whether it was seen but
        for its first batch."""
        share = of_sequences / max(self.sequences, 1)
        return {
            "cpu_seconds": self.cpu_seconds * share,
            "targets": self.targets * share,
            "extrapolated": self.sequences + first < of_sequences,
        }


def sequences(folder: Path) -> dict[str, list[str]]:
    """Each user's items, oldest first, from an export."""
    of_user: dict[str, list[str]] = {}
    with (folder / "interactions.tsv").open() as lines:
        next(lines)
        for line in lines:
            user, item, _ = line.rstrip("\n").split("\t")
            of_user.setdefault(user, []).append(item)
    return of_user


def report(training: dict, evaluation: dict) -> None:
    """Says what was measured, as one line of JSON."""
    print(json.dumps({"training": training, "evaluation": evaluation}), flush=True)
