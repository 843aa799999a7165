#!/usr/bin/env bash
# Installs a wheel in a new virtual environment with nothing else, and trains experiments/tiny.toml there: the language
# model, archetypes, calibration, plugins. Then a report, which needs the programs that sweeps do without.
#
# usage: scripts/test-wheel.sh WHEEL
set -euo pipefail
wheel=$(realpath "$1")
say() { printf 'test-wheel: %s\n' "$*" >&2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
say "installing $(basename "$wheel")"
python3 -m venv venv
venv/bin/pip --disable-pip-version-check --no-cache-dir install --quiet "$wheel"
# Nothing of this tree or of the shell may help.
genair() { env --ignore-environment PATH="$work/venv/bin:/usr/bin:/bin" HOME="$work" genair "$@"; }

genair doctor
genair example tiny >tiny.toml
genair sweep tiny.toml
genair results leaderboard --format csv >leaderboard.csv
[[ $(wc -l <leaderboard.csv) -gt 4 ]]
genair results html --out page.html
[[ -s page.html ]]
genair plugin test caser
say "passed"
