#!/usr/bin/env python3
"""Reads, filters (iterative 5-core) and splits 10^7 interactions in CSV, with genair and with polars.

    reading.py GENAIR [--rows N]

Prints processor seconds and peak memory of each, as Markdown. Needs numpy and polars.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

PEER = """
import sys
import polars as pl
frame = pl.read_csv(sys.argv[1])
while True:
    rows = frame.height
    frame = frame.filter((pl.len().over("user_id") >= 5) & (pl.len().over("item_id") >= 5))
    if frame.height == rows:
        break
frame = frame.sort("user_id", "timestamp", maintain_order=True)
users = frame.group_by("user_id", maintain_order=True).agg(pl.col("item_id"))
users = users.filter(pl.col("item_id").list.len() >= 3).with_columns(
    train=pl.col("item_id").list.head(pl.col("item_id").list.len() - 2),
    valid=pl.col("item_id").list.get(-2), test=pl.col("item_id").list.get(-1),
)
print(users.height, frame["item_id"].n_unique(), frame.height)
"""

SPEC = """
[sweep]
name = "reading"
backbone = "popularity"
[dataset.log]
path = "."
k_core = { mode = "iterative", user = 5, item = 5 }
"""


def measured(command, **options):
    """Output, processor seconds and peak memory in bytes of a command."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed")
    return output, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("genair")
    parser.add_argument("--rows", type=int, default=10_000_000)
    arguments = parser.parse_args()
    import numpy
    import polars

    draws = numpy.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder, "interactions.csv")
        count = arguments.rows
        frame = polars.DataFrame({
            # A twentieth as many users as rows; popular items are met often, and many but once.
            "user_id": draws.zipf(1.3, count) % (count // 20),
            "item_id": draws.zipf(1.2, count) % (count // 30),
            "timestamp": draws.integers(1_000_000_000, 1_700_000_000, count),
        })
        frame.write_csv(log)
        pathlib.Path(folder, "s.toml").write_text(SPEC)
        genair = os.path.abspath(arguments.genair)
        rows = [
            ("genair", [genair, "data", "stats", "s.toml"]),
            (f"polars {polars.__version__}", [sys.executable, "-c", PEER, str(log)]),
        ]
        print(f"{count} rows, {log.stat().st_size / 2**20:.0f} MiB of CSV\n")
        print("| reader | CPU-s | peak memory, GiB |\n|---|---:|---:|")
        for name, command in rows:
            output, seconds, memory = measured(command, cwd=folder)
            print(f"| {name} | {seconds:.1f} | {memory / 2**30:.2f} |", flush=True)
            print(" ".join(output.split())[:300], file=sys.stderr)


if __name__ == "__main__":
    main()
