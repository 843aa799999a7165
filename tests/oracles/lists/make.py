"""Makes tests/fixtures/lists.json: coverage, novelty and intra-list similarity of lists by RecTools, the Gini coefficient
as RecBole has it (GiniIndex), and tail share, in loops.

    pip install rectools==0.19.0 numpy pandas
    python tests/oracles/lists/make.py tests/fixtures/lists.json
"""

import json
import sys

import numpy as np
import pandas as pd
from rectools import Columns
from rectools.metrics import CatalogCoverage, IntraListDiversity, MeanInvUserFreq
from rectools.metrics.distances import PairwiseDistanceCalculator

USERS, ITEMS, LENGTH, HEAD = 25, 18, 6, 9


class Cosine(PairwiseDistanceCalculator):
    def __init__(self, unit):
        self.unit = unit

    def _get_distances_for_item_pairs(self, items_0, items_1):
        first, second = self.unit[np.asarray(items_0) - 1], self.unit[np.asarray(items_1) - 1]
        return 1.0 - (first * second).sum(axis=1)


def gini(exposure):
    exposure = np.sort(exposure)
    index = np.arange(1, len(exposure) + 1)
    return float(((2 * index - len(exposure) - 1) * exposure).sum() / (len(exposure) * exposure.sum()))


def main(path):
    rng = np.random.default_rng(5)
    weights = 1.0 / np.arange(1, ITEMS)
    # The last item is in no training sequence.
    seen = [(user, 1 + item) for user in range(USERS) for item in rng.choice(ITEMS - 1, 7, replace=False, p=weights / weights.sum())]
    history = pd.DataFrame(seen, columns=[Columns.User, Columns.Item])
    lists = [(1 + rng.choice(ITEMS, LENGTH, replace=False, p=np.append(weights, 0.2) / (weights.sum() + 0.2))).tolist() for _ in range(USERS)]
    rows = [(user, item, rank) for user, own in enumerate(lists) for rank, item in enumerate(own, 1)]
    reco = pd.DataFrame(rows, columns=[Columns.User, Columns.Item, Columns.Rank])
    vectors = rng.normal(size=(ITEMS, 4))
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).round(6)
    popularity = [int((history[Columns.Item] == item).sum()) for item in range(1, ITEMS + 1)]
    expected = {}
    for k in (1, 3, LENGTH):
        shown = [item for own in lists for item in own[:k]]
        measured = {
            "coverage": CatalogCoverage(k, normalize=True).calc(reco, range(1, ITEMS + 1)),
            "gini": gini(np.bincount(shown, minlength=ITEMS + 1)[1:]),
            "novelty": MeanInvUserFreq(k).calc(reco, history),
            "tail-share": sum(popularity[item - 1] < HEAD for item in shown) / len(shown),
        }
        if k > 1:
            diversity = IntraListDiversity(k, Cosine(unit)).calc(reco)
            measured["intra-list-similarity"] = 1.0 - diversity
        expected[k] = {name: float(value) for name, value in measured.items()}
    fixture = {
        "users": USERS,
        "head_item": HEAD,
        "popularity": popularity,
        "unit": unit.tolist(),
        "lists": lists,
        "expected": expected,
    }
    with open(path, "w") as file:
        file.write(json.dumps(fixture) + "\n")


main(sys.argv[1])
