#!/bin/bash
# Brings up a Slurm of three nodes on this machine, runs tests/slurm on it, and ends it. Arguments go to the tests.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v bindfs >/dev/null; then # A file system that several machines may share, as far as anybody can tell.
    [ "$(id -u)" = 0 ] || { echo "as root: apt-get install -y --no-install-recommends bindfs fuse3" >&2; exit 2; }
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends bindfs fuse3
fi
folder=$(mktemp -d /tmp/genair-slurm.XXXX)
trap '"$here/slurm-up.sh" --down "$folder"; rm -rf "$folder"' EXIT
"$here/slurm-up.sh" "$folder" 3
export SLURM_CONF=$folder/slurm.conf
# One at a time: several of them stop nodes or the controller.
cargo test --release --workspace --test slurm -- --test-threads 1 "$@"
