# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # who sources this uses the rest
# What the scripts over a fleet as a service of a real systemd share: the project as `make install` lays it
# out, in $files for box_up, and what is asked in the container about the fleet rekindle@demo. Sourced, not run.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/box.sh"

trap 'box_down; cleanup' EXIT
unset REKINDLE_RUNTIME_DIR
files=$tmp/files
groups=/sys/fs/cgroup
unit=rekindle@demo
dropins=/etc/systemd/system/$unit.service.d

make -s -C "$build" install DESTDIR="$files" >"$tmp/log" 2>&1 || { result "make install" "$(cat "$tmp/log")"; finish; }
setting() {
	printf 'x:\n\t@echo $(%s)\n' "$1" | make -s -C "$build" -f Makefile -f - x
}
examples=$(setting docdir)/examples
libexec=$(setting pkglibexecdir)
install -D -t "$files/etc/rekindle" -m 644 "$files$examples/demo.conf"

details() {
	[ -z "$status" ] || printf '%s\n' "status $status" "stdout: $out" "stderr: $err"
	box journalctl -q --no-pager -n 25 -o short-monotonic 2>/dev/null
}

# equal NAME GOT EXPECTED
equal() {
	result "$1" "$([ "$2" = "$3" ] || printf 'got: %s\nnot: %s\n' "$2" "$3")"
}

# in_box COMMAND…: leaves its outcome in out, err and status
in_box() {
	run_program box "$@"
}

# show PROPERTY [UNIT]
show() {
	box systemctl show -P "$1" "${2-$unit}"
}

# put FILE TEXT: writes it in the box
put() {
	box sh -c 'mkdir -p "$(dirname "$1")"; cat >"$1"' - "$1" <<<"$2"
}

# dropin TEXT: what the unit has besides, from its next start on; nothing without TEXT
dropin() {
	box rm -rf "$dropins"
	[ -z "$1" ] || put "$dropins/test.conf" "[Service]
$1"
	box systemctl daemon-reload
}

# up [NAME]: starts the fleet and waits for its workers. Prints what is wrong.
up() {
	box systemctl start "rekindle@${1-demo}" 2>&1 && box rekindle --name "${1-demo}" status --wait 2>&1 >/dev/null
}

# crash: keeper is killed, in whose place systemd starts another one, RestartSec later
crash() {
	box systemctl kill --kill-whom=main -s KILL $unit
}

# workers: their pids
workers() {
	box pgrep -f "^$libexec/wordcount\$"
}

# team: notes who is there: keeper, supervisor, workers
team() {
	keeper=$(show MainPID)
	supervisor=$(box pgrep -P "$keeper" -x rekindled-sup)
	workers=$(workers | xargs)
}

# replaced: waits, 10 s at most, until there is another keeper than the noted one, which says READY
replaced() {
	local end=$((SECONDS + 10))
	until [ "$(show MainPID)" != "$keeper" ] && [ "$(show ActiveState)" = active ]; do
		[ $SECONDS -lt $end ] || { echo "keeper $keeper is not replaced"; return 1; }
	done
}

# kept NAME: the workers are the same ones, and have lost nothing since the last call
kept() {
	n_calls=$((n_calls + 1))
	equal "$1" "$(box rekindle --name demo call apple) $(workers | xargs)" "$n_calls $workers"
}
