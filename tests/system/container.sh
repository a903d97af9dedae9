#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    in a container, without systemd and without control groups, keeper is PID 1: it reaps whatever
#         is orphaned there, passes signals on, replaces a supervisor that dies, and everything ends with
#         it, stopped workers included.
# Method  rekindled as the first process of a pid namespace of its own (unshare), with a /proc of its own.
. "$(dirname "$0")/lib.sh"

if ! unshare --pid --fork --kill-child --mount-proc true 2>/dev/null; then
	skip "keeper as PID 1" "namespaces: unshare --pid --mount-proc is not allowed here"
	finish
fi

# contain NAME: a fleet of two workers whose keeper is PID 1; $box is unshare's pid, $first keeper's out here
contain() {
	lines 7 "$tmp/run.$1" unshare --pid --fork --kill-child --mount-proc \
		"$rekindled" --name "$1" --workers 2 --stop-timeout 2s -- "$wordcount"
	box=$!
	await 7 "fleet $1"
	first=$(pgrep -P "$box")
}

# inside COMMAND…: in the namespaces of the container
inside() {
	nsenter --target "$first" --pid --mount -- "$@"
}

# children: keeper's, their names and states, without what pgrep itself is
children() {
	ps -o stat=,comm= --ppid "$first"
}

# gone PID…: waits until none of them lives
gone() {
	local pid
	for pid; do
		for _ in {1..200}; do
			kill -0 "$pid" 2>/dev/null || break
			read -rt 0.05 <> <(:)
		done
		! kill -0 "$pid" 2>/dev/null || echo "process $pid is left"
	done
}

contain pid1
result "keeper is PID 1" "$([ "$(inside cat /proc/1/comm)" = rekindled ] || inside ps ax)"
run_program inside "$rekindle" --name pid1 call apple
expect "a call is answered inside" 0 '^1$'

# An orphan of somebody's who entered: PID 1 inherits and reaps it.
orphan=$(inside sh -c 'sh -c "sleep 0.1" >/dev/null 2>&1 & echo $!')
for _ in {1..100}; do
	children | grep -q Z || [ -n "$(inside ps -o pid= -p "$orphan")" ] || break
	read -rt 0.05 <> <(:)
done
result "what is orphaned there is reaped" "$(inside ps -o stat=,pid=,comm= -p "$orphan"; children | grep Z)"

pids=$(pgrep -P "$first" wordcount | sort | tr '\n' ' ')
supervisor=$(pgrep -P "$first" rekindled)
kill -KILL "$supervisor"
run_program inside "$rekindle" --name pid1 call apple
expect "a supervisor that is killed is replaced, and counts go on" 0 '^2$'
result "with the same workers" "$([ "$(pgrep -P "$first" wordcount | sort | tr '\n' ' ')" = "$pids" ] || children)"

kill -TERM "$first"
reap "$box"
status=$?
result "SIGTERM ends it in order" "$([ $status -eq 0 ] || echo "status $status")$(gone $pids)"
result "and leaves nothing" "$(ls -A "$REKINDLE_RUNTIME_DIR" 2>/dev/null)"

contain killed
pids=$(pgrep -P "$first" | tr '\n' ' ')
# shellcheck disable=SC2086 # several words are meant
kill -STOP $(pgrep -P "$first" wordcount)
kill -KILL "$first"
reap "$box"
result "with PID 1 everything ends, stopped workers too" "$(gone $pids)"
finish
