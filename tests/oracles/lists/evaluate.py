"""Compares a run's metrics with what ranx and RecTools compute of its exported lists.

    evaluate.py DATABASE RUN LISTS.parquet TARGETS.parquet PROTOCOL

`scripts/test-lists.sh` exports the lists and calls this; docs/recipes.md has the part with ranx.
"""

import math
import sqlite3
import sys

import pandas as pd
from ranx import Qrels, Run, evaluate
from rectools import Columns
from rectools.metrics import MRR, NDCG, HitRate, calc_metrics

database, run, lists, targets, protocol = sys.argv[1:]
lists, targets = pd.read_parquet(lists), pd.read_parquet(targets)
stored = {
    f"{metric}@{k}": value
    for metric, k, value in sqlite3.connect(database).execute(
        """SELECT metric, k, value FROM metrics WHERE run_id = ? AND epoch IS NULL AND split = 'test'
           AND protocol = ? AND cohort = 'all'""",
        (run, protocol),
    )
}

targets["relevance"] = 1
qrels = Qrels.from_df(targets, q_id_col="user_id", doc_id_col="item_id", score_col="relevance")
ranked = Run.from_df(lists, q_id_col="user_id", doc_id_col="item_id", score_col="score")
by_ranx = evaluate(qrels, ranked, ["hit_rate@10", "ndcg@10", "mrr@10"], make_comparable=True)

names = {"user_id": Columns.User, "item_id": Columns.Item}
lists = lists.rename(columns=names)
lists[Columns.Rank] = lists.pop("rank") + 1  # theirs is from 1
# With one target, the ideal gain is 1: RecTools divides by that of k targets.
ideal = sum(1 / math.log2(rank + 1) for rank in range(1, 11))
by_rectools = calc_metrics(
    {"hr": HitRate(10), "ndcg": NDCG(10), "mrr": MRR(10)}, reco=lists, interactions=targets.rename(columns=names)
)
found = {
    "ranx hr@10": by_ranx["hit_rate@10"],
    "ranx ndcg@10": by_ranx["ndcg@10"],
    "ranx mrr@10": by_ranx["mrr@10"],
    "RecTools hr@10": by_rectools["hr"],
    "RecTools ndcg@10": by_rectools["ndcg"] * ideal,
    "RecTools mrr@10": by_rectools["mrr"],
}
for name, value in found.items():
    own = stored[name.split()[1]]
    assert abs(value - own) < 1e-9, (name, value, own)
print(f"run {run}, {protocol}: ranx and RecTools compute the stored metrics from {len(lists)} rows")
