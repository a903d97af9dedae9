#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    what operators do with standbys: a restart with no worker away goes by them, one behind the
#         other, and no call fails, also to a new program; where there is none it is refused with what
#         to do, and where none can be started it is held; Standby= is changed by a reload, up and down; they take over where workers are killed
#         at a rate, where memory is limited, and where output goes to the journal.
# Method  real fleets of wordcount, which calls count in: each answer is one more than the last. The
#         commands return when they are done, and the flight recorder tells who became what.
. "$(dirname "$0")/lib.sh"

mkdir -p "$tmp/conf"

# equal NAME IS SHALL
equal() {
	result "$1" "$([ "$2" = "$3" ] || echo "'$2' instead of '$3'")"
}

# conf NAME LINE…: a configuration of one fleet, words
conf() {
	printf '%s\n' '[Fleet words]' "Exec=$wordcount" "${@:2}" >"$tmp/conf/$1.conf"
}

# run_conf NAME: a fleet of it, whose event lines come on descriptor 7
run_conf() {
	lines 7 "$tmp/run.$1" "$rekindle" run --config "$tmp/conf/$1.conf"
	keeper=$!
	await 7 "fleet words" || { result "a fleet to look at" "$(cat "$tmp/run.$1")"; finish; }
}

stop() {
	"$rekindle" stop >/dev/null
	reap "$keeper"
}

# standbys: the pids of those that are parked
standbys() {
	"$rekindle" status --internals -o json | tr -d ' \n' | sed -n 's/.*"standbys":\[\([^]]*\)\].*/\1/p' |
		grep -oE '"pid":[0-9]+' | cut -d: -f2
}

# parked N: as soon as so many are parked; the board is a moment behind whatever happens
parked() {
	local i
	for ((i = 0; i < 1000; i++)); do
		[ "$(standbys | wc -l)" -ne "$1" ] || return 0
	done
	echo "parked: $(standbys | tr '\n' ' '), not $1"
	return 1
}

# workers: their pids
workers() {
	"$rekindle" status | awk '$1 ~ /^[0-9]+$/ && $2 !~ /,$/ && $3 ~ /^[1-9][0-9]*$/ { print $3 }'
}

# successor PID: the worker of a fleet of one, as soon as it is another; the board is a moment behind
successor() {
	local i pid
	for ((i = 0; i < 1000; i++)); do
		pid=$(workers)
		[ -z "$pid" ] || [ "$pid" = "$1" ] || break
	done
	echo "$pid"
}

# spawned N: prints which of the next N workers that start, as told on descriptor 8, were no standbys
spawned() {
	local i
	for ((i = 0; i < $1; i++)); do
		await 8 "worker started" || { echo "only $i of $1 were started"; return; }
		[[ $line == *"from a standby"* ]] || echo "$line"
	done
}

# calls_begin KEY: one call behind the other beside the test, none of which may fail or count wrong
calls_begin() {
	: >"$tmp/calls.bad"
	(
		trap 'echo "$i" >"$tmp/calls.n"; exit 0' TERM
		for ((i = 1; ; i++)); do
			reply=$("$rekindle" call "$1" --timeout 20s 2>&1)
			[ "$reply" = "$i" ] || echo "call $i: '$reply'" >>"$tmp/calls.bad"
		done
	) &
	caller=$!
	started[$caller]=
}

calls_end() {
	kill "$caller"
	reap "$caller"
	result "$1 ($(cat "$tmp/calls.n") calls)" "$(head -5 "$tmp/calls.bad")"
}

# ---- a restart with no worker away ---------------------------------------------------------------

conf plain Workers=3
run_conf plain
lines 8 "$tmp/follow.err" "$rekindle" events -f -n 1000 --kind spawn
follower=$!
spawned 3 >/dev/null # the fleet's start
run restart --max-unavailable=0
expect "no worker away: refused where there is no standby, with what to set" 64 \
	'has none: set Standby=1 and reload, or give --max-unavailable=1 or more'
result "and nothing was done" "$("$rekindle" events -n 1000 --kind rolling | grep .)"

