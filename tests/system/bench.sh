#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/system/bench.sh [all]
#
# Goal    every bench runs to its end and prints a line of figures for each of its cases. What the
#         figures are is nobody's business here: machines differ. bench_peers leaves nothing of the
#         supervisors it compares with, also when it is killed.
# Method  scripts/bench over the programs of $BUILD: those that take a few seconds, or with "all" every
#         one; bench_peers a short run, with the peers that are installed.
. "$(dirname "$0")/lib.sh"

export BUILD=$build BENCH_SCALE=1/8
names=(route address publish commit arena call place)
[ "${1-}" != all ] || names+=(recover idle stopped adopt upgrade keeper)
for name in "${names[@]}"; do
	run_program scripts/bench --json "$name"
	expect "bench_$name runs to its end" 0 "^\\{\"bench\":\"$name\",.*(\"p50\":-?[0-9.e+-]+|\"skipped\":)"
done
[ "${1-}" = all ] || finish

# running: processes of bench_peers' supervisors
running() {
	grep -lsza "^PEERS_ROLL=$tmp/" /proc/[0-9]*/environ
}

# left PID: what bench_peers must not leave: its folder, its cgroup, a process
left() {
	find "$tmp" -maxdepth 1 -name 'rekindle-peers-*'
	find /sys/fs/cgroup -maxdepth 5 -name "rekindle-peers-$1" 2>/dev/null
	running
}

export TMPDIR=$tmp
lines 7 "$tmp/peers.err" "$build/bench/bench_peers" --short
peers=$!
out=$(cat <&7)
reap "$peers"
status=$?
err=$(cat "$tmp/peers.err")
expect "bench_peers runs to its end" 0 'rank of rekindle among [0-9]+".*"p50":[0-9]'
result "and leaves nothing" "$(left "$peers")"
for peer in s6 runit supervisor Erlang/OTP systemd; do
	why=$(sed -n "s,.*SIGKILL to replacement in main: $peer\".*\"skipped\":\"\(.*\)\".*,\1,p" <<<"$out")
	if [ -n "$why" ]; then
		skip "bench_peers has figures of $peer" "peers: $why"
	else
		expect "bench_peers has figures of $peer" 0 "main: $peer\".*\"p50\":"
	fi
done

lines 7 "$tmp/peers.err" "$build/bench/bench_peers" --short
peers=$!
until [ "$(running | wc -l)" -gt 10 ] || ! kill -0 "$peers"; do :; done # several peers
kill -TERM "$peers"
reap "$peers"
result "bench_peers that is told to end leaves nothing" "$(left "$peers")"
finish
