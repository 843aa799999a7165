#!/usr/bin/env python3
"""Runs experiments/asha_ml100k.toml with and without pruning and compares best validation and time.

    scripts/bench/asha.py target/release/genair [-j N] [--search-seed N] [--reuse-full]

Both sweeps start from nothing, in results/asha-full-SEED.db and results/asha-pruned-SEED.db. Processor seconds are
those of `genair` and all its workers, so other programs disturb them little. Exits with 1 if pruning misses its
target: within 1 % of the best validation NDCG@10, in at most a third of the processor time.

Which runs are pruned depends on the order in which they come. So the curves of the full sweep are replayed in
random orders as well, to say how much of the result is luck.
"""

import argparse
import json
import pathlib
import random
import resource
import shutil
import subprocess
import sys
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPEC = ROOT / "experiments" / "asha_ml100k.toml"
BEST = """
    SELECT max(valid) AS best, sweep_runs.variant AS variant,
        (SELECT count(*) FROM epochs) AS epochs,
        (SELECT count(*) FROM runs WHERE state = 'finished') AS finished,
        (SELECT count(*) FROM runs WHERE state = 'pruned') AS pruned
    FROM epochs JOIN runs USING (run_id) JOIN sweep_runs USING (run_id) WHERE state = 'finished'
"""
CURVES = "SELECT run_id, epoch, valid, cpu_seconds FROM epochs JOIN runs USING (run_id) ORDER BY run_id, epoch"
ORDERS = 400


