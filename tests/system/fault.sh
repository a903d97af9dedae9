#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    rekindle fault does to a worker what it says, and tells of it: each fault is an event,
#         `why` shows that a death was ours, a kill or stop charges no job, a hang and a loop are
#         judged like real ones, and the job they hit is done all the same. Without AllowFaults, or
#         by somebody who is no admin, nothing is done.
# Method  real fleets of wordcount with a short HangAfter. Nothing waits by the clock: the flight
#         recorder, which is followed, says when it has happened.
. "$(dirname "$0")/lib.sh"

# count KIND TEXT: how many events of that kind have the text
count() {
	"$rekindle" events --kind "$1" | grep -cF -- "$2"
}

# pid_of WORKER
pid_of() {
	"$rekindle" status | awk -v w="$1" '$1 == w && $3 ~ /^[0-9]+$/ { print $3 }'
}

# key_of WORKER: a key that belongs to it
key_of() {
	local k
	for k in {a..z}; do
		if [ "$("$rekindle" key "$k" -o json | sed -n 's/.*"worker": *\([0-9]*\).*/\1/p')" = "$1" ]; then
			echo "$k"
			return
		fi
	done
}

# ---- refused ---------------------------------------------------------------------------------

run fault kill 0
expect "without a fleet" 3 "no fleet is running"
run fault
expect "without a fault" 64 "one of kill, stop, hang, loop and slow"
run fault burn 0
expect "a fault that is none" 64 "kill, stop, hang, loop and slow are"
run fault kill
expect "without a worker" 64 "needs a WORKER"
run fault kill 0 --any
expect "a worker, or any" 64 "not both"
run fault kill 0 --for 1s
expect "one kill has no length" 64 "belongs to --rate"
run fault hang 0 --each 1s
expect "a hang is no longer than another" 64 "each is for slow"

start shut 1 7
run fault kill 0
expect "without AllowFaults it is refused with what to set" 77 "set AllowFaults=yes in its section"
run fault hang --any
expect "whatever the fault" 77 "AllowFaults"
result "nothing was done" "$([ "$(count fault injected)" -eq 0 ] || "$rekindle" events)"
"$rekindle" stop >/dev/null
reap "$keeper"

# ---- each of them ------------------------------------------------------------------------------

start open 2 7 --set AllowFaults=yes --set HangAfter=300ms --set OnHang=kill --set OnPaused=report
lines 8 "$tmp/follow.err" "$rekindle" events -f -n 0
follower=$!
key0=$(key_of 0) key1=$(key_of 1)
result "both workers have keys" "$([ -n "$key0" ] && [ -n "$key1" ] || echo "keys $key0 $key1")"

run fault kill 9
expect "a worker that is not there" 3 "there is no worker 9:"

victim=$(pid_of 0)
run fault kill 0
expect "kill says whom it killed" 0 "worker 0 \(pid $victim\) killed"
await 8 "obituary"
result "the event says that it was a fault" "$([ "$(count fault "fault injected what=kill")" -eq 1 ] || "$rekindle" events)"
result "and so does the line that people read" "$([[ $line == *"(pid $victim) SIGKILL (fault injected): "* ]] || echo "printed: $line")"
run why 0
expect "why tells it first" 0 "fault .* $victim .*fault injected what=kill"

# A slow job can be hit; others are too short.
run fault slow 0 --each=60s --jobs=1
expect "slow says by how much and how often" 0 "slowed down by 1 min 0 s in its next 1 job$"
run fault slow 0 --each=1500ms --jobs=1
expect "and says no less than was asked for" 0 "slowed down by 1500 ms in its next 1 job$"
run fault slow 0 --each=60s --jobs=1
"$rekindle" call "$key0" --timeout=60s --retry >"$tmp/slow" &
caller=$!
started[$caller]=
for _ in $(seq 1000); do
	"$rekindle" status 0 | grep -q running && break
done
run fault kill 0
expect "a worker inside a job is killed" 0 "killed"
await 8 "job not charged"
result "and the job is not charged" "$([[ $line == *"we ended the worker, not for its job"* ]] || echo "printed: $line")"
reap $caller
result "and done, once" "$([ "$(cat "$tmp/slow")" = 1 ] || cat "$tmp/slow")"

