#!/usr/bin/env bash
# Lists of small runs by the real ranx and RecTools, and a checkpoint in the real PyTorch, against the database.
#
# test-lists.sh GENAIR: GENAIR is the built command. The packages come from PyPI into .tools/lists.

set -euo pipefail
cd "$(dirname "$0")/.."
genair="$(realpath "$1")"

venv=.tools/lists
if [ ! -d "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check ranx==0.3.21 rectools==0.19.0 pandas pyarrow safetensors torch
    mkdir "$venv/ready"
fi

lab="$(mktemp -d)"
trap 'rm -rf "$lab"' EXIT
cat > "$lab/s.toml" <<'SPEC'
[sweep]
name = "lists"
backbone = ["gru4rec", "sasrec"]

[dataset.tiny]
kind = "synthetic"
users = 200
catalogue = 80
audiences = 3

[train.stop]
max_epochs = 5

[eval]
protocols = ["full", "full-with-history"]
SPEC
export GENAIR_CACHE="$lab/cache" GENAIR_DEVICE=cpu GENAIR_DB="$lab/genair.db"
"$genair" --quiet sweep "$lab/s.toml"
for run in 1 2; do
    for protocol in full full-with-history; do
        flags=()
        [ $protocol = full ] || flags=(--with-history)
        "$genair" --quiet export recommendations $run "${flags[@]}" --out "$lab/lists.parquet" --targets "$lab/targets.parquet"
        "$venv/bin/python" tests/oracles/lists/evaluate.py "$GENAIR_DB" $run "$lab/lists.parquet" "$lab/targets.parquet" $protocol
    done
done
ids() { "$genair" results sql --format csv "SELECT item_id FROM run_items, json_each('[$1]') WHERE run_id = 1 AND item = value ORDER BY key" | tail -n +2 | paste -sd,; }
for history in 3 5,2,9,2; do
    "$genair" recommend 1 --history "$(ids $history)" --k 80 --with-history --format json > "$lab/${history//,/-}.json"
done
checkpoint="$("$genair" results sql --format csv "SELECT path FROM artefacts WHERE run_id = 1" | tail -n 1)"
"$venv/bin/python" tests/oracles/pytorch/gru4rec.py compare "$checkpoint" "$GENAIR_DB" 1 "$lab/3.json,$lab/5-2-9-2.json"
