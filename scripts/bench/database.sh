#!/usr/bin/env bash
# Times every leaderboard query on a generated database, the whole command, best of three. Options go to
# generate_database: --metrics 100 makes the full 10,000 runs x 200 epochs x 100 metrics.
# usage: scripts/bench/database.sh GENAIR GENERATE_DATABASE [OPTION]...
set -euo pipefail
genair=$1
generate=$2
shift 2

folder=$(mktemp -d "${TMPDIR:-/tmp}/bench-database.XXXXXX")
trap 'rm -rf "$folder"' EXIT
export GENAIR_DB=$folder/generated.db
begin=$(date +%s)
"$generate" "$GENAIR_DB" "$@"
echo "generated in $(($(date +%s) - begin)) s, $(($(stat -c %s "$GENAIR_DB") / 1000000)) MB"

best() {
    local name=$1 least=
    shift
    for _ in 1 2 3; do
        local from to
        from=$(date +%s%N)
        "$@" >"$folder/answer"
        to=$(date +%s%N)
        local took=$(((to - from) / 1000000))
        [[ -n "$least" && "$least" -le "$took" ]] || least=$took
    done
    printf '%6d ms %8d lines  %s\n' "$least" "$(wc -l <"$folder/answer")" "$name"
}

best "genair results leaderboard" "$genair" results leaderboard
best "genair results leaderboard --sweep sweep-03" "$genair" results leaderboard --sweep sweep-03
best "genair results list --sweep sweep-03" "$genair" results list --sweep sweep-03
best "one metric of every run" "$genair" results sql \
    "SELECT * FROM leaderboard WHERE split = 'test' AND protocol = 'full' AND cohort = 'all' AND metric = 'ndcg' AND k = 10 ORDER BY value DESC"
for query in results/queries/*.sql; do
    # Curves are of every epoch, by their nature.
    [[ "$query" == */learning_curves.sql ]] || best "$query" "$genair" results sql --file "$query"
done
