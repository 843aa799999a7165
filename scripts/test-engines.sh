#!/usr/bin/env bash
# The engines with real models: hidden states and vectors against their oracles, a generation that is
# killed and taken up again, and the `openai` engine against llama-cpp-python's own server, on this
# machine's loopback address. The server is built into .tools/llama-server on first use (minutes of CPU).
#
# usage: scripts/test-engines.sh GENAIR, the built command; genair-llama and genair-encoder are beside it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

genair=$1
models=$PWD/data/cache/models
llm=$models/smollm2-135m/SmolLM2-135M-Instruct.Q8_0.gguf
server_version=0.3.36
server_tools=$PWD/.tools/llama-server
say() { printf 'test-engines: %s\n' "$*" >&2; }

build_server() {
    [[ "$(cat "$server_tools/complete" 2>/dev/null)" != "$server_version" ]] || return 0
    say "building llama-cpp-python $server_version"
    rm -rf "$server_tools"
    python3 -m venv "$server_tools"
    # Of llama.cpp, the library alone.
    CMAKE_ARGS="-DLLAVA_BUILD=OFF -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_TESTS=OFF \
        -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF ${CMAKE_ARGS-}" "$server_tools/bin/python" -m pip --disable-pip-version-check \
        install --quiet "llama-cpp-python[server]==$server_version" >&2
    echo "$server_version" >"$server_tools/complete"
}

test_server() {
    local port server log
    port=$("$server_tools/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    log=$(mktemp)
    export GENAIR_TEST_KEY=sk-test-$RANDOM GENAIR_TEST_WRONG_KEY=sk-wrong-$RANDOM
    OMP_WAIT_POLICY=passive "$server_tools/bin/python" -m llama_cpp.server --model "$llm" --host 127.0.0.1 \
        --port "$port" --api_key "$GENAIR_TEST_KEY" --n_ctx 2048 >"$log" 2>&1 &
    server=$!
    # shellcheck disable=SC2064 # The values of now.
    trap "kill $server 2>/dev/null || true; rm -f '$log'" EXIT
    for _ in $(seq 120); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            GENAIR_TEST_SERVER=http://127.0.0.1:$port/v1 GENAIR_LLAMA=$(dirname "$(realpath "$genair")")/genair-llama \
                cargo test --release --workspace --test server
            return
        fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.5
    done
    tail -n 20 "$log" >&2
    say "error: the server did not start; its last lines are above"
    return 1
}

"$genair" archetype model fetch smollm2-135m
"$genair" archetype model fetch minilm-l6-v2
export GENAIR_ENCODER_MODEL=$models/minilm-l6-v2 GENAIR_LLAMA_MODEL=$llm
cargo test --release -p genair-encoder -- --include-ignored
scripts/llama.sh test
cargo test --release --workspace --test real_engine
build_server
test_server
