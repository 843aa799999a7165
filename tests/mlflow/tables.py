#!/usr/bin/env python3
"""Reads exported Parquet and CSV files with pyarrow and pandas, and compares them with the database.

tables.py GENAIR FOLDER: FOLDER holds genair.db, parquet/, csv/ and ranks.parquet.
"""

import json
import subprocess
import sys
from pathlib import Path

import pandas
import pyarrow.parquet

genair, folder = sys.argv[1], Path(sys.argv[2])


def rows(sql):
    result = subprocess.run(
        [genair, "results", "sql", sql, "--db", folder / "genair.db", "--format", "json"],
        check=True, capture_output=True, text=True,
    )
    result = json.loads(result.stdout)
    return result["columns"], result["rows"]


files = sorted((folder / "parquet").glob("*.parquet"))
for file in files:
    columns, expected = rows(f"SELECT * FROM {file.stem}")
    table = pyarrow.parquet.read_table(file)
    assert table.column_names == columns, file
    found = [list(row.values()) for row in table.to_pylist()]
    # An infinite number leaves the database as text.
    number = lambda value: float(value) if value in ("inf", "-inf") else value
    assert found == [[number(value) for value in row] for row in expected], file
    frame = pandas.read_csv(folder / "csv" / f"{file.stem}.csv", keep_default_na=False, dtype=str)
    assert list(frame.columns) == columns and len(frame) == len(expected), file
assert {"runs", "metrics", "epochs", "ranks"} <= {file.stem for file in files}

ranks = pandas.read_parquet(folder / "ranks.parquet")
_, [[users]] = rows("SELECT count(*) FROM ranks WHERE split = 'test' AND protocol = 'full'")
assert len(ranks) == users and ranks["rank"].min() >= 0 and ranks["user"].min() == 1
print(f"pyarrow {pyarrow.__version__}, pandas {pandas.__version__}: {len(files)} tables and {users} ranks are the same")