def processor_seconds():
    """Of all children that have ended, and theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def sweep(genair, database, jobs, settings):
    """Runs the spec from nothing and says what it came to."""
    for path in database.parent.glob(f"{database.name}*"):
        path.unlink()
    shutil.rmtree(database.with_name(f"{database.stem}-artefacts"), ignore_errors=True)
    begin, cpu = time.monotonic(), processor_seconds()
    command = [genair, "sweep", SPEC, "--db", database, "-j", str(jobs)]
    command += [part for setting in settings for part in ("--set", setting)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    took = {"wall_seconds": time.monotonic() - begin, "cpu_seconds": processor_seconds() - cpu}
    return took | query(genair, database, BEST)[0]


def query(genair, database, sql):
    """Rows of a database, by column."""
    command = [genair, "results", "sql", sql, "--db", database, "--format", "json"]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return [dict(zip(answer["columns"], row)) for row in answer["rows"]]


def best_share(standings, reduction):
    """The least of the best 1 / reduction of these values; none where that is less than one."""
    last = len(standings) // reduction
    return sorted(standings.values(), reverse=True)[last - 1] if last else None


class Search:
    """ASHA over known curves, one run at a time: what genair does with `-j 1`, written anew."""

    def __init__(self, curves, grace, reduction):
        self.curves, self.reduction = curves, reduction
        longest = max(map(len, curves.values()))
        self.rungs = [grace]
        while self.rungs[-1] * reduction < longest:
            self.rungs.append(self.rungs[-1] * reduction)
        self.standings = [{} for _ in self.rungs]
        self.waiting = {}
        self.finished = {}
        self.epochs = dict.fromkeys(curves, 0)

    def value(self, run, epochs):
        return max(epoch["valid"] for epoch in self.curves[run][:epochs])

    def goes_on(self, run, rung):
        threshold = best_share(self.standings[rung], self.reduction)
        return threshold is not None and self.standings[rung][run] >= threshold

    def train(self, run, rung=0):
        """Trains a run from before a rung until it is stopped or has finished."""
        length = len(self.curves[run])
        for at, epochs in list(enumerate(self.rungs))[rung:]:
            if epochs >= length:
                break
            self.standings[at][run] = self.value(run, epochs)
            if not self.goes_on(run, at):
                self.waiting[run], self.epochs[run] = at, epochs
                return
        self.epochs[run], self.finished[run] = length, self.value(run, length)
        for at, epochs in enumerate(self.rungs):
            self.standings[at][run] = self.value(run, epochs)

    def promote(self):
        """Has the runs go on that may, those of the highest rung first; says whether there was one."""
        for rung in reversed(range(len(self.rungs))):
            for run in [run for run, at in self.waiting.items() if at == rung and self.goes_on(run, rung)]:
                del self.waiting[run]
                self.train(run, rung + 1)
                return True
        return False

    def run(self, order):
        for run in order:
            self.train(run)
            while self.promote():
                pass
        while not self.finished:
            run = max(self.waiting, key=lambda run: (self.waiting[run], self.standings[self.waiting[run]][run]))
            self.train(run, self.waiting.pop(run) + 1)
        return max(self.finished.values())


def replays(genair, full):
    """What orders of the full sweep's runs would have come to: the plan's and then random ones.

    Each is (best, time, finished runs, epochs), the first two as parts of the full sweep's.
    """
    prune = tomllib.loads(SPEC.read_text())["prune"]
    curves = {}
    for row in query(genair, full, CURVES):
        curves.setdefault(row["run_id"], []).append(row)
    best = max(row["valid"] for curve in curves.values() for row in curve)
    total = sum(curve[0]["cpu_seconds"] for curve in curves.values())
    orders = [sorted(curves)]
    orders += [random.Random(seed).sample(orders[0], len(curves)) for seed in range(ORDERS)]
    for order in orders:
        search = Search(curves, prune["grace"], prune["reduction"])
        found = search.run(order)
        seconds = sum(search.epochs[run] / len(curve) * curve[0]["cpu_seconds"] for run, curve in curves.items())
        yield found / best, seconds / total, len(search.finished), sum(search.epochs.values())


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("genair", type=pathlib.Path, help="the binary")
    arguments.add_argument("-j", "--jobs", type=int, default=1, help="runs at once")
    arguments.add_argument("--search-seed", type=int, help="other 32 points than those of the spec")
    arguments.add_argument(
        "--reuse-full", action="store_true", help="take the sweep without pruning from results/, of an earlier time"
    )
    given = arguments.parse_args()
    genair = given.genair.resolve()
    if not (ROOT / "data" / "ml-100k").exists():
        subprocess.run([genair, "data", "fetch", "ml-100k"], check=True, cwd=ROOT, stdout=sys.stderr)
    seed = given.search_seed
    if seed is None:
        seed = tomllib.loads(SPEC.read_text())["search"]["seed"]
    databases = {name: ROOT / "results" / f"asha-{name}-{seed}.db" for name in ("full", "pruned")}
    points = f"search.seed={seed}"
    measured = databases["full"].with_suffix(".json")
    if not given.reuse_full:
        measured.write_text(json.dumps(sweep(genair, databases["full"], given.jobs, [points, "prune.kind=none"])))
    both = {
        "full": json.loads(measured.read_text()),
        "asha": sweep(genair, databases["pruned"], given.jobs, [points]),
    }
    for name, row in both.items():
        print(
            f"{name}: best validation NDCG@10 {row['best']:.4f} ({row['variant']}), {row['finished']} runs finished, "
            f"{row['pruned']} pruned, {row['epochs']} epochs, {row['cpu_seconds']:.0f} CPU-s, "
            f"{row['wall_seconds']:.0f} s"
        )
    best = both["asha"]["best"] / both["full"]["best"]
    times = {key: both["asha"][key] / both["full"][key] for key in ("cpu_seconds", "wall_seconds")}
    print(
        f"asha / full: best {best:.4f} (target at least 0.99), CPU time {times['cpu_seconds']:.3f} "
        f"(target at most 0.333), wall time {times['wall_seconds']:.3f}"
    )
    planned, *orders = replays(genair, databases["full"])
    if given.jobs == 1:
        came_to = both["asha"]["finished"], both["asha"]["epochs"]
        agrees = planned[2:] == came_to and abs(planned[0] - best) < 1e-12
        print(f"the full sweep's curves, replayed in the same order: {'the same' if agrees else 'NOT the same'}")
    hits = sum(found >= 0.99 for found, *_ in orders) / ORDERS
    met = sum(found >= 0.99 and seconds <= 1 / 3 for found, seconds, *_ in orders) / ORDERS
    mean = [sum(column) / ORDERS for column in zip(*orders)]
    print(
        f"the same runs in {ORDERS} random orders: best {mean[0]:.4f} on average, at least 0.99 in {hits:.0%}, "
        f"CPU time {mean[1]:.3f}; both targets met in {met:.0%}"
    )
    return 0 if best >= 0.99 and times["cpu_seconds"] <= 1 / 3 else 1


if __name__ == "__main__":
    sys.exit(main())
