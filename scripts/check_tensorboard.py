"""Compares event files with the database they are from, as the tensorboard package reads them.

check_tensorboard.py DATABASE FOLDER
"""

import pathlib
import sqlite3
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def float32(value):
    """The nearest 32-bit number, which is what an event holds."""
    return struct.unpack("f", struct.pack("f", value))[0]


database = sqlite3.connect(sys.argv[1])
folders = sorted(path for path in pathlib.Path(sys.argv[2]).glob("*/*") if path.is_dir())
runs = database.execute("SELECT run_id, json_extract(spec, '$.train.stop.metric'), best_epoch FROM runs ORDER BY 1").fetchall()
assert len(folders) == len(runs) > 0, (folders, runs)
values = 0
for folder, (run, metric, best_epoch) in zip(folders, runs):
    assert folder.name.startswith(f"{run:05}-"), (folder, run)
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    scalars = {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in events.Tags()["scalars"]}
    expected = {}
    for epoch, loss, calibration, valid in database.execute(
        "SELECT epoch, loss, calibration, valid FROM epochs WHERE run_id = ?", (run,)
    ):
        for tag, value in [("train/loss", loss), ("train/calibration", calibration), (f"valid/{metric}", valid)]:
            if value is not None:
                expected.setdefault(tag, {})[epoch] = float32(value)
    for epoch, split, protocol, cohort, name, k, value in database.execute(
        "SELECT epoch, split, protocol, cohort, metric, k, value FROM metrics WHERE run_id = ?", (run,)
    ):
        tag = f"{split}/{protocol}/{cohort}/{name}@{k}"
        tag, step = (f"result/{tag}", best_epoch) if epoch is None else (tag, epoch)
        expected.setdefault(tag, {})[step] = float32(value)
    for epoch, name, value in database.execute("SELECT epoch, name, value FROM diagnostics WHERE run_id = ?", (run,)):
        expected.setdefault(f"item space/{name}", {})[epoch] = float32(value)
    assert scalars == expected, (folder, set(scalars) ^ set(expected))
    values += sum(len(steps) for steps in expected.values())
print(f"tensorboard reads {values} values of {len(runs)} runs as they are in the database")
