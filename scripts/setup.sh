#!/usr/bin/env bash
# Gets what a build needs and cargo cannot get: a C++ compiler and libtorch 2.13.0, in .libtorch/.
#
# Runs in milliseconds when there is nothing to do. It may be interrupted at any moment and started
# twice at once: .libtorch/ appears in one rename, with its stamp inside, after every wheel has
# matched its SHA-256 (scripts/libtorch.txt). Wheels that arrived survive an interruption in
# .tools/libtorch/. Progress goes to stderr; stdout stays empty.
#
#   LIBTORCH=/absolute/path   a libtorch you have; wins over everything below
#   LIBTORCH_USE_PYTORCH=1    the PyTorch of the active Python; wins over LIBTORCH, as in torch-sys
#   GENAIR_LIBTORCH=cuda      the whole PyTorch wheel with CUDA (2.7 GB) instead of the CPU libraries
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec >&2
trap 'exit 130' INT # pip turns Ctrl-C into an ordinary failure, which would be retried.
trap 'exit 143' TERM

version=2.13.0
pins=scripts/libtorch.txt
work=.tools/libtorch
python=
say() { printf 'setup: %s\n' "$*"; }
die() { say "error: $*"; exit 1; }

# --- A libtorch of the user's ---

check_version() { # check_version FOUND WHERE
    [[ "${1%%+*}" == "$version" || -n "${LIBTORCH_BYPASS_VERSION_CHECK+set}" ]] ||
        die "$2 holds libtorch ${1:-of unknown version}, but tch 0.26 needs exactly $version;" \
            "point it at that version, or unset it to have the pinned one fetched"
}

check_pytorch() {
    local interpreter=python3 found
    [[ -z "${VIRTUAL_ENV+set}" ]] || interpreter=python # torch-sys asks the same one.
    found=$("$interpreter" -c 'import torch; print(torch.__version__)') ||
        die "LIBTORCH_USE_PYTORCH is set, but $interpreter cannot import torch;" \
            "install torch==$version there, or unset the variable to have the pinned libtorch fetched"
    check_version "$found" "LIBTORCH_USE_PYTORCH ($interpreter)"
}

