#!/usr/bin/env python3
"""Numbers that genair-report's statistics must reproduce, from SciPy and statsmodels.

    pip install scipy==1.17.1 statsmodels==0.15.0
    tests/oracles/statistics/make.py > tests/oracles/statistics/statistics.json
"""

import json
import sys

import numpy as np
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.multitest import multipletests

random = np.random.default_rng(7)


def summary(values):
    values = np.array(values)
    case = {"values": values.tolist(), "mean": values.mean()}
    if len(values) > 1:
        case["std"] = values.std(ddof=1)
        case["interval"] = list(
            stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
        )
    return case


def ndcg(ranks, k):
    ranks = np.array(ranks)
    return np.where(ranks < k, 1 / np.log2(ranks + 2), 0.0)


def paired(ranks_a, ranks_b, k):
    """Each of `ranks_*` holds one list of ranks per seed."""
    a = np.mean([ndcg(ranks, k) for ranks in ranks_a], axis=0)
    b = np.mean([ndcg(ranks, k) for ranks in ranks_b], axis=0)
    test = stats.ttest_rel(a, b)
    interval = test.confidence_interval(0.95)
    resampled = stats.bootstrap(
        (a - b,), np.mean, n_resamples=200_000, method="percentile", batch=1000, rng=random
    )
    return {
        "ranks_a": [list(map(int, ranks)) for ranks in ranks_a],
        "ranks_b": [list(map(int, ranks)) for ranks in ranks_b],
        "k": k,
        "mean_difference": np.mean(a - b),
        "t": test.statistic,
        "p": test.pvalue,
        "interval": [interval.low, interval.high],
        "effect_size": np.mean(a - b) / np.std(a - b, ddof=1),
        "bootstrap_interval": list(resampled.confidence_interval),
        "bootstrap_standard_error": resampled.standard_error,
    }


def ranks(users, scale):
    return np.floor(random.exponential(scale, users)).astype(int)


def correlated(base, scale, share):
    """The ranks of another model, alike for `1 - share` of the users."""
    other = ranks(len(base), scale)
    return np.where(random.random(len(base)) < share, other, base)


base = ranks(400, 40)
weak = ranks(400, 60)
cases = {
    "made_with": f"numpy {np.__version__}, scipy {scipy.__version__}, statsmodels {statsmodels.__version__}",
    "summaries": [
        summary([0.0641, 0.0633, 0.0652]),
        summary([0.1, 0.3]),
        summary([0.25]),
        summary((random.random(20) / 10).tolist()),
    ],
    "paired": [
        paired([correlated(base, 30, 0.3)], [base], 10),
        paired(
            [correlated(base, 25, 0.4) for _ in range(3)],
            [correlated(base, 40, 0.2) for _ in range(3)],
            20,
        ),
        # Far apart: a p value that 1 - cdf could not give.
        paired([ranks(400, 4)], [weak], 10),
        paired([ranks(12, 8)], [ranks(12, 8)], 5),
    ],
    "holm": [
        {"p": p, "adjusted": multipletests(p, method="holm")[1].tolist()}
        for p in (
            [0.01, 0.04, 0.03, 0.005],
            [0.9],
            [0.02, 0.02, 0.5, 0.6, 1e-9],
            random.random(12).tolist(),
        )
    ],
}
json.dump(cases, sys.stdout, separators=(",", ":"))
print()
