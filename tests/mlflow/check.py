#!/usr/bin/env python3
"""Reads what `genair export mlflow` wrote with the real MLflow, and compares it with the database.

check.py GENAIR FOLDER: FOLDER holds genair.db and mlruns. Both ways of an MLflow user are taken: the
files themselves, and the database that `mlflow migrate-filestore` makes of them.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # In maintenance mode since MLflow 3.7: reads, if asked to.

import mlflow
from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient

genair, folder = sys.argv[1], Path(sys.argv[2])


def rows(sql):
    result = subprocess.run(
        [genair, "results", "sql", sql, "--db", folder / "genair.db", "--format", "json"],
        check=True, capture_output=True, text=True,
    )
    result = json.loads(result.stdout)
    return [dict(zip(result["columns"], row)) for row in result["rows"]]


STATES = {"finished": "FINISHED", "failed": "FAILED", "pruned": "KILLED", "running": "RUNNING"}


def check(client):
    experiments = {of.name: of for of in client.search_experiments(view_type=ViewType.ACTIVE_ONLY)}
    sweeps = [row["name"] for row in rows("SELECT name FROM sweeps")]
    assert set(sweeps) <= set(experiments), (sweeps, list(experiments))
    seen = 0
    for sweep in sweeps:
        runs = client.search_runs([experiments[sweep].experiment_id], max_results=5000)
        by_number = {int(run.data.tags["genair.run_id"]): run for run in runs}
        quoted = sweep.replace("'", "''")
        expected = rows(f"""
            SELECT run_id, state, spec, seed, variant, code_revision, failure_message, best_epoch
            FROM sweep_runs JOIN sweeps USING (sweep_id) JOIN runs USING (run_id)
            WHERE name = '{quoted}' AND NOT superseded AND state <> 'pending'""")
        assert set(by_number) == {row["run_id"] for row in expected}
        for row in expected:
            run = by_number[row["run_id"]]
            assert run.info.status == STATES[row["state"]], run.info.status
            assert run.info.start_time and run.info.end_time >= run.info.start_time
            assert run.data.params["seed"] == str(row["seed"])
            lr = json.loads(row["spec"])["train"]["optimizer"]["lr"]
            assert float(run.data.params["train.optimizer.lr"]) == lr
            assert run.data.tags["genair.variant"] == row["variant"]
            assert f"seed={row['seed']}" in run.info.run_name
            if row["state"] == "failed":
                assert run.data.tags["mlflow.note.content"] == row["failure_message"]
            for metric in rows(f"SELECT * FROM metrics WHERE run_id = {row['run_id']} AND epoch IS NULL"):
                name = "result/{split}/{protocol}/{cohort}/{metric}_at_{k}".format(**metric)
                [found] = client.get_metric_history(run.info.run_id, name)
                assert found.value == metric["value"] and found.step == row["best_epoch"], (name, found)
            epochs = rows(f"SELECT epoch, loss, valid FROM epochs WHERE run_id = {row['run_id']} ORDER BY epoch")
            for name, metric in (("loss", "train/loss"), ("valid", "valid/ndcg_at_10")):
                history = client.get_metric_history(run.info.run_id, metric) if epochs else []
                history = {of.step: of.value for of in history}
                wanted = {of["epoch"]: of[name] for of in epochs if of[name] is not None}
                assert history.keys() == wanted.keys(), (name, history, wanted)
                for step, value in wanted.items():
                    # An infinite number leaves the database as text.
                    value = float(value)
                    limit = math.isinf(value) and abs(history[step]) > 1e308
                    assert limit or history[step] == value, (name, step, history[step], value)
            seen += 1
    return seen


files = check(MlflowClient(tracking_uri=(folder / "mlruns").absolute().as_uri()))
database = f"sqlite:///{folder.absolute()}/mlflow.db"
subprocess.run(
    [Path(sys.executable).parent / "mlflow", "migrate-filestore", "--source", folder / "mlruns", "--target", database,
     "--no-progress"],
    check=True, stdout=subprocess.DEVNULL,
)
migrated = check(MlflowClient(tracking_uri=database))
assert files == migrated and files > 0
print(f"mlflow {mlflow.__version__}: {files} runs as files, {migrated} in the migrated database")
