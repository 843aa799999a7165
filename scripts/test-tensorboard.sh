#!/usr/bin/env bash
# Event files of a small sweep, read by the real tensorboard package, against the database they are from.
#
# test-tensorboard.sh GENAIR: GENAIR is the built command. The package comes from PyPI into .tools/tensorboard.

set -euo pipefail
cd "$(dirname "$0")/.."
genair="$(realpath "$1")"

venv=.tools/tensorboard
if [ ! -x "$venv/bin/tensorboard" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check tensorboard==2.20.0
fi

lab="$(mktemp -d)"
trap 'rm -rf "$lab"' EXIT
cat > "$lab/s.toml" <<'SPEC'
[sweep]
name = "events"
backbone = ["popularity", "sasrec"]
representation = ["id", "calibrated"]

[dataset.tiny]
kind = "synthetic"
users = 80
catalogue = 60
audiences = 3

[representation.calibrated]
kind = "id"
calibration.alpha = 1e-3

[train.stop]
max_epochs = 5
SPEC
export GENAIR_CACHE="$lab/cache" GENAIR_DEVICE=cpu
"$genair" --quiet sweep "$lab/s.toml" --db "$lab/genair.db"
"$genair" export tensorboard --db "$lab/genair.db" --out "$lab/events"
"$venv/bin/python" scripts/check_tensorboard.py "$lab/genair.db" "$lab/events"
