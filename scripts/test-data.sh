#!/usr/bin/env bash
# Checks trained weights of the Python reference on MovieLens-100k: every user's rank must be the same.
#
# test-data.sh GENAIR: GENAIR is the built command. The weights are not part of this project:
# GENAIR_GOLDENS names their folder; without it, ../shared/goldens is tried.

set -euo pipefail
cd "$(dirname "$0")/.."

goldens="${GENAIR_GOLDENS:-../shared/goldens}"
if [ ! -d "$goldens" ]; then
    if [ -n "${GENAIR_GOLDENS:-}" ]; then
        echo "error: GENAIR_GOLDENS names $goldens, which is no folder" >&2
        exit 2
    fi
    echo "skipped: no trained weights; set GENAIR_GOLDENS to the folder that holds them"
    exit 0
fi
"$1" data fetch ml-100k
GENAIR_GOLDENS="$(realpath "$goldens")" exec cargo test --release --workspace --test goldens
