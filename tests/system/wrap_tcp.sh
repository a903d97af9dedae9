#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    redis and memcached, as they are installed, are kept alive by their presets: ready is who answers; who is
#         killed, as program or as bridge, or hangs, has a successor that answers, and leaves nobody; they are
#         restarted, drained, reloaded and stopped; redis keeps its keys over what is planned, and over a kill with
#         its append-only file.
# Method  fleets on free ports of this machine; processes are known by number and start. Waiting is for events.
. "$(dirname "$0")/wrap.sh"

# say PORT TEXT PATTERN: whether the answer's first line fits
say() {
	local answer=
	{ exec 9<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return 1
	printf '%s\r\n' "$2" >&9
	IFS= read -r -t 5 answer <&9
	exec 9<&-
	# shellcheck disable=SC2053 # a pattern is meant
	[[ ${answer%$'\r'} == $3 ]]
}

redis() {
	local command=(redis-server --port %p --loglevel warning --save "" --appendonly yes --appendfsync always)
	local conf=$tmp/root/etc/rekindle/redis.conf gate=$tmp/gate

	answers() { say $((port + $1)) PING +PONG; }

	# It listens only once the gate is open: until then nobody may call it ready.
	mkfifo "$gate"
	choose 1
	launch 1 -- sh -c 'read -r _ <"$1"; shift; exec "$@"' sh "$gate" redis-server --port %p --save ""
	becomes has_started
	run status redis
	expect "redis: who does not answer yet is starting" 0 '0 starting'
	run status --check redis
	expect "redis: and not ready for status --check" 1 ''
	echo >"$gate"
	is_up 1
	ended 1

	# As it is typed in the manual, by a configuration so that it can be read again.
	mkdir -p "$(dirname "$conf")"
	choose 2
	printf '%s\n' '[Fleet redis]' 'Preset=redis' 'Workers=2' "Port=$port" 'ProbeInterval=100ms' 'ProbeTimeout=300ms' \
		"StateDirectory=$states/%i" \
		"Exec=redis-server --port %p --loglevel warning --save \"\" --appendonly yes --appendfsync always" >"$conf"
	lines 7 "$tmp/run.redis" "$rekindle" run --config redis --root "$tmp/root"
	keeper=$!
	is_up 2
	for w in 0 1; do
		keys[w]=$("$rekindle" key --name redis k{1..40} | awk -v w=$w '$3 == w { print $1; exit }')
		equal "redis: a key's address is its worker's port" "$("$rekindle" key --name redis --address "${keys[w]}")" \
			"127.0.0.1:$((port + w))"
		say $((port + w)) "SET ${keys[w]} $w" +OK
	done
	survive "SIGKILL of the program" kill_program
	survive "SIGKILL of the bridge" kill_bridge
	hang kill_stop
	result "redis: what was written is there behind each kill" "$(kept)"
	moved
	sed -i 's/--loglevel warning/& --maxclients 77/' "$conf"
	forget
	look 0
	look 1
	run reload --name redis --timeout 20s
	expect "redis: a reload of another command restarts them" 0 'Exec'
	result "redis: one by one, and the old ones are gone" "$(left)"
	result "redis: and has them run it" "$(for w in 0 1; do
		redis-cli -p $((port + w)) config get maxclients | grep -qx 77 || echo "not slot $w"; done)"
	result "redis: what was written is there" "$(kept)"
	ended 2

	# Without that file what is planned alone is survived, by the checkpoint.
	wrap 1 -- redis-server --port %p --loglevel warning --save ""
	say "$port" "SET ${keys[0]} 0" +OK
	planned
	result "redis: a checkpoint is made before a planned restart, and restored" "$(say "$port" "STRLEN ${keys[0]}" :1 || echo "the key is gone")"
	run logs redis
	survive "SIGKILL of the program" kill_program
	ended 1
	result "redis: each has a directory of its own" "$(for w in 0 1; do
		[ -f "$states/$w/appendonlydir/appendonly.aof.manifest" ] || echo "nothing of slot $w"; done)"
}

has_started() { "$rekindle" events --all redis 2>/dev/null | grep -q 'worker started'; }

kill_stop() { kill -STOP "$program"; }

# kept: of each slot its key
kept() {
	for w in 0 1; do
		say $((port + w)) "STRLEN ${keys[w]}" :1 || echo "slot $w has lost its key"
		say $((port + w)) "STRLEN ${keys[1 - w]}" :0 || echo "slot $w has that of the other"
	done
}

memcached() {
	local user=()
	[ "$(id -u)" -ne 0 ] || user=(-u root)
	answers() { say $((port + $1)) version 'VERSION *'; }
	wrap 2 -- memcached -l 127.0.0.1 -p %p -m 8 "${user[@]}"
	equal "memcached: a key's address is its worker's port" \
		"$("$rekindle" key --name memcached k{1..40} | awk -v p="$port" 'NR > 1 { print $3 + p == substr($NF, index($NF, ":") + 1) }' | sort -u)" 1
	survive "SIGKILL of the program" kill_program
	survive "SIGKILL of the bridge" kill_bridge
	hang kill_stop
	planned
	moved
	ended 2
}

keys=()
! has redis redis-server redis-cli || redis
! has memcached memcached || memcached
finish
