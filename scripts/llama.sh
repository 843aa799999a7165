#!/usr/bin/env bash
# Builds genair-llama with llama.cpp into target/release/ (or CARGO_TARGET_DIR). Minutes of CPU the first
# time, about a second when there is nothing to do.
#
# cmake, ninja (where there is no make) and libclang, where the machine has none, come from the wheels in
# scripts/llama.txt into .tools/llama/. Progress goes to stderr; stdout stays empty.
#
#   GENAIR_LLAMA_MARCH=x86-64-v3   the processor to build for, as gcc's -march; default: this machine's.
#                                  Name one where the binary runs on other machines, too.
#   CMAKE, LIBCLANG_PATH           a cmake program, and the folder of a libclang, that you have
# The first argument goes to cargo instead of `build`, the others behind: scripts/llama.sh test -- --nocapture
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

pins=scripts/llama.txt
tools=$PWD/.tools/llama
say() { printf 'llama: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

has_libclang() {
    local folder
    for folder in /usr/lib /usr/lib64 /usr/local/lib /usr/lib/llvm-*/lib /usr/lib/*-linux-gnu \
        /opt/homebrew/opt/llvm/lib /Library/Developer/CommandLineTools/usr/lib; do
        compgen -G "$folder/libclang.so*" >/dev/null || compgen -G "$folder/libclang-[0-9]*.so*" >/dev/null ||
            [[ -e $folder/libclang.dylib ]] && return
    done
    return 1
}

# The python3 of a virtual environment may lack pip while the system's has it.
find_python() {
    for python in python3 /usr/bin/python3; do
        "$python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 9))' 2>/dev/null && return
    done
    return 1
}

fetch_tools() {
    find_python || die "missing: $*, and a python3 with pip to fetch them; install them" \
        "(Debian: apt-get install make cmake libclang-dev) and run again"
    mkdir -p .tools
    exec 9>>.tools/llama.lock
    flock --nonblock 9 || { say "waiting for another build to fetch its tools" && flock 9; }
    cmp -s "$pins" "$tools/complete" && return
    say "fetching $*"
    rm -rf "$tools" "$tools.unfinished"
    "$python" -m pip --disable-pip-version-check install --quiet --require-hashes --no-deps --only-binary=:all: \
        --target "$tools.unfinished" --requirement "$pins" >&2 ||
        die "could not fetch $*; the lines above say why. Run again," \
            "or install them (Debian: apt-get install make cmake libclang-dev)"
    cp "$pins" "$tools.unfinished/complete"
    mv "$tools.unfinished" "$tools"
    exec 9>&-
}

command -v c++ >/dev/null || die "missing: a C++ compiler (Debian: apt-get install g++)"

missing=()
[[ -n "${CMAKE-}" ]] || command -v cmake >/dev/null || missing+=(cmake)
command -v make >/dev/null || missing+=(ninja)
[[ -n "${LIBCLANG_PATH-}" ]] || has_libclang || missing+=(libclang)
if ((${#missing[@]})) && ! cmp -s "$pins" "$tools/complete"; then
    fetch_tools "${missing[@]}"
fi
for tool in "${missing[@]}"; do
    case $tool in
        cmake) export CMAKE=$tools/cmake/data/bin/cmake ;;
        ninja) export CMAKE_GENERATOR=Ninja CMAKE_MAKE_PROGRAM=$tools/bin/ninja ;;
        libclang) export LIBCLANG_PATH=$tools/clang/native ;;
    esac
done
# The wheel's libclang comes without stdbool.h and the like; the compiler's do.
export BINDGEN_EXTRA_CLANG_ARGS=${BINDGEN_EXTRA_CLANG_ARGS-"-isystem $(c++ -print-file-name=include)"}

# llama.cpp's build script turns to this machine's processor only where all Rust code does, which
# would build every dependency twice. CFLAGS would rebuild those of the workspace that are C.
march="-march=${GENAIR_LLAMA_MARCH-native} -fPIC"
# Some virtual machines show AMX and then end with an illegal instruction whoever uses its tiles.
no_amx="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
# shellcheck disable=SC2086 # Three words.
if [[ -z "${GENAIR_LLAMA_MARCH-}" ]] && c++ $no_amx -fsyntax-only -x c++ /dev/null 2>/dev/null; then
    march+=" $no_amx"
fi
export CMAKE_C_FLAGS=${CMAKE_C_FLAGS-"$march"} CMAKE_CXX_FLAGS=${CMAKE_CXX_FLAGS-"$march"}
export GGML_GENAIR_MARCH=$march # Means nothing, but cargo builds anew when a GGML_* variable changes.
# CMake keeps the flags it first had.
for cache in "${CARGO_TARGET_DIR:-target}"/release/build/llama-cpp-sys-2-*/out/build/CMakeCache.txt; do
    if [[ -e $cache ]] && ! grep -qxF "CMAKE_CXX_FLAGS:STRING=$CMAKE_CXX_FLAGS" "$cache"; then
        say "building llama.cpp anew, with $CMAKE_CXX_FLAGS"
        cargo clean --quiet --release --package llama-cpp-sys-2 >&2
    fi
done

packages=(genair-llama)
# Beside the packages of `just build`, whose dependencies then have the features they were compiled with.
[[ ${1:-build} != build ]] || packages+=(genair-cli genair-encoder genair-trainer
    genair-backbone-{bert4rec,caser,gru4rec,sasrec})
exec cargo "${1:-build}" --release "${packages[@]/#/--package=}" --features genair-llama/llama-cpp "${@:2}" >&2
