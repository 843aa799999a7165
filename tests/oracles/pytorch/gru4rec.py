"""A GRU4Rec checkpoint in PyTorch: the recipe of docs/recipes.md, and what it is tested with.

    gru4rec.py compare CHECKPOINT DATABASE RUN LISTS.json   LISTS.json: `genair recommend RUN --history ... --format json`
    gru4rec.py fixture CHECKPOINT SCORES.json               scores of all items for two histories, for a test in Rust

The histories are those of `HISTORIES`, by number.
"""

import json
import sqlite3
import sys

import torch
from safetensors.torch import load_file

HISTORIES = [[3], [5, 2, 9, 2]]


def scores_of(path, history):
    """Scores of all items, by number from 1, for a history of numbers."""
    weights = load_file(path)
    items = weights["items.table"]  # a row for each item; row 0 is padding
    gru = torch.nn.GRU(items.shape[1], items.shape[1], bias=False, batch_first=True)
    gru.load_state_dict(
        {
            "weight_ih_l0": weights["backbone.layers.0.input_weight"],
            "weight_hh_l0": weights["backbone.layers.0.hidden_weight"],
        }
    )
    with torch.no_grad():
        states, _ = gru(items[history][None])
        return items @ states[0, -1]


def main(command, path, *more):
    if command == "fixture":
        scores = [scores_of(path, history)[1:].tolist() for history in HISTORIES]
        with open(more[0], "w") as file:
            file.write(json.dumps({"histories": HISTORIES, "scores": scores}) + "\n")
        return
    database, run, lists = more
    rows = sqlite3.connect(database).execute("SELECT item_id, item FROM run_items WHERE run_id = ?", (run,))
    number = dict(rows.fetchall())
    compared = 0
    for history, file in zip(HISTORIES, lists.split(",")):
        scores = scores_of(path, history)
        for item in json.load(open(file))[0]["items"]:
            own = scores[number[item["item_id"]]].item()
            assert abs(own - item["score"]) < 1e-5 * max(1.0, abs(own)), (item, own)
            compared += 1
    print(f"PyTorch computes the {compared} scores of run {run}")


main(*sys.argv[1:])
