#!/usr/bin/env python3
"""Runs experiments/asha_ml100k.toml with and without pruning and compares best validation and time.

    scripts/bench/asha.py target/release/genair [-j N] [--reuse-full]

Both sweeps start from nothing, in results/asha-full.db and results/asha-pruned.db. Processor seconds are those of
`genair` and all its workers, so other programs disturb them little. Exits with 1 if pruning misses its target: within
1 % of the best validation NDCG@10, in at most a third of the processor time.

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


def sweep(genair, name, jobs, prune):
    """Runs the spec from nothing and says what it came to."""
    database = ROOT / "results" / f"asha-{name}.db"
    for path in database.parent.glob(f"asha-{name}.db*"):
        path.unlink()
    shutil.rmtree(database.with_name(f"asha-{name}-artefacts"), ignore_errors=True)
    begin, cpu = time.monotonic(), processor_seconds()
    command = [genair, "sweep", SPEC, "--db", database, "-j", str(jobs), "--set", f"prune.kind={prune}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    took = {"wall_seconds": time.monotonic() - begin, "cpu_seconds": processor_seconds() - cpu}
    return took | query(genair, database, BEST)[0]


def query(genair, database, sql):
    """Rows of a database, by column."""
    command = [genair, "results", "sql", sql, "--db", database, "--format", "json"]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return [dict(zip(answer["columns"], row)) for row in answer["rows"]]


def replay(curves, order, grace, reduction):
    """The best validation and the processor seconds of a search that meets `curves` in this order."""
    reached, best, seconds = {}, 0.0, 0.0
    for run in order:
        so_far = 0.0
        for number, epoch in enumerate(curves[run], start=1):
            so_far = max(so_far, epoch["valid"])
            rung = grace
            while rung < number:
                rung *= reduction
            if rung == number:
                others = reached.setdefault(rung, [])
                others.append(so_far)
                if so_far < sorted(others, reverse=True)[max(1, len(others) // reduction) - 1]:
                    break
        else:
            best = max(best, so_far)
        seconds += epoch["cpu_seconds"] * number / len(curves[run])
    return best, seconds


def luck(genair):
    """What random orders of the full sweep's runs would have come to: (best, time) as parts of the full sweep's."""
    prune = tomllib.loads(SPEC.read_text())["prune"]
    curves = {}
    for row in query(genair, ROOT / "results" / "asha-full.db", CURVES):
        curves.setdefault(row["run_id"], []).append(row)
    best = max(row["valid"] for curve in curves.values() for row in curve)
    total = sum(curve[0]["cpu_seconds"] for curve in curves.values())
    for seed in range(ORDERS):
        order = random.Random(seed).sample(sorted(curves), len(curves))
        found, seconds = replay(curves, order, prune["grace"], prune["reduction"])
        yield found / best, seconds / total


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("genair", type=pathlib.Path, help="the binary")
    arguments.add_argument("-j", "--jobs", type=int, default=1, help="runs at once")
    arguments.add_argument(
        "--reuse-full", action="store_true", help="take the sweep without pruning from results/, of an earlier time"
    )
    given = arguments.parse_args()
    genair = given.genair.resolve()
    if not (ROOT / "data" / "ml-100k").exists():
        subprocess.run([genair, "data", "fetch", "ml-100k"], check=True, cwd=ROOT, stdout=sys.stderr)
    measured = ROOT / "results" / "asha-full.json"
    if not given.reuse_full:
        measured.write_text(json.dumps(sweep(genair, "full", given.jobs, "none")))
    both = {
        "full": json.loads(measured.read_text()),
        "asha": sweep(genair, "pruned", given.jobs, "asha"),
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
    orders = list(luck(genair))
    hits = sum(found >= 0.99 for found, _ in orders) / ORDERS
    met = sum(found >= 0.99 and seconds <= 1 / 3 for found, seconds in orders) / ORDERS
    mean = [sum(column) / ORDERS for column in zip(*orders)]
    print(
        f"the same runs in {ORDERS} random orders: best {mean[0]:.4f} on average, at least 0.99 in {hits:.0%}, "
        f"CPU time {mean[1]:.3f}; both targets met in {met:.0%}"
    )
    return 0 if best >= 0.99 and times["cpu_seconds"] <= 1 / 3 else 1


if __name__ == "__main__":
    sys.exit(main())