# ---- a reload ------------------------------------------------------------------------------------

calls_begin a
conf plain Workers=3 Standby=1
run reload
expect "Standby= from 0 to 1 by a reload" 0 'words: Standby=0 -> 1 \(now\)'
result "one parks" "$(parked 1)"
conf plain Workers=3 Standby=2
run reload
expect "from 1 to 2" 0 'words: Standby=1 -> 2 \(now\)'
result "the other one parks too" "$(parked 2)"

before=$(workers)
run restart --max-unavailable=0
expect "no worker away: done by standbys" 0 'restarted 3 of 3'
run status --wait=20s --check
result "every worker is another one" "$(comm -12 <(sort <<<"$before") <(workers | sort))"
result "and each was a standby" "$(spawned 3)"

parked 2 >/dev/null
mapfile -t spare < <(standbys)
kill -STOP "${spare[@]}"
for pid in "${spare[@]}"; do
	until grep -q '^State:.T' "/proc/$pid/status"; do :; done # a signal takes its time
done
run restart --max-unavailable=0
expect "those that are stopped are none" 1 \
	"none of words is ready: try again when 'rekindle status' shows one that is not stopped"
equal "and nothing was done to them" "$(standbys | sort)" "$(printf '%s\n' "${spare[@]}" | sort)"
kill -CONT "${spare[@]}"

mapfile -t spare < <(standbys)
conf plain Workers=3
run reload
expect "from 2 to 0" 0 'words: Standby=2 -> 0 \(now\)'
result "none is left" "$(parked 0; kill -0 "${spare[0]}" 2>&1 | grep -v 'No such process'; kill -0 "${spare[1]}" 2>&1 | grep -v 'No such process')"
calls_end "no call has failed, and none counted twice"

# ---- killed at a rate ----------------------------------------------------------------------------

conf plain Workers=3 Standby=2 AllowFaults=yes RestartBurst=100
run reload
expect "standbys and faults" 0 'AllowFaults'
result "two park" "$(parked 2)"
calls_begin b
run fault kill --any --rate=5 --for=3s
expect "kills at a rate" 0 'worker [0-2] \(pid [0-9]+\) killed'
killed=$(grep -c killed <<<"$out")
run status --wait=20s --check
expect "the fleet is whole afterwards" 0 '3 of 3 ready'
calls_end "kills at a rate: no call has failed, and none counted twice"
others=$(spawned "$killed" | wc -l)
result "standbys took over from most of them ($others of $killed had none)" \
	"$([ "$killed" -ge 5 ] && [ "$others" -le $((killed / 2)) ] || echo "too many")"
stop
reap "$follower"

# ---- a new program, with no worker away ----------------------------------------------------------

cp "$wordcount" "$tmp/worker"
wordcount=$tmp/worker conf upgrade Workers=3 Standby=1
run_conf upgrade
lines 8 "$tmp/follow.err" "$rekindle" events -f -n 1000 --kind spawn
follower=$!
spawned 3 >/dev/null # the fleet's start
result "one parks" "$(parked 1)"
before=$(workers)
calls_begin u
cp "$wordcount" "$tmp/worker.new"
mv "$tmp/worker.new" "$tmp/worker"
run restart --max-unavailable=0
expect "another file at the program's path: done by standbys of that one" 0 'restarted 3 of 3'
run status --wait=20s --check
calls_end "a new program: no call has failed, and none counted twice"
result "every worker is another one" "$(comm -12 <(sort <<<"$before") <(workers | sort))"
equal "and all of them run the new file" \
	"$(for pid in $(workers); do stat -Lc %i "/proc/$pid/exe"; readlink "/proc/$pid/exe"; done | sort | uniq -c | awk '{ print $1, $2 }' | sort)" \
	"$(printf '3 %s\n' "$tmp/worker" "$(stat -c %i "$tmp/worker")" | sort)"
result "each was a standby" "$(spawned 3)"
stop
reap "$follower"

# ---- a new program that does not start -----------------------------------------------------------

