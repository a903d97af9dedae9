#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    jq, sed, mawk and python, as they are installed, answer by their presets and the flags that these ask for:
#         each line of 100,000 once and in its place, while a filter is killed 8 times a second, or every 50 ms (the
#         argument 0.05: restarts are braked then, and it takes 20 s each); jobs of a fleet that stays, over SIGKILL
#         of program and bridge and a filter that hangs; nobody is left.
# Method  pipelines whose answers are compared with those of the bare filter; the killer knows the pids of its
#         own fleet's filters. Waiting is for events.
. "$(dirname "$0")/wrap.sh"

# answers SLOT: its filter does
answers() { [ "$("$rekindle" call --name "$package" --timeout 10s "${key_of[$1]}" "$question")" = "$reply" ]; }
declare -A key_of=()
pause=${1-0.125}

# filters_of KEEPER: pids of the programs of its fleet are left in filters; it forks nobody, to be quick
filters_of() {
	local child comm more
	filters=()
	for child in $(</proc/"$1"/task/"$1"/children); do
		comm=$(<"/proc/$child/comm")
		[ "$comm" != rekindle-bridge ] || { more=$(</proc/"$child"/task/"$child"/children) && filters+=($more); }
	done
}

# killer: kills one of them again and again, from the first line on until the pipeline has ended
killer() {
	local of n=0
	until [ -e "$tmp/end" ] || "$rekindle" status --wait "$package" >/dev/null; do :; done
	of=$("$rekindle" status -o json "$package" | sed 's/.*"keeper_pid": *\([0-9]*\).*/\1/')
	while [ ! -e "$tmp/end" ]; do
		filters_of "$of"
		[ ${#filters[@]} -eq 0 ] || { kill -KILL "${filters[RANDOM % ${#filters[@]}]}" && n=$((n + 1)); }
		read -r -t "$pause" _ <>"$tmp/never"
	done
	echo "$n" >"$tmp/kills"
} 2>/dev/null

# stream COMMAND…: all lines through the preset $package while filters are killed, which no line is to blame for
stream() {
	local pid
	"$@" <"$tmp/in" >"$tmp/want"
	rm -f "$tmp/end"
	killer &
	pid=$!
	started[$pid]=
	"$rekindle" run --name "$package" -n 2 --preset="$package" --set DeadLetterAfter=1000 \
		-- "$@" <"$tmp/in" >"$tmp/out" 2>"$tmp/run.$package"
	status=$?
	: >"$tmp/end"
	reap "$pid"
	kills=$(cat "$tmp/kills")
	sum=$(tail -1 "$tmp/run.$package")
	equal "$package: a pipeline whose filters are killed ends well" "$status" 0
	result "$package: each of its lines has its answer, in its place, over $kills kills ($sum)" \
		"$([ "$kills" -ge 3 ] || echo "$kills kills"; cmp "$tmp/want" "$tmp/out" 2>&1)"
}

hang_program() { kill -STOP "$program"; }

# stay COMMAND…: jobs of a fleet that stays
stay() {
	local w
	lines 7 "$tmp/run.$package" "$rekindle" run --name "$package" -n 2 --set Kind=lines --set Preset="$package" \
		--set HangAfter=500ms -- "$@"
	keeper=$!
	becomes "$rekindle" status --wait "$package" >/dev/null
	for w in 0 1; do
		key_of[$w]=$("$rekindle" key --name "$package" k{1..40} | awk -v w=$w '$3 == w { print $1; exit }')
	done
	is_up 2
	survive "SIGKILL of the program" kill_program
	survive "SIGKILL of the bridge" kill_bridge
	look 0
	kill -STOP "$program"
	result "$package: a job that meets a filter that hangs is answered by the next one" \
		"$(answers 0 || echo "it is not")"
	run events --kind verdict,evidence "$package"
	expect "$package: with evidence from the stopped process" 0 'state=T'
	ended 2
}

# filter PACKAGE QUESTION REPLY COMMAND…
filter() {
	package=$1 question=$2 reply=$3
	has "$package" "$4" || return
	stream "${@:4}"
	stay "${@:4}"
}

choose 1 # ended looks at it
mkfifo "$tmp/never"
awk 'BEGIN { for (i = 1; i <= 100000; i++) printf "{\"n\":%d,\"user\":\"u%d\"}\n", i, i % 97 }' >"$tmp/in"
cat >"$tmp/filter.py" <<'IN'
import sys
for line in sys.stdin:
    print(line.upper(), end="")
IN
filter jq '{"n": 1}' '{"n":2}' jq --unbuffered -c '.n += 1'
filter sed abc xbc sed -u 's/a/x/'
filter mawk 'a b' b mawk -W interactive '{ print $NF }'
# Itself: what stands for it in a developer's PATH may take longer to start than it has to live.
python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null)
filter python abc ABC "${python:-python3}" "$tmp/filter.py"
finish
