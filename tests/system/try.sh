#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    `rekindle check --try` says of a command that does not work as a worker what is wrong and the one thing to do
#         about it, of one that does that it does, and leaves nothing behind.
# Method  commands that are wrong in one way each, all tried side by side, with the fix that is expected.
. "$(dirname "$0")/lib.sh"

cases=()
declare -A wants=() codes=() needs=()

# try NAME STATUS FIX OPTION…: begins to try it. FIX (ERE) is looked for in what it prints. In front of it
# `needing PROGRAM` where that may not be installed.
needed=
needing() { needed=$1; }
try() {
	local name=$1
	codes[$name]=$2
	wants[$name]=$3
	needs[$name]=$needed
	cases+=("$name")
	shift 3
	if [ -z "$needed" ] || command -v "$needed" >/dev/null; then
		timeout 60 "$rekindle" check --try "$@" >"$tmp/out.${#cases[@]}" 2>&1 &
		pids+=($!)
	else
		pids+=(0)
	fi
	needed=
}

# judge: waits for all, in their order
judge() {
	local i name status
	for i in "${!cases[@]}"; do
		name=${cases[i]}
		if [ "${pids[i]}" = 0 ]; then
			skip "$name" "${needs[$name]}: ${needs[$name]} is not installed"
			continue
		fi
		wait "${pids[i]}"
		status=$?
		result "$name" "$([ $status -eq "${codes[$name]}" ] &&
			tr '\n' '~' <"$tmp/out.$((i + 1))" | grep -qE -e "${wants[$name]}" &&
			{ [ $status -ne 1 ] || [ "$(grep -c '^fix: ' "$tmp/out.$((i + 1))")" -eq 1 ]; } ||
			echo "exit status $status, looking for /${wants[$name]}/ in: $(cat "$tmp/out.$((i + 1))")")"
	done
	cases=()
	pids=()
}

pids=()
port=$((20000 + $$ % 20000))
lines=(--kind=lines --timeout 2s)
printf 'no program\n' >"$tmp/plain"
printf '#!/bin/sh\nwhile read -r l; do printf "%%s" "$l"; done\n' >"$tmp/open"
printf '#!/bin/sh\nwhile read -r l; do printf "\\033[1m%%s\\033[m\\n" "$l"; done\n' >"$tmp/colored"
printf '#!/bin/sh\ntrap "" TERM\nwhile read -r l; do echo "$l"; done\nsleep 30\n' >"$tmp/stays"
chmod +x "$tmp/open" "$tmp/colored" "$tmp/stays"
unset PYTHONUNBUFFERED

