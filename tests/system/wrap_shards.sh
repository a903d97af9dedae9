#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    16 shards of redis, asked all the time for keys where the library says they live: whatever is killed, a key
#         is answered by the same shard, which has all that it ever answered.
# Method  a client of the library that increments (tests/system/shards), while programs and bridges are killed
#         one after another, each once the last one's successor is ready. redis has its append-only file.
. "$(dirname "$0")/wrap.sh"

answers() {
	redis-cli -p $((port + $1)) ping 2>/dev/null | grep -qx PONG
}

# kill_one: the program or the bridge of some slot; waits for its successor
kill_one() {
	local w=$((RANDOM % 16)) old
	look "$w"
	old=$b
	if ((RANDOM % 2)); then kill -KILL "$program"; else kill -KILL "$b"; fi
	await 7 "worker $w (pid $old)" || return
	# So many deaths are braked.
	[[ $line == *" ready after "* ]] || "$rekindle" status --wait redis >/dev/null
}

shards() {
	local kills client
	wrap 16 -- redis-server --port %p --loglevel warning --save "" --appendonly yes --appendfsync always
	mkfifo "$tmp/over"
	"$build/tests/system/shards" redis 500 <"$tmp/over" >"$tmp/sum" 2>&1 &
	client=$!
	started[$client]=
	exec 8>"$tmp/over"
	forget
	for ((kills = 0; kills < 40; kills++)); do kill_one || break; done
	exec 8>&-
	reap "$client"
	status=$?
	out=$(cat "$tmp/sum")
	equal "redis: 40 kills were survived" "$kills" 40
	expect "redis: each key is answered by the same shard, with all it ever answered: $out" 0 '^16 shards, [1-9]'
	for ((w = 0; w < 16; w++)); do look $w; done
	result "redis: each key is at one shard alone" "$(for ((w = 0; w < 16; w++)); do
		redis-cli -p $((port + w)) --raw keys '*'; done | sort | uniq -d | head -3)"
	equal "redis: and all are there" "$(for ((w = 0; w < 16; w++)); do
		redis-cli -p $((port + w)) --raw keys '*'; done | wc -l)" 500
	ended 16
}

! has redis redis-server redis-cli || shards
finish
