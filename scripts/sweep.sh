#!/usr/bin/env bash
# Runs `genair sweep` on a spec, experiments/quickstart.toml where none is named, and fetches
# MovieLens-100k first if the spec reads it and it is missing.
# usage: scripts/sweep.sh GENAIR [SPEC.toml] [OPTION of `genair sweep`]...
set -euo pipefail
genair=$1
shift

spec=
for argument in "$@"; do
    [[ "$argument" != *.toml ]] || spec=$argument
done
if [[ -z "$spec" ]]; then
    spec=experiments/quickstart.toml
    set -- "$spec" "$@"
fi

if [[ ! -e data/ml-100k/interactions.tsv ]] && grep -qs 'data/ml-100k' "$spec"; then
    "$genair" data fetch ml-100k >&2 # stdout belongs to the sweep.
fi
exec "$genair" sweep "$@"
