#!/usr/bin/env bash
# Runs `genair sweep` on a spec, experiments/quickstart.toml where none is named. Before that it fetches
# MovieLens-100k if the spec reads it and it is missing, and builds genair-llama if the spec has
# archetypes to write and there is none.
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

# `plan` knows --set and --plugin-dir as `sweep` does; other options do not change what is needed.
known=("$spec")
previous=
for argument in "$@"; do
    case "$previous" in
        --set | --plugin-dir | --cache) known+=("$previous" "$argument") ;;
    esac
    case "$argument" in
        --set=* | --plugin-dir=* | --cache=*) known+=("$argument") ;;
    esac
    previous=$argument
done
# What is wrong with the spec is for the sweep to say.
if "$genair" plan --needs "${known[@]}" 2>/dev/null | grep -q genair-llama; then
    scripts/llama.sh
fi
exec "$genair" sweep "$@"