check_libtorch() {
    local include=${LIBTORCH_INCLUDE:-$LIBTORCH}/include found
    [[ "$LIBTORCH" == /* ]] ||
        die "LIBTORCH is '$LIBTORCH', but build scripts need an absolute path; write one, or unset it"
    compgen -G "${LIBTORCH_LIB:-$LIBTORCH}/lib/libtorch_cpu.*" >/dev/null ||
        die "LIBTORCH is '$LIBTORCH', but there is no lib/libtorch_cpu there; correct it, or unset it"
    found=$(cat "$include"/torch/{headeronly,csrc/api/include/torch}/version.h 2>/dev/null |
        sed -nE 's/^#define TORCH_VERSION_(MAJOR|MINOR|PATCH) //p' | paste -sd . -) || true
    check_version "$found" "LIBTORCH ($LIBTORCH)"
}

# --- Programs ---

has_compiler() {
    local cc=${CC:-cc} cxx=${CXX:-c++}
    command -v "${cc%% *}" >/dev/null && command -v "${cxx%% *}" >/dev/null
}

# The python3 of a virtual environment may lack pip while the system's has it.
find_python() {
    for python in python3 /usr/bin/python3; do
        "$python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 9))' 2>/dev/null && return
    done
    return 1
}

apt_install() {
    local as_root=()
    command -v apt-get >/dev/null || return 1
    if ((EUID != 0)); then
        sudo -n true 2>/dev/null || return 1
        as_root=(sudo)
    fi
    say "installing $* with apt-get"
    "${as_root[@]}" apt-get update -qq &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq -y --no-install-recommends "$@"
}

# --- The pinned libtorch ---

# Compares with what a complete .libtorch/ of the variant holds as its stamp.
is_complete() { # is_complete cpu|cuda
    [[ -e .libtorch/torch/lib/libtorch_cpu.so ]] && stamp "$1" | cmp -s - .libtorch/complete
}

stamp() {
    case $1 in
        cpu) cat "$pins" ;;
        cuda) echo "torch==$version with CUDA" ;;
    esac
}

is_wanted_complete() {
    case ${GENAIR_LIBTORCH-} in
        '') is_complete cpu || is_complete cuda ;;
        cpu | cuda) is_complete "$GENAIR_LIBTORCH" ;;
        *) die "GENAIR_LIBTORCH is '$GENAIR_LIBTORCH'; it may be cpu (the default) or cuda" ;;
    esac
}

with_retries() { # with_retries COMMAND...
    local pause
    for pause in 2 5 15 30; do
        "$@" && return
        say "that failed; trying again in $pause s"
        sleep "$pause"
    done
    "$@"
}

wheel() { # wheel SHA256: the path of the wheel with that content, if it is here
    local path
    for path in "$work/wheels/$1"/*.whl; do
        [[ -e "$path" && "$(sha256sum <"$path")" == "$1 "* ]] && echo "$path" && return
    done
    return 1
}

# Without its cache: older pips hold the whole wheel in memory to fill it.
pip() { "$python" -m pip --no-cache-dir --disable-pip-version-check "$@"; }

download() { # download REQUIREMENT SHA256
    pip download --require-hashes --no-deps --only-binary=:all: --python-version 3.11 \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux2014_x86_64 \
        --dest "$work/wheels/$2" --requirement <(echo "$1")
}

unpack() { # unpack FOLDER WHEEL...
    "$python" - "$@" <<'PY'
import re, sys, zipfile

folder, *wheels = sys.argv[1:]
KEEP = re.compile(
    r"torch/(lib|include)/"
    r"|nvidia/cu13/lib/lib(cudart|cupti)\.so\.13$"
    r"|[^/]+\.dist-info/.*(LICENSE|License|NOTICE)"
)
# What needs a GPU or Python, and libtorch.so, which only links the others to libtorch_cuda.so.
DROP = re.compile(r"lib(torch|torch_cuda|torch_cuda_linalg|torch_nvshmem|c10_cuda|caffe2_nvrtc|torch_python|shm)\.so$")

for wheel in wheels:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if KEEP.match(name) and not DROP.match(name.rsplit("/", 1)[-1]) and not name.endswith("/"):
                archive.extract(name, folder)
PY
}

make_cpu() { # make_cpu FOLDER
    local requirement hash path wheels=()
    while read -r requirement; do
        hash=${requirement##*sha256:}
        if ! path=$(wheel "$hash"); then
            say "fetching ${requirement%% *}"
            with_retries download "$requirement" "$hash" ||
                die "could not fetch ${requirement%% *}; run again to go on from here, or export LIBTORCH"
            path=$(wheel "$hash") || die "the wheel of ${requirement%% *} changed on disk; run again"
        fi
        wheels+=("$path")
    done < <(grep -v '^#' "$pins")
    say "unpacking"
    unpack "$1" "${wheels[@]}"
    ln -s libtorch_cpu.so "$1/torch/lib/libtorch.so"
}

# The same layout, unpruned, and pinned by version only; see docs/decisions/libtorch.md.
make_cuda() { # make_cuda FOLDER
    say "installing the whole of torch==$version into .libtorch (2.7 GB)"
    with_retries pip install --upgrade --target "$1" "torch==$version" ||
        die "could not install torch==$version; the lines above say why"
}

make_libtorch() { # make_libtorch cpu|cuda
    local folder=$work/unpacked
    rm -rf "$folder" "$work/tmp" "$work/replaced"
    mkdir -p "$folder" "$work/tmp"
    TMPDIR=$PWD/$work/tmp "make_$1" "$folder"
    echo "$version" >"$folder/torch/build-version" # torch-sys checks it.
    stamp "$1" >"$folder/complete"
    [[ ! -e .libtorch && ! -L .libtorch ]] || mv .libtorch "$work/replaced"
    mv "$folder" .libtorch
    rm -rf "$work"
    say "libtorch $version ($1) is in .libtorch/"
}

# --- What to do ---

if [[ -n "${LIBTORCH_USE_PYTORCH+set}" ]]; then
    check_pytorch
    done=yes
elif [[ -n "${LIBTORCH+set}" ]]; then
    check_libtorch
    done=yes
elif is_wanted_complete; then
    done=yes
else
    done=no
    [[ "$(uname -sm)" == "Linux x86_64" ]] ||
        die "libtorch is pinned for Linux x86_64 only, this is $(uname -sm); install torch==$version with pip" \
            "and export LIBTORCH_USE_PYTORCH=1, or unpack libtorch $version and export LIBTORCH=/its/path"
fi

missing=()
has_compiler || missing+=(g++)
[[ $done == yes ]] || find_python || missing+=(python3-pip)
if ((${#missing[@]})); then
    apt_install "${missing[@]}" ||
        die "missing: ${missing[*]} (a C++ compiler is g++; Python 3.9 or newer with pip is python3-pip);" \
            "install it (Debian: apt-get install ${missing[*]}) and run again"
fi
command -v cargo >/dev/null || die "missing: cargo on the PATH; install Rust, see https://rustup.rs"
[[ $done == no ]] || exit 0

find_python || die "python3 still has no pip; install python3-pip and run again"
mkdir -p .tools
exec 9>>.tools/setup.lock
flock --nonblock 9 || { say "waiting for another set-up to finish" && flock 9; }
is_wanted_complete || make_libtorch "${GENAIR_LIBTORCH:-cpu}"
