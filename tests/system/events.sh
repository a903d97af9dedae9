#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    the flight recorder tells of a death, its cause and what came of it: while the fleet
#         runs, as it happens, and when nobody is alive any more; the next start replaces it, a
#         clean stop removes it, and what is no flight recorder is refused with what to do.
# Method  real fleets of wordcount in a runtime directory of their own, with the programs of
#         $BUILD. Nothing waits by the clock: what is followed says when it has happened.
. "$(dirname "$0")/lib.sh"

# json NAME EXPRESSION: of all objects that run printed, as one array
json() {
	if ! command -v jq >/dev/null; then
		skip "$1" "jq: jq is not installed"
	else
		result "$1" "$([ "$(printf '%s' "$out" | jq -s "$2" 2>&1)" = true ] || echo "not so: $2")"
	fi
}

# documented COMMAND: every member of what run printed stands in the command's help; the pairs of
# a text and the members of a list that is said to be like another are not listed one by one.
documented() {
	command -v jq >/dev/null || return
	"$rekindle" help "$1" | sed -n '/^-o json/,$s/^  \([a-z][^ ]*\).*/\1/p' | sort -u >"$tmp/documented"
	printf '%s' "$out" | jq -r 'paths | map(if type == "number" then "[]" else . end) | join(".") | gsub("\\.\\[\\]"; "[]")' |
		grep -vE '\[\]$|fields\.|^(history|events)\[\]\.' | sort -u >"$tmp/printed"
	result "$1: every member of its JSON is documented" "$(comm -13 "$tmp/documented" "$tmp/printed")"
}

# follow FD COMMAND…: runs rekindle with it, its lines on FD, its pid in $follower
follow() {
	lines "$1" "$tmp/follow.err" "$rekindle" "${@:2}"
	follower=$!
}

pid_of() { # WORKER
	"$rekindle" status --name one | awk -v w="$1" '$1 == w && $3 ~ /^[0-9]+$/ { print $3 }'
}

