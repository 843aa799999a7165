"""Makes tests/fixtures/baselines.json: what the built-in backbones must score, by other programs.

    pip install rectools==0.19.0 implicit==0.7.3 numpy scipy pandas
    python tests/oracles/baselines/make.py tests/fixtures/baselines.json

Popularity is RecTools', item kNN is implicit's, session kNN is the algorithm of session-rec's VSKNN (weighting and
weighting_score "div") written anew in loops, content kNN is NumPy. Sequences have repeated items. Programs break ties by
rules of their own, so the seed is the first one by which no item and no user has equally near ones at the cut.
"""

import json
import sys

import numpy as np
import pandas as pd
from implicit.nearest_neighbours import CosineRecommender
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import PopularModel
from scipy.sparse import csr_matrix

USERS, ITEMS, NEIGHBOURS = 40, 30, 7


class Tie(Exception):
    pass


def refuse_tie(similarities):
    kept = sorted((value for value in similarities if value > 0), reverse=True)
    if len(kept) > NEIGHBOURS and kept[NEIGHBOURS - 1] - kept[NEIGHBOURS] < 1e-9:
        raise Tie


def sequences(rng):
    popularity = 1.0 / np.arange(1, ITEMS + 1) ** 0.7
    drawn = [
        rng.choice(ITEMS, size=rng.integers(12, 30), p=popularity / popularity.sum()).tolist() for _ in range(USERS)
    ]
    # Each item occurs in training, so that every catalogue has all of them.
    for item in range(ITEMS):
        drawn[item % USERS].insert(0, item)
    return drawn


def counts_of(train):
    table = np.zeros((USERS, ITEMS))
    for user, items in enumerate(train):
        for item in items:
            table[user, item] += 1
    return table


def popularity(train):
    frame = pd.DataFrame(
        [(user, item, 1, "2020-01-01") for user, items in enumerate(train) for item in items],
        columns=[Columns.User, Columns.Item, Columns.Weight, Columns.Datetime],
    )
    model = PopularModel(popularity="n_interactions").fit(Dataset.construct(frame))
    listed = model.recommend(users=[0], dataset=Dataset.construct(frame), k=ITEMS, filter_viewed=False)
    return listed.sort_values(Columns.Item)[Columns.Score].astype(float).tolist()


def item_knn(train, histories):
    table = counts_of(train)
    length = np.linalg.norm(table, axis=0)
    for item, row in enumerate(table.T @ table / np.outer(length, length)):
        refuse_tie(np.delete(row, item))
    # implicit counts an item among its own nearest.
    model = CosineRecommender(K=NEIGHBOURS + 1, num_threads=1)
    model.fit(csr_matrix(table), show_progress=False)
    similarity = model.similarity.toarray()
    assert np.allclose(np.diag(similarity), 1.0)
    np.fill_diagonal(similarity, 0.0)
    return (counts_of(histories) @ similarity).tolist()


def session_knn(train, histories):
    scores = np.zeros((USERS, ITEMS))
    for user, history in enumerate(histories):
        weights = {}
        for place, item in enumerate(history, 1):
            weights[item] = place / len(history)
        neighbours = []
        for other, items in enumerate(train):
            shared = set(items) & set(history)
            if other != user and shared:
                neighbours.append((other, sum(weights[item] for item in shared) / len(weights)))
        refuse_tie([similarity for _, similarity in neighbours])
        neighbours.sort(key=lambda own: -own[1])
        for other, similarity in neighbours[:NEIGHBOURS]:
            items = set(train[other])
            decay = 0.0
            for step, item in enumerate(reversed(history), 1):
                if item in items:
                    decay = 1.0 / step
                    break
            for item in items:
                scores[user, item] += similarity * decay
    return scores.tolist()


def content_knn(vectors, histories):
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(length, 1e-12)
    result = {"last": [], "mean": [], "max": []}
    for history in histories:
        own = unit[history]
        mean = own.mean(axis=0)
        result["last"].append((unit @ own[-1]).tolist())
        result["mean"].append((unit @ (mean / np.linalg.norm(mean))).tolist())
        result["max"].append((unit @ own.T).max(axis=1).tolist())
    return result


def fixture(seed):
    rng = np.random.default_rng(seed)
    whole = sequences(rng)
    train = [items[:-2] for items in whole]
    histories = [items[:-1] for items in whole]
    vectors = rng.normal(size=(ITEMS, 5)).round(3)
    vectors[4] = 0.0
    return {
        "sequences": whole,
        "vectors": vectors.tolist(),
        "neighbours": NEIGHBOURS,
        "popularity": popularity(train),
        "item_knn": item_knn(train, histories),
        "session_knn": session_knn(train, histories),
        "content_knn": content_knn(vectors, histories),
    }


def main(path):
    for seed in range(1000):
        try:
            made = fixture(seed)
        except Tie:
            continue
        print("seed", seed)
        with open(path, "w") as file:
            file.write(json.dumps(json.loads(json.dumps(made), parse_float=lambda x: round(float(x), 9))) + "\n")
        return
    sys.exit("every seed has ties")


main(sys.argv[1])
