#!/usr/bin/env bash
# What `genair export mlflow` writes, read by the real MLflow; and Parquet and CSV by the real pyarrow and pandas.
#
# test-mlflow.sh GENAIR: GENAIR is the built command. MLflow comes from PyPI into .tools/mlflow (some 850 MB).
set -euo pipefail
genair=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf 'test-mlflow: %s\n' "$*" >&2; }

tools=.tools/mlflow version=3.17.2
if [[ ! -e $tools/$version ]]; then
    say "fetching mlflow $version into $tools"
    rm -rf "$tools"
    python3 -m venv "$tools" >&2 && "$tools/bin/pip" install --quiet "mlflow==$version" >&2 ||
        { say "error: pip could not fetch it; see above"; exit 1; }
    touch "$tools/$version"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GENAIR_DB=$work/genair.db GENAIR_CACHE=$work/cache GENAIR_DEVICE=cpu
# Some of its runs fail, which is what 3 says.
"$genair" sweep tests/browser/spec.toml --quiet >/dev/null 2>"$work/sweep.log" || (($? == 3)) ||
    { cat "$work/sweep.log" >&2; say "error: the sweep that makes the results did not end as it should"; exit 1; }
"$genair" export mlflow --out "$work/mlruns" >/dev/null
"$tools/bin/python" tests/mlflow/check.py "$genair" "$work"

"$genair" export parquet --out "$work/parquet" >/dev/null
"$genair" export csv --out "$work/csv" >/dev/null
"$genair" results export-ranks --out "$work/ranks.parquet" >/dev/null
"$tools/bin/python" tests/mlflow/tables.py "$genair" "$work"
