#!/bin/sh
# Attacks `serve` from outside, with the defaults of each contender: slowhttptest in its four modes, then no descriptors left.
# All the while a request of somebody else has to be answered. Needs slowhttptest, curl and util-linux.
#
#   bench-peers/abuse/run.sh [contender…]      LENGTH=45 seconds of each attack, CONNECTIONS=1000
#
# Slow readers are a fifth of that, and come more slowly: the kernel takes 10 ms to fill the buffer of each.
#
# What the columns say: how many connections the server had at most, and after how long it had let go of all of them, unless it held some
# to the end; how many probes were made, how many failed, and the longest; what the server's processor did.
set -eu
cd "$(dirname "$0")/.."
length=${LENGTH:-45}
connections=${CONNECTIONS:-1000}
[ $# -gt 0 ] || set -- hyper bartizan
if [ -z "${SERVE:-}" ]; then
    cargo build --quiet --release --bin serve
    SERVE=${CARGO_TARGET_DIR:-target}/release/serve
fi
files=$(mktemp -d)
server=
attacker=
cleanup() {
    for pid in $attacker $server; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$files"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# start CONTENDER [DESCRIPTORS]: sets $server and $addr.
start() {
    : >"$files/addr"
    (ulimit -n "${2:-$(ulimit -n)}" && exec "$SERVE" "$1") >"$files/addr" 2>"$files/log" &
    server=$!
    while [ ! -s "$files/addr" ]; do
        kill -0 "$server" || { cat "$files/log" >&2; exit 1; }
        sleep 0.1
    done
    addr=$(head -n 1 "$files/addr")
    base=0
    base=$(open)
}

# Connections of $server, by its descriptors: slowhttptest itself counts every five seconds, and not at the end.
open() {
    echo $(($(find "/proc/$server/fd" -type l | wc -l) - base))
}

stop() {
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}

# One line for each probe while $attacker lives: its time, or `failed`. Sets $most and $gone.
probe() {
    : >"$files/probes"
    began=$(date +%s) most=0 gone=–
    while kill -0 "$attacker" 2>/dev/null; do
        curl -s -o /dev/null -m 5 -w '%{time_total}\n' "http://$addr/" >>"$files/probes" || sed -i '$s/.*/failed/' "$files/probes"
        sleep 0.25
        now=$(open) after=$(($(date +%s) - began))
        [ "$now" -le "$most" ] || most=$now
        # One may be the probe's.
        if [ "$now" -gt 1 ]; then
            gone=held
        # At the end it is the attacker who closes.
        elif [ "$gone" = held ] && [ "$after" -lt "$length" ]; then
            gone="$after s"
        fi
    done
}

probes() {
    awk '/failed/ { failed++; next } $1 > longest { longest = $1 }
        END { printf "%d | %d | %d ms", NR, failed, longest * 1000 }' "$files/probes"
}

# CPU of $server in clock ticks of 10 ms, user and system.
cpu() {
    awk '{ print $14 + $15 }' "/proc/$server/stat"
}

echo "| attack | contender | most at once | gone after | probes | failed | longest | CPU |"
echo "|---|---|---|---|---|---|---|---|"
for contender in "$@"; do
    for mode in "slow headers:-H -i 5 -r 500 -c $connections" "slow body:-B -i 5 -s 8192 -r 500 -c $connections" "ranges:-R -r 500 -c $connections" \
        "slow read:-X -u/large -w 512 -y 1024 -n 5 -z 32 -r 50 -c $((connections / 5))"; do
        start "$contender"
        path=/
        options=${mode#*:}
        case $options in *-u/large*) path=/large options=$(echo "$options" | sed 's, -u/large,,') ;; esac
        before=$(cpu)
        # shellcheck disable=SC2086
        timeout $((length + 20)) slowhttptest $options -l "$length" -p 3 -u "http://$addr$path" >"$files/attack" 2>&1 &
        attacker=$!
        probe
        wait "$attacker" || true
        attacker=
        spent=$(($(cpu) - before))
        echo "| ${mode%%:*} | $contender | $most | $gone | $(probes) | ${spent}0 ms |"
        stop
    done
    # 64 descriptors for 300 connections: the probe waits in the backlog until they are gone. Then it is answered.
    start "$contender" 64
    before=$(cpu)
    timeout 30 slowhttptest -H -i 3 -c 300 -r 300 -l 10 -p 3 -u "http://$addr/" >"$files/attack" 2>&1 || true
    spent=$(($(cpu) - before))
    recovered=failed
    recovered=$(curl -s -o /dev/null -m 5 -w '%{time_total}' "http://$addr/") || recovered=failed
    echo "| 64 descriptors for 10 s | $contender | – | – | after it | – | ${recovered} s | ${spent}0 ms |"
    stop
done