victim=$(pid_of 1)
run fault stop 1 --for=200ms
expect "stop says whom and how long" 0 "worker 1 \(pid $victim\) stopped for 200 ms"
await 8 "injected stop is over"
result "and it goes on by itself" "$([ -n "$line" ] && [ "$("$rekindle" call "$key1" --retry)" = 1 ] && [ "$(pid_of 1)" = "$victim" ] || "$rekindle" status)"

for fault in hang loop; do
	victim=$(pid_of 1)
	run fault $fault 1
	expect "$fault is ordered" 0 "worker 1 \(pid $victim\) ${fault}s in its next job"
	"$rekindle" put "$key1" --timeout=60s >"$tmp/put" 2>&1 &
	caller=$!
	started[$caller]=
	await 8 "verdict=$([ $fault = hang ] && echo asleep || echo loop)"
	result "a $fault is found by evidence" "$([ -n "$line" ] || "$rekindle" events -n 20)"
	await 8 "job charged"
	result "and judged like a real one" "$([[ $line == *"attempts=1 of=3"* ]] || echo "printed: $line")"
	await 8 "obituary"
	reap $caller
	status=$?
	result "and its successor does the job" "$([ $status -eq 0 ] || cat "$tmp/put")"
	run why 1
	expect "why shows that it was ours" 0 "fault .* $victim .*fault injected what=$fault"
done
out=$("$rekindle" call "$key1" '?')
result "no job was lost or done twice" "$([ "$out" = 3 ] || echo "$out")"
result "and none was quarantined" "$([ "$(count quarantine job)" -eq 0 ] || "$rekindle" events --kind quarantine)"

# ---- a series ----------------------------------------------------------------------------------

run fault kill --any --rate=10 --for=1s
expect "a rate goes on for its time and says how many" 0 "^[1-9][0-9]* faults? injected"
n_said=$(grep -c 'killed$' <<<"$out")
result "a line for each" "$([[ $out == *"$n_said fault"* ]] || echo "$n_said lines")"
result "an event for each" "$([ "$(count fault "what=kill")" -eq $((2 + n_said)) ] || "$rekindle" events --kind fault)"
run fault stop --any --rate=20 --for=500ms --each=20ms -o json
expect "stops at a rate, as JSON" 0 '"what":"stop","injected":[1-9]'
if command -v jq >/dev/null; then
	"$rekindle" help fault | sed -n '/^-o json/,$s/^  \([a-z][^ ]*\).*/\1/p' | sort >"$tmp/documented"
	jq -r 'keys[]' <<<"$out" | sort >"$tmp/printed"
	result "every member of its JSON is documented" "$(diff "$tmp/documented" "$tmp/printed")"
else
	skip "every member of its JSON is documented" "jq: jq is not installed"
fi

# ---- the end -----------------------------------------------------------------------------------

run fault stop 0 --for=1h
expect "a stop of an hour" 0 "stopped for"
run stop --timeout=20s
expect "does not outlive its fleet, nor hold it up" 0 "stopped open: 2 workers$"
reap "$keeper"
reap "$follower"
result "nothing is left" "$(ls -A "$REKINDLE_RUNTIME_DIR")"

# ---- who may -----------------------------------------------------------------------------------

name="a client of another user is refused"
other() {
	setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "$@"
}
if [ "$(id -u)" -ne 0 ] || ! command -v setpriv >/dev/null; then
	skip "$name" "root: only root can be another user"
else
	chmod 755 "$tmp"
	start roles 1 7 --set AllowFaults=yes --set ClientUser=65534 --set SocketMode=0666
	if other test -x "$rekindle"; then
		run_program other "$rekindle" call apple --name roles
		expect "a client of another user may call" 0 "^1$"
		run_program other "$rekindle" fault kill 0 --name roles
		expect "$name" 77 "is for root and the owner"
		result "and nothing was done" "$([ "$(count fault injected)" -eq 0 ] || "$rekindle" events)"
	else
		skip "$name" "user: others cannot enter the build directory"
	fi
	"$rekindle" stop >/dev/null
	reap "$keeper"
fi

finish