# held LINE: it is held, and no worker was touched
held() {
	expect "$1" 2 "$2"
	equal "and the worker is the same" "$(workers)" "$before"
}

cat >"$tmp/flaky" <<-END
	#!/bin/sh
	[ ! -e $tmp/hangs ] || exec tail -f /dev/null
	[ -e $tmp/good ] || exit 3
	exec $wordcount
END
chmod +x "$tmp/flaky"
touch "$tmp/good"
wordcount=$tmp/flaky conf flaky Workers=1 Standby=1 StartTimeout=1s
run_conf flaky
result "one parks" "$(parked 1)"
before=$(workers)
rm "$tmp/good"
run restart --max-unavailable=0 --timeout 20s
held "a standby that does not start: held" 'holding at 0 of 1: the standby for worker 0 does not start'
run restart
expect "which is what the next one is told" 1 "standby for worker 0 does not start.*--resume"
run restart --resume --timeout 20s
held "resumed and still so: held again" 'holding at 0 of 1: the standby for worker 0 does not start'
touch "$tmp/hangs"
run restart --resume --timeout 20s
held "one that does not get ready: held after StartTimeout" 'holding at 0 of 1: no standby was ready in time for worker 0'
run restart --cancel --timeout 20s
expect "given up" 0 'restarted 0 of 0'
equal "with the worker as it was" "$(workers)" "$before"
rm "$tmp/hangs"
touch "$tmp/good"
run reload
result "one parks again" "$(parked 1)"
rm "$tmp/good"
run restart --max-unavailable=0 --timeout 20s
held "held once more" 'holding at 0 of 1: the standby for worker 0 does not start'
touch "$tmp/good"
run restart --resume --timeout 20s
expect "resumed when it can start: done" 0 'restarted 1 of 1'
equal "by the standby" "$(workers | grep -cxF "$before")" 0
stop

# ---- limits and output ---------------------------------------------------------------------------

mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
if [[ " $(cat "$mount/cgroup.controllers" 2>/dev/null) " == *" memory "* ]]; then
	conf limited Workers=1 Standby=1 MemoryMax=64M
	run_conf limited
	parked 1
	one=$(standbys)
	group=$(sed -n 's/^0:://p' "/proc/$one/cgroup")
	equal "MemoryMax: a standby is in a group of the fleet, which has the limit" \
		"$(cat "$mount$(dirname "$group")/memory.max")" 67108864
	victim=$(workers)
	kill -KILL "$victim"
	run call apple
	equal "and takes over within it" "$(successor "$victim")" "$one"
	stop
else
	skip "MemoryMax and a standby" "cgroup: no memory controller in version 2"
fi

# A journal of its own: a socket that takes whatever comes, in a mount namespace where it is at the
# journal's place. The fleet runs there, the test need not.
conf journal Workers=1 Standby=1 Output=journal
if unshare --mount true 2>/dev/null; then
	lines 7 "$tmp/run.journal" unshare --mount --propagation private sh -c \
		'mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && exec "$@"' sh \
		"$build/tests/system/probe" listen /run/systemd/journal/stdout \
		"$rekindle" run --config "$tmp/conf/journal.conf"
	keeper=$!
	await 7 "fleet words" || { result "a fleet with a journal" "$(cat "$tmp/run.journal")"; finish; }
	parked 1
	one=$(standbys)
	socket=$(readlink "/proc/$one/fd/1")
	result "Output=journal: a standby has a socket of its own" "$([[ $socket == socket:* ]] || echo "$socket")"
	victim=$(workers)
	kill -KILL "$victim"
	run call apple
	equal "it takes over" "$(successor "$victim")" "$one"
	now=$(readlink "/proc/$one/fd/1")
	result "and has another socket then, the slot's" "$([[ $now == socket:* && $now != "$socket" ]] || echo "$socket, then $now")"
	equal "for its errors too" "$(readlink "/proc/$one/fd/2")" "$now"
	stop
else
	skip "Output=journal and a standby" "root: no mount namespace can be made"
fi

finish
