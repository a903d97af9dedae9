# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # who sources this uses the rest
# What the scripts over a configured fleet share: one fleet at a time, "spawn", as $tmp/spawn.conf
# says. Sourced, not run.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

chmod 755 "$tmp" # other users come here too
exec=$wordcount  # what launch() runs
probe=$build/tests/system/probe
abi=$("$rekindle" version -o json | sed 's/.*"abi":\([0-9]*\).*/\1/')

details() {
	printf '%s\n' "status $status" "stdout: $out" "stderr: $err" "fleet: $(cat "$tmp/run.err" 2>/dev/null)" | head -40
}

# equal NAME HAVE WANT
equal() {
	result "$1" "$([ "$2" = "$3" ] || echo "'$2' instead of '$3'")"
}

# sees PATTERN: reads the fleet's event lines until one fits (ERE), which is left in line
sees() {
	while IFS= read -r -t 30 -u 7 line; do
		[[ ! $line =~ $1 ]] || return 0
	done
	echo "no line /$1/"
	return 1
}

# serve: runs what $tmp/spawn.conf says; its event lines come on descriptor 7
serve() {
	rm -f "$tmp/run.err"
	lines 7 "$tmp/run.err" "$rekindle" run --config "$tmp/spawn.conf"
	keeper=$!
}

# launch CONFIGURATION-LINES: a fleet "spawn" of one worker
launch() {
	printf '[Fleet spawn]\nExec=%s\nWorkers=1\n%s\n' "$exec" "$1" >"$tmp/spawn.conf"
	serve
}

# ready LINES: the same, and until it is ready; pid is the worker's
ready() {
	launch "$1"
	sees '^(spawn )?.*fleet spawn, 1 worker: ' || return 1
	pid=${line##* }
}

# gone: the fleet has ended, or will by itself
gone() {
	reap "$keeper"
	keeper=
}

stop() {
	[ -n "$keeper" ] || return 0
	"$rekindle" stop >/dev/null 2>&1
	gone
}

is_root=
[ "$(id -u)" -ne 0 ] || is_root=1
as_other() {
	setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "$@"
}
