#!/usr/bin/env python3
"""Vectors of texts by genair-encoder, beside sentence-transformers on the same texts.

scripts/bench/encoder.py target/release/genair-encoder FOLDER [--rounds N] [--texts FILE] [--python PYTHON]

FOLDER has all-MiniLM-L6-v2, as `genair archetype model fetch minilm-l6-v2` leaves it. Texts are made up, or the lines of
FILE. Both have one thread, run in turn and are timed in processor seconds; of several rounds the cheapest counts. For
the worker, the seconds for one text are taken off, which are those of the start; for sentence-transformers, the model is
loaded and warm. A table in Markdown goes to standard output, with the smallest cosine of two vectors of a text.
"""

import argparse
import base64
import json
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import environment

COUNT = 512
WORDS = (6, 18, 48)  # About, for short titles, titles with genres, and descriptions.
VOCABULARY = """the of a quiet film about friends who walk along river and find old letters in summer house
city night music story drama comedy children train winter garden doctor king ship love war return
secret island dance teacher mountain robot ghost detective kitchen market portrait journey""".split()


def made_up(words: int) -> list[str]:
    """Texts of about so many words, the same in every run."""
    source = random.Random(words)
    texts = []
    for _ in range(COUNT):
        count = max(2, round(source.gauss(words, words / 4)))
        texts.append("title is " + " ".join(source.choice(VOCABULARY) for _ in range(count)))
    return texts


def quiet() -> dict:
    """An environment with one thread."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
    return os.environ | dict.fromkeys(names, "1") | {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def worker(binary: str, folder: str, texts: list[str]) -> tuple[float, list]:
    """Processor seconds of a worker for these texts, start included, and their vectors."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as request:
        json.dump({"model": folder, "task": "encode", "parallel": 16, "threads": 1}, request)
        request.flush()
        items = "".join(json.dumps({"key": str(n), "prompt": text}) + "\n" for n, text in enumerate(texts))
        before = children()
        told = subprocess.run(
            [binary, "run", request.name], input=items, capture_output=True, text=True, env=quiet(), check=True
        )
        seconds = children() - before
    vectors = [None] * len(texts)
    for line in told.stdout.splitlines():
        event = json.loads(line)
        if event["event"] == "record":
            data = base64.b64decode(event["context"])
            vectors[int(event["key"])] = struct.unpack(f"<{len(data) // 4}f", data)
    return seconds, vectors


def measure(folder: str) -> None:
    """In a process of its own: reads texts (JSON) and answers with seconds and vectors by sentence-transformers."""
    import time

    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    texts = json.load(sys.stdin)
    model = SentenceTransformer(folder, device="cpu")
    model.encode(texts[:32], show_progress_bar=False)
    begin = time.process_time()
    vectors = model.encode(texts, show_progress_bar=False)
    seconds = time.process_time() - begin
    json.dump({"seconds": seconds, "vectors": vectors.tolist()}, sys.stdout)


def main() -> None:
    if sys.argv[1] == "--measure":
        measure(sys.argv[2])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--python", help="an interpreter with sentence-transformers; default: one in .tools/")
    arguments = parser.parse_args()
    interpreter = arguments.python or environment.sentence_transformers()
    sets = {f"about {words} words": made_up(words) for words in WORDS}
    if arguments.texts:
        sets = {arguments.texts.name: arguments.texts.read_text().splitlines()}
    print("| Texts | genair-encoder, ms per text | sentence-transformers, ms per text | Ratio | Smallest cosine |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, texts in sets.items():
        own, peer = [], []
        for _ in range(arguments.rounds):
            start, _ = worker(arguments.binary, arguments.folder, texts[:1])
            seconds, vectors = worker(arguments.binary, arguments.folder, texts)
            own.append(seconds - start)
            told = subprocess.run(
                [interpreter, __file__, "--measure", arguments.folder],
                input=json.dumps(texts),
                capture_output=True,
                text=True,
                env=quiet(),
                check=True,
            )
            other = json.loads(told.stdout)
            peer.append(other["seconds"])
        cosines = [
            sum(a * b for a, b in zip(one, two)) for one, two in zip(vectors, other["vectors"], strict=True)
        ]
        own_ms, peer_ms = (1000 * min(seconds) / len(texts) for seconds in (own, peer))
        print(f"| {name} | {own_ms:.2f} | {peer_ms:.2f} | {own_ms / peer_ms:.2f} | {min(cosines):.6f} |", flush=True)


if __name__ == "__main__":
    main()