fine='ok   found .*~ok   ready .*~ok   answered .*rekindle.*~ok   answered .*~ok   stopped '
try "sed -u works" 0 "$fine" "${lines[@]}" -- sed -u s/x/x/
needing jq; try "jq works as its preset says" 0 "$fine" --preset=jq -- jq --unbuffered -c .
try "the line can be another one" 0 'answered .*: ANOTHER~' "${lines[@]}" --try-line=another -- sed -u 's/.*/\U&/'
needing jq; try "jq that keeps answers back" 1 'has read the line~.*fix: add --unbuffered' "${lines[@]}" -- jq -c .
needing jq; try "jq in colors" 1 'answers in colors.*fix: add -M' "${lines[@]}" -- jq --unbuffered -C -c .
try "sed that keeps answers back" 1 'fix: add -u' "${lines[@]}" -- sed s/x/x/
needing mawk; try "mawk that keeps answers back" 1 'fix: add -W interactive' "${lines[@]}" -- mawk '{ print }'
try "grep that keeps answers back" 1 'fix: add --line-buffered' "${lines[@]}" -- grep rekindle
needing python3; try "python that keeps answers back" 1 'fix: add -u' "${lines[@]}" -- "$(readlink -f /usr/bin/python3)" -c 'import sys
for l in sys.stdin: print(l, end="")'
try "no newline" 1 'but no whole line~fix: end each answer with a newline' "${lines[@]}" -- "$tmp/open"
try "colors of another program" 1 'fix: tell it to leave colors out' "${lines[@]}" -- "$tmp/colored"
judge
try "two answers" 1 'answered .*fix: it has to print one line for each' "${lines[@]}" -- sed -u p
try "a banner" 1 'fix: it has to print nothing but answers' "${lines[@]}" -- sh -c 'echo welcome; exec cat'
try "no input is read" 1 'it has not read the line~fix: it has to read lines' "${lines[@]}" -- sleep 300
try "its output is closed" 1 'fix: it has to keep its standard output open' "${lines[@]}" -- sh -c 'exec >&-; sleep 300'
try "it goes into the background" 1 'fix: (tell it to stay in|it has to go on, in) the foreground' "${lines[@]}" -- sh -c 'sleep 300 & exit 0'
try "it ends at once, and says why" 1 'exit 3.*~     \| no such option~fix: it has to go on' "${lines[@]}" -- sh -c 'echo no such option >&2; exit 3'
try "it answers but once" 1 'answered .*fix: it has to go on' "${lines[@]}" -- head -n 1
try "its answers are too long" 1 'fix: let answers be longer with MaxReply=' "${lines[@]}" -- sed -u 's/.*/&&&&&&&&&&/;s//&&&&&&&&&&/;s//&&&&&&&&&&/'
try "it does not stop" 1 'fix: it has to end at the end of its input' "${lines[@]}" --set StopTimeout=500ms -- "$tmp/stays"
try "there is no such program" 78 'install it' "${lines[@]}" -- no-such-program
try "it is no program" 78 'make it an executable' "${lines[@]}" -- "$tmp/plain"
try "a filter without a kind" 1 'fix: .*--kind=lines' --timeout 1s --kind=native -- sed -u s/x/x/
try "it never says READY=1" 1 'fix: it has to say READY=1' --timeout 1s --kind=notify -- sleep 300
judge
redis=(--preset=redis --timeout 5s)
needing redis-server; try "redis works as its preset says" 0 'ok   found .*~ok   ready .*~ok   stopped ' "${redis[@]}" --set Port=$port -- redis-server --port %p
needing redis-server; try "redis in the background" 1 'fix: .*add --daemonize no' "${redis[@]}" --set Port=$((port + 1)) -- redis-server --port %p --daemonize yes
needing redis-server; try "redis at another port" 1 'connection refused.*fix: .*use the port' --preset=redis --timeout 1s --set Port=$((port + 2)) -- redis-server --port $((port + 3))
needing memcached; try "memcached in the background" 1 'fix: .*leave -d out' --kind=tcp --set Send='version\r\n' --set Expect=VERSION --set Port=$((port + 4)) \
	-- memcached -d -u nobody -p %p
judge

# A port that another one has.
if command -v python3 >/dev/null; then
	lines 8 "$tmp/err" python3 -u -c 'import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); print(s.getsockname()[1]); time.sleep(60)'
	await 8 ""
	try "its port is another one's, who is named" 1 'fix: end whoever has the port.*that of python3' --kind=tcp --set Send=x --set Expect=x \
		--set "Port=$line" -- sleep 300
	judge
else
	skip "its port is another one's, who is named" "python3: python3 is not installed"
fi

# A configuration: each of its fleets, with one worker and not where it really runs.
printf '[Fleet a]\nExec=sed -u "s/r/R/"\nKind=lines\nWorkers=9\n[Fleet b]\nExec=sed -u p\nKind=lines\nAfter=a\n' >"$tmp/two.conf"
run check --try "$tmp/two.conf" --timeout 2s
expect "each fleet of a configuration is tried, until one fails" 1 '^fix: it has to print one line for each'
result "the one before it works" "$(printf '%s\n' "$out" | tr '\n' '~' | grep -qE '^a:~ok .*answered .*: Rekindle~.*~b:~ok ' || echo "$out")"
run check --try
expect "without a command it says what it needs" 64 'needs a configuration'

result "nothing is left" "$(ls -d /tmp/rekindle-try-* 2>/dev/null; ls -A "$tmp/r" 2>/dev/null; pgrep -af 'rekindle-try-')"

finish
