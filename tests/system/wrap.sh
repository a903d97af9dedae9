# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # who sources this uses the rest
# What the tests of presets with real packages share: free ports, fleets of foreign programs, their
# trees of processes, and the deaths that each of them has to survive. Sourced, not run.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PATH=$PATH:/usr/sbin:/sbin # nginx, haproxy
states=$tmp/states # where %d is
export SYSTEMD_LOG_LEVEL=err
package=
port= # of slot 0
declare -A seen=() # pid:start of every process of a fleet that was looked at

details() {
	printf '%s\n' "status $status" "stdout: $out" "stderr: $err" "fleet: $(tail -20 "$tmp/run.$package" "$tmp/said" 2>/dev/null)"
}

# equal NAME HAVE WANT
equal() {
	result "$1" "$([ "$2" = "$3" ] || echo "'$2' instead of '$3'")"
}

# becomes COMMAND…: tries until it succeeds, 20 s at most
becomes() {
	local end=$((SECONDS + 20))
	until "$@"; do [ $SECONDS -lt $end ] || return 1; done
}

# has PACKAGE PROGRAM…: what follows is about PACKAGE; false, and a skip, if it is not here
has() {
	local program
	package=$1
	for program in "${@:2}"; do
		type -P "$program" >/dev/null && continue # not a function of this name
		skip "$1" "$1: $program is not installed (scripts/install-deps --tests)"
		return 1
	done
}

# choose N: a first port, of N that nobody has
choose() {
	local i used
	used=$(awk 'FNR > 1 { sub(/.*:/, "", $2); print $2 }' /proc/net/tcp /proc/net/tcp6)
	while :; do
		port=$((20000 + RANDOM % 12000))
		for ((i = 0; i < $1; i++)); do
			! grep -qix "$(printf '%04X' $((port + i)))" <<<"$used" || continue 2
		done
		return
	done
}

# wrap N OPTION… -- COMMAND…: a fleet $package of N slots by the preset of that name from a free port on, its lines on
# descriptor 7. Probes are quick: what hangs is found within 100 ms * 3 + 300 ms, the documented bound.
wrap() {
	choose "$1"
	launch "$@"
	is_up "$1"
}

# is_up N: waits until it is ready; that takes one try each
is_up() {
	local i complaint=
	await 7 ": fleet $package, " || complaint="it does not start"
	for ((i = 0; i < $1; i++)); do
		answers "$i" || complaint="$complaint slot $i does not answer"
		[ "$(restarts "$i")" = 0 ] || complaint="$complaint slot $i had $(restarts "$i") restarts"
	done
	result "$package: who is ready answers, at once and at the first try" "$complaint"
}

# launch N OPTION… -- COMMAND…: the same on the port that is chosen, without waiting
launch() {
	local size=$1
	shift
	# What the fleet and its programs say is kept too; tee ends with them.
	lines 7 "$tmp/run.$package" "$rekindle" run --name "$package" -n "$size" --set Kind=tcp --set Preset="$package" \
		--set Port="$port" --set StateDirectory="$states/%i" --set ProbeInterval=100ms --set ProbeTimeout=300ms --set StartTimeout=20s "$@"
	keeper=$!
}

# ---- its processes ------------------------------------------------------------------------------

