"""Principal components by NumPy's SVD, for src/pca.rs: `python3 oracle.py > oracle.json`.

Needs numpy alone. The matrix is the test's own, number for number.
"""
import json

import numpy as np

M = (1 << 64) - 1


def noise(index):
    z = (index + 1) * 0x9E3779B97F4A7C15 & M
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & M
    z = (z ^ z >> 27) * 0x94D049BB133111EB & M
    return ((z ^ z >> 31) >> 56) - 127.5


def matrix(rows, width):
    u = np.array([[noise(1_000_000 + 7 * i + k) for k in range(6)] for i in range(rows)])
    v = np.array([[noise(2_000_000 + 7 * j + k) for k in range(6)] for j in range(width)])
    base = np.array([[noise(i * width + j) for j in range(width)] for i in range(rows)])
    x = base * 64.0 + (u * np.arange(6, 0, -1)) @ v.T
    return x.astype(np.float32) / np.float32(1024) + np.float32(3)


def oracle(rows, width):
    x = matrix(rows, width)
    assert x.dtype == np.float32
    x = x.astype(np.float64)
    x -= x.mean(axis=0)
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    sign = np.sign(vt[np.arange(len(vt)), np.abs(vt).argmax(axis=1)])
    scores = u * s * sign
    variance = s**2 / (rows - 1)
    return {
        "rows": rows,
        "width": width,
        "explained_variance": variance[:24].tolist(),
        "ratio": (variance / variance.sum())[:24].tolist(),
        "first_rows": scores[:4, :6].tolist(),
    }


print(json.dumps([oracle(150, 576), oracle(700, 130)], indent=1))
