#!/bin/sh
# h2spec's cases of HTTP/2 and HPACK (https://github.com/summerwind/h2spec) against `serve`, with the defaults of each contender.
#
#   bench-peers/abuse/h2spec.sh [contender…]      H2SPEC=h2spec, RUNS=5
#
# Some cases race with the answer, which may be on its way before the frame that is wrong has come: so each contender has several runs.
# Told are the cases that failed, and in how many of them.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- hyper bartizan axum
if [ -z "${SERVE:-}" ]; then
    cargo build --quiet --release --bin serve
    SERVE=${CARGO_TARGET_DIR:-target}/release/serve
fi
files=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$files"' EXIT
trap 'exit 130' INT TERM

for contender; do
    : >"$files/addr"
    "$SERVE" "$contender" >"$files/addr" &
    server=$!
    while [ ! -s "$files/addr" ]; do
        kill -0 "$server"
        sleep 0.1
    done
    addr=$(head -n 1 "$files/addr")
    : >"$files/failed"
    for run in $(seq "${RUNS:-5}"); do
        # It fails when a case does.
        "${H2SPEC:-h2spec}" -h "${addr%:*}" -p "${addr##*:}" >"$files/run" || true
        grep -E '^[0-9]+ tests, ' "$files/run" | sed "s/^/$contender, run $run: /"
        # The section, and the case below it.
        sed -n '/^Failures/,$p' "$files/run" | awk '/^ +[0-9.]+ / { section = $1 } /×/ { sub(/^ *× /, ""); print section, $0 }' >>"$files/failed"
    done
    sort "$files/failed" | uniq -c | sed "s/^ */$contender failed, times /"
    kill "$server"
    wait "$server" 2>/dev/null || true
    server=
done