# start_of PID: when it started, which with its number is the process
start_of() {
	local stat
	read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
	stat=${stat##*) }
	set -- $stat
	echo "${20}"
}

# bridge SLOT: its pid
bridge() {
	"$rekindle" get "$package" | awk -v w="$1" '$1 == w { print $3 }'
}

# below PID: its descendants, nearest first
below() {
	local child
	for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
		echo "$child"
		below "$child"
	done
}

# look SLOT: its bridge, program and tree are left in b, program and tree; all of them count as seen
look() {
	local pid start
	b=$(bridge "$1")
	tree=$(below "$b")
	program=${tree%%$'\n'*}
	for pid in $b $tree; do
		start=$(start_of "$pid") && seen[$pid:$start]=
	done
}

# left: those of the seen that still are
left() {
	local one
	for one in "${!seen[@]}"; do
		[ "$(start_of "${one%:*}")" != "${one#*:}" ] || echo "$one $(tr '\0' ' ' <"/proc/${one%:*}/cmdline" 2>/dev/null)"
	done
}

# forget: what is seen is what is there now
forget() {
	seen=()
}

# restarts SLOT
restarts() {
	"$rekindle" status -o json "$package" | tr -d ' \n' | sed "s/.*\"slot\":$1,//;s/.*\"restarts\":\([0-9]*\).*/\1/"
}

# ---- deaths -------------------------------------------------------------------------------------

# back PID: waits until the successor of the bridge PID is ready; its line is left in line
back() {
	await 7 "worker 0 (pid $1)" && [[ $line == *" ready after "* ]]
}

# survive NAME COMMAND…: COMMAND ends what look has found of slot 0; another tree comes, answers at once, and nobody of
# the old one is left
survive() {
	local name=$1 old complaint
	shift
	forget
	look 0
	old=$b
	"$@"
	back "$old"
	complaint=$(if [[ $line != *" ready after "* ]]; then echo "no successor: ${line:-nothing}"; else
		left
		answers 0 || echo "it does not answer"
	fi)
	result "$package: $name: all of the old tree is gone, and the successor answers" "$complaint"
}

kill_program() { kill -KILL "$program"; }
kill_bridge() { kill -KILL "$b"; }

# hang COMMAND…: COMMAND stops what answers; that is found within the documented time, with evidence
hang() {
	local at died
	at=$(awk '{ print int($1 * 1000) }' /proc/uptime)
	survive "what hangs is found" "$@"
	run events -o json --kind verdict,evidence,death "$package"
	died=$(grep '"kind": *"verdict"' <<<"$out" | tail -1 | sed 's/.*"monotonic_ns": *\([0-9]*\).*/\1/')
	result "$package: within the documented time" "$(awk -v at="$at" -v died="${died:-0}" 'BEGIN {
		ms = died / 1e6 - at
		if (ms < 0 || ms > 600 + 4000) print ms " ms after it was stopped, bound 600 ms and what evidence takes" }')"
	expect "$package: with evidence from the stopped process" 0 'state=T'
}

# planned: a restart, of the only slot that was looked at, that nobody has to die for
planned() {
	local old complaint
	forget
	look 0
	old=$program
	run restart "$package" 0 --timeout 20s
	complaint=$(left)
	look 0
	[ "$program" != "$old" ] || complaint="$complaint the same process"
	answers 0 || complaint="$complaint it does not answer"
	[ "$status" = 0 ] || complaint="$complaint status $status"
	result "$package: a planned restart ends the old tree first" "$complaint"
}

# moved: slot 1 is drained, ends clean, and comes back
moved() {
	look 1
	run drain "$package" 1 --timeout 20s
	expect "$package: drains" 0 ''
	result "$package: what is drained is gone" "$(answers 1 && echo "it answers")"
	run undrain "$package" 1 --timeout 20s
	run status "$package" --wait=20s
	result "$package: and comes back" "$(answers 1 || echo "it does not answer")"
}

# ended SLOTS: the fleet stops, clean, and leaves nobody
ended() {
	local i
	for ((i = 0; i < $1; i++)); do look "$i"; done
	run stop "$package"
	expect "$package: stops" 0 "stopped $package"
	[ "$status" = 0 ] || kill -KILL "$keeper" # so that it is not waited for
	reap "$keeper"
	equal "$package: with status 0" $? 0
	result "$package: and leaves no process" "$(left)"
	choose_again "$1"
	exec 7<&-
}

# choose_again N: whether the ports are free
choose_again() {
	local i complaint=
	for ((i = 0; i < $1; i++)); do
		! (exec 3<>"/dev/tcp/127.0.0.1/$((port + i))") 2>/dev/null || complaint="port $((port + i)) is open"
	done
	result "$package: and no open port" "$complaint"
}