# asleep PID: its one thread polls without a time-out (poll is call 7 on x86-64), the other one
# sleeps on a futex without one (futex_waitv, 449)
asleep() {
	local calls
	for _ in $(seq 500); do
		calls=$(cat /proc/"$1"/task/*/syscall 2>&1)
		if grep -qE '^7 \S+ 0x3 0xffffffff ' <<<"$calls" && grep -qE '^449 \S+ 0x2 0x0 0x0 ' <<<"$calls"; then return 0; fi
	done
	echo "$calls"
	return 1
}

# sleeps NAME PID
sleeps() {
	if [ "$(uname -m)" != x86_64 ] || ! cat /proc/"$2"/syscall >/dev/null 2>&1; then
		n=$((n + 1))
		echo "ok $n - $1 # SKIP syscall: /proc/PID/syscall is not readable"
	else
		result "$1" "$(asleep "$2")"
	fi
}

# ---- nobody ------------------------------------------------------------------------------------

run events
expect "events without a fleet" 3 "no fleet is running, and none has left a flight recorder"
run why 0
expect "why without a fleet" 3 "none has left a flight recorder"
run why 0 --name one
expect "why of a fleet that never ran" 3 "fleet 'one' has no flight recorder"
run why
expect "why needs a worker" 64 "why needs a WORKER"
run why first
expect "a worker is a number" 64 "WORKER is the number of a slot"
run events --kind death,birth
expect "a kind that is none" 64 "'birth' is none"
run get
expect "get without a fleet" 3 "no fleet is running"

# ---- a death -----------------------------------------------------------------------------------

start one 2 7
run events
expect "the start is told" 0 "start .*supervisor started release="
result "and that all are ready" "$(grep -qE 'ready .*fleet ready workers=2' <<<"$out" || echo "not so")"
run why 1
expect "a worker that nothing happened to" 0 "none that the flight recorder still knows"
run why 7
expect "a worker that never was" 1 "says nothing of a worker 7"

follow 8 events -f -n 0
follower_of_events=$follower
follow 9 get -w
await 9 "     0  ready"
result "get prints the workers" "$([ -n "$line" ] || echo "no line of worker 0")"
await 9 "     1  ready"
watcher=$follower
victim=$(pid_of 0)
kill -KILL "$victim"
await 8 "worker died"
result "events -f prints the death with pid and cause" "$([[ $line =~ death.*" 0 ".*$victim.*cause=\"SIGKILL\" ]] || echo "printed: $line")"
await 8 "obituary"
result "and what came of it" "$([[ $line == *"worker 0 (pid $victim) SIGKILL: "*" after "* ]] || echo "printed: $line")"
await 7 "pid $victim"
result "which is the line that people read" "$([[ $line == *SIGKILL* ]] || echo "printed: $line")"
heir=$(pid_of 0)
while await 9 "     0  " && [[ $line != *"ready"*"$heir"* ]]; do :; done
result "get -w prints the successor" "$([ -n "$line" ] || echo "no line of pid $heir")"
sleeps "get -w sleeps until something happens, not by the clock" "$watcher"
sleeps "and so does events -f" "$follower_of_events"

run events --kind death,obituary -o json
json "events as JSON" "length == 2 and .[0].kind == \"death\" and .[0].pid == $victim and .[0].worker == 0 and .[0].fields.cause == \"SIGKILL\" and .[1].group == .[0].sequence"
documented events
run events --worker 0 --kind transition -o json
json "a worker's transitions are there in their order" '[.[].fields.to | select(. != "fencing")] == ["starting","ready","down","starting","ready"] and ([.[].sequence] | . == sort)'
run events --worker 0 --kind spawn
expect "and its starts" 0 "spawn .* $heir "
run events --worker 1 --kind death
expect "nothing of others" 0 "^$"
run events
expect "events as they are by default say what happened" 0 "obituary .*$victim"
result "and nothing that is for debugging" "$(grep -E ' (transition|spawn|client) ' <<<"$out")"
run events -o json
json "nor as JSON" 'all(.severity != "debug")'
run events --all one
expect "--all prints it, of the fleet that is named" 0 "transition .*from=down to=starting"
local=$(TZ=XYZ-5:30 "$rekindle" events -n 1 | cut -c1-19)
utc=$(TZ=XYZ-5:30 "$rekindle" events -n 1 --utc | cut -c1-19)
result "times are those of here, with --utc in UTC" "$([ $(($(date -ud "$local" +%s) - $(date -ud "$utc" +%s))) -eq 19800 ] || echo "$local $utc")"
run events -n 1 -o json
json "-n prints the last" 'length == 1'
run events --since 1h -o json
json "--since prints what is not older" 'length > 3'
run why 0
expect "why tells the cause" 0 "death .* $victim .*SIGKILL"
run why 0 -o json
json "why as JSON" ".[0].worker == 0 and ([.[0].incident[].kind] == [\"death\",\"obituary\"]) and (.[0].history | length) >= 7"
documented why
run status 0
expect "status WORKER shows its last events" 0 "obituary .*worker 0 \(pid $victim\)"
run status 0 -o json
json "also as JSON" '(.[0].workers | length) == 1 and .[0].workers[0].slot == 0 and ([.[0].events[].kind] == ["death","obituary"])'
documented status
run status 7
expect "status of a worker that never was" 64 "there is no worker 7"
run get 1 -o json
json "get as JSON, of one worker" 'length == 1 and .[0].worker == 1 and .[0].state == "ready"'
documented get

# ---- a file that is none -----------------------------------------------------------------------

flight=$REKINDLE_RUNTIME_DIR/one/flight
result "the file is the owner's alone" "$([ "$(stat -c %a "$flight")" = 600 ] || stat -c %a "$flight")"
mv "$flight" "$tmp/flight"
head -c 5000 /dev/urandom >"$flight"
run why 0
expect "garbage is refused with what to do" 1 "is no flight recorder .*: remove it"
rm "$flight"
run why 0
expect "a file that was removed" 3 "has no flight recorder"
run status 0
expect "does not keep status from what it knows" 0 "SIGKILL .* ago"
cp "$tmp/flight" "$flight"
truncate -s 100000 "$flight"
run why 0
expect "a shrunk file" 1 "somebody has changed its size"
mv "$tmp/flight" "$flight"

# ---- everybody dies ----------------------------------------------------------------------------

supervisor=$("$rekindle" status | sed -n 's/.*supervisor \([0-9]*\)$/\1/p')
truncate -s 0 "$flight"
kill -KILL "$(pid_of 1)"
await 7 "worker 1"
result "the supervisor survives a file that is cut" "$([ "$(pid_of 1)" ] && [ -d "/proc/$supervisor" ] || echo "it is gone")"
"$rekindle" stop >/dev/null
reap "$keeper"
result "a clean stop removes file and directory" "$(ls -A "$REKINDLE_RUNTIME_DIR")"

start one 2 7
keeper_one=$keeper
follow 8 events -f
await 8 "fleet ready"
killed=$(pid_of 0)
kill -KILL "$killed"
await 8 "obituary"
supervisor=$("$rekindle" status | sed -n 's/.*supervisor \([0-9]*\)$/\1/p')
kill -KILL "$keeper_one" "$supervisor" "$(pid_of 0)" "$(pid_of 1)" 2>/dev/null
reap "$keeper_one"
run why 0
expect "when all are killed, why still tells" 0 "death .* $killed .*SIGKILL"
run events -n 3
expect "and events" 0 "obituary .*$killed"
run status 0
expect "status needs the supervisor" 3 "."
start one 1 7
await 8 "replaced by a new fleet"
await 8 "workers=1"
result "events -f goes on with the next fleet of the name" "$([ -n "$line" ] || echo "it did not")"
run events -o json
json "whose file begins anew" '.[0].sequence == 1 and ([.[] | select(.kind == "death")] | length) == 0'
"$rekindle" stop >/dev/null
await 8 "fleet ended"
result "and ends with it" "$([ -n "$line" ] || echo "no last line")"
reap "$follower"
status=$?
result "with status 0" "$([ "$status" -eq 0 ] || echo "status $status")"
reap "$keeper"
result "nothing is left" "$(ls -A "$REKINDLE_RUNTIME_DIR")"

# ---- the supervisor alone dies -----------------------------------------------------------------

start one 1 7
supervisor=$("$rekindle" status | sed -n 's/.*supervisor \([0-9]*\)$/\1/p')
follow 8 events -f
kill -KILL "$supervisor"
await 8 "fleets adopted workers=1"
result "its successor goes on with the recorder, which is followed across" "$([ -n "$line" ] || echo "no such line")"
run events
expect "which tells what was before" 0 "fleet ready workers=1"
expect "and that the supervisor died, and of what" 0 "^[^ ]+ [^ ]+ +death +- +$supervisor +supervisor died, workers go on cause=\"SIGKILL\" by=\"\"$"
"$rekindle" stop >/dev/null
await 8 "fleet ended"
reap "$follower"
reap "$keeper"
result "what is said on standard error has its time, fleet and process" "$(grep -qE \
	"^20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9:]{8}\.[0-9]{3} one rekindled\[$keeper\]: the supervisor died, .* pid=$supervisor " "$tmp/run.one" || cat "$tmp/run.one")"

# What is meant for keeper and reaches the supervisor.
start one 1 7
kill -TERM "$("$rekindle" status | sed -n 's/.*supervisor \([0-9]*\)$/\1/p')"
reap "$keeper"
status=$?
result "SIGTERM to the supervisor ends the fleet in order, too" "$([ "$status" -eq 0 ] || echo "status $status"; ls -A "$REKINDLE_RUNTIME_DIR")"

# One that keeper had to kill, since it does not answer.
TZ=XYZ-5:30 start one 1 7 --stop-timeout 100ms
ahead=$(($(date -ud "${line:0:19}" +%s) - $(date +%s)))
result "lines of the log have the time of here, too" "$([[ $ahead -gt 19700 && $ahead -le 19800 ]] || echo "$line is $ahead s ahead of UTC")"
supervisor=$("$rekindle" status | sed -n 's/.*supervisor \([0-9]*\)$/\1/p')
kill -STOP "$supervisor"
kill -TERM "$keeper"
reap "$keeper"
run events
expect "keeper says why it killed a supervisor" 0 "supervisor died, .*cause=\"SIGKILL\" by=\"the supervisor did not stop in time\""

finish
