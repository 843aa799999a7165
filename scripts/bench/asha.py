#!/usr/bin/env python3
"""Runs experiments/asha_ml100k.toml with and without pruning and compares best validation and time.

    scripts/bench/asha.py target/release/genair [-j N]

Both sweeps start from nothing, in results/asha-full.db and results/asha-pruned.db. Processor seconds are those of
`genair` and all its workers, so other programs disturb them little. Exits with 1 if pruning misses its target: within
1 % of the best validation NDCG@10, in at most a third of the processor time.
"""

import argparse
import json
import pathlib
import resource
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPEC = ROOT / "experiments" / "asha_ml100k.toml"
BEST = """
    SELECT max(valid) AS best, sweep_runs.variant AS variant,
        (SELECT count(*) FROM epochs) AS epochs,
        (SELECT count(*) FROM runs WHERE state = 'finished') AS finished,
        (SELECT count(*) FROM runs WHERE state = 'pruned') AS pruned
    FROM epochs JOIN runs USING (run_id) JOIN sweep_runs USING (run_id) WHERE state = 'finished'
"""


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
    command = [genair, "results", "sql", BEST, "--db", database, "--format", "json"]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return took | dict(zip(answer["columns"], answer["rows"][0]))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("genair", type=pathlib.Path, help="the binary")
    arguments.add_argument("-j", "--jobs", type=int, default=1, help="runs at once")
    given = arguments.parse_args()
    genair = given.genair.resolve()
    if not (ROOT / "data" / "ml-100k").exists():
        subprocess.run([genair, "data", "fetch", "ml-100k"], check=True, cwd=ROOT, stdout=sys.stderr)
    both = {
        "full": sweep(genair, "full", given.jobs, "none"),
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
    return 0 if best >= 0.99 and times["cpu_seconds"] <= 1 / 3 else 1


if __name__ == "__main__":
    sys.exit(main())
