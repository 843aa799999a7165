#!/usr/bin/env bash
# The HTML report in a real browser: sorting, filtering, details, comparison, a phone, dark mode.
#
# test-browser.sh GENAIR: GENAIR is the built command. Debian's chromium and nodejs are installed where they are
# missing and apt-get may; playwright-core and axe-core come from npm into .tools/browser.
#
#   CHROMIUM=/path   another Chromium or Chrome
#   SCREENSHOTS=folder   keep pictures of what the test saw
set -euo pipefail
genair=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf 'test-browser: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

need() { # need PROGRAM PACKAGE...
    local program=$1 as_root=()
    shift
    command -v "$program" >/dev/null && return
    ((EUID == 0)) || as_root=(sudo -n)
    say "installing $* with apt-get"
    command -v apt-get >/dev/null &&
        "${as_root[@]}" apt-get update -qq >&2 &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq -y --no-install-recommends "$@" >&2 ||
        die "$program is missing and apt-get cannot install it; install $* and run again"
}

[[ -n "${CHROMIUM:-}" ]] || need chromium chromium
command -v npm >/dev/null || need npm nodejs npm
node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 18 ? 1 : 0)' ||
    die "node $(node --version) is too old; 18 or later runs these tests"

tools=.tools/browser
if ! cmp -s tests/browser/package-lock.json "$tools/package-lock.json" || [[ ! -e $tools/done ]]; then
    say "fetching playwright-core and axe-core into $tools"
    rm -rf "$tools"
    mkdir -p "$tools"
    cp tests/browser/package{,-lock}.json "$tools"
    npm ci --prefix "$tools" --no-audit --no-fund --silent >&2 || die "npm could not fetch them; see above"
    touch "$tools/done"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GENAIR_DB=$work/genair.db GENAIR_CACHE=$work/cache GENAIR_DEVICE=cpu
# Some of its runs fail, which is what 3 says.
"$genair" sweep tests/browser/spec.toml --quiet >/dev/null 2>"$work/sweep.log" || (($? == 3)) ||
    { cat "$work/sweep.log" >&2; die "the sweep that makes the results did not end as it should"; }

CHROMIUM=${CHROMIUM:-$(command -v chromium)} GENAIR=$genair TOOLS=$PWD/$tools WORK=$work \
    node --test tests/browser/report.test.mjs
