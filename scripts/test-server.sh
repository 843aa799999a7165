#!/usr/bin/env bash
# Runs the `openai` engine against llama-cpp-python's own server, on this machine's loopback address.
#
# usage: scripts/test-server.sh GENAIR_LLAMA MODEL.gguf; the server is built into .tools/llama-server on
# first use (minutes of CPU).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=0.3.36
tools=$PWD/.tools/llama-server
say() { printf 'test-server: %s\n' "$*" >&2; }

if [[ "$(cat "$tools/complete" 2>/dev/null)" != "$version" ]]; then
    say "building llama-cpp-python $version"
    rm -rf "$tools"
    python3 -m venv "$tools"
    CMAKE_ARGS="-DLLAVA_BUILD=OFF ${CMAKE_ARGS-}" "$tools/bin/python" -m pip --disable-pip-version-check \
        install --quiet "llama-cpp-python[server]==$version" >&2
    echo "$version" >"$tools/complete"
fi

port=$("$tools/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
log=$(mktemp)
export GENAIR_TEST_KEY=sk-test-$RANDOM GENAIR_TEST_WRONG_KEY=sk-wrong-$RANDOM
"$tools/bin/python" -m llama_cpp.server --model "$2" --host 127.0.0.1 --port "$port" --api_key "$GENAIR_TEST_KEY" \
    --n_ctx 2048 >"$log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -f "$log"' EXIT

for _ in $(seq 120); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        GENAIR_TEST_SERVER=http://127.0.0.1:$port/v1 GENAIR_LLAMA=$(realpath "$1") GENAIR_LLAMA_MODEL=$(realpath "$2") \
            cargo test --release -p genair-archetype --test server
        exit
    fi
    kill -0 "$server" 2>/dev/null || break
    sleep 0.5
done
tail -n 20 "$log" >&2
say "error: the server did not start; its last lines are above"
exit 1
