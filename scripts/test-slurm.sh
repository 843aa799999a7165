#!/bin/bash
# Brings up a Slurm of three nodes on this machine, runs tests/slurm on it, and ends it. Arguments go to the tests.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d /tmp/genair-slurm.XXXX)
trap '"$here/slurm-up.sh" --down "$folder"; rm -rf "$folder"' EXIT
"$here/slurm-up.sh" "$folder" 3
export SLURM_CONF=$folder/slurm.conf
# One at a time: several of them stop nodes or the controller.
cargo test --release --workspace --test slurm -- --test-threads 1 "$@"
