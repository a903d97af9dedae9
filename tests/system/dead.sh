#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    rekindle dead shows what was put aside, sends it again exactly once, also when the retry
#         is killed at any of its system calls, and drops it; a letter's name never means another
#         one; a full table is told and comes free; a mere client sees and does none of it.
# Method  real fleets of tests/system/hang_worker, whose jobs crash while a file exists, and count
#         once it is gone; so what was applied can be counted. Waiting is for events, and bounded.
. "$(dirname "$0")/lib.sh"

worker=$build/tests/system/hang_worker
broken=$tmp/broken # while it exists, jobs crash
go=$tmp/go         # until it exists, jobs wait
chmod 755 "$tmp"

details() {
	printf '%s\n' "status $status" "stdout: $out" "stderr: $err" "fleet: $(tail -30 "$tmp/run.err" 2>/dev/null)"
}

# equal NAME HAVE WANT
equal() {
	result "$1" "$([ "$2" = "$3" ] || echo "'$2' instead of '$3'")"
}

# json NAME EXPRESSION: of the object that run printed
json() {
	if ! command -v jq >/dev/null; then
		skip "$1" "jq: jq is not installed"
	else
		result "$1" "$([ "$(printf '%s' "$out" | jq "$2" 2>&1)" = true ] || echo "not so: $2")"
	fi
}

# documented: every member of what run printed stands in the command's help
documented() {
	command -v jq >/dev/null || return
	"$rekindle" help dead | sed -n '/^-o json/,$s/^  \([a-z][^ ]*\).*/\1/p' | sort -u >"$tmp/documented"
	printf '%s' "$out" | jq -r 'paths | map(if type == "number" then "[]" else . end) | join(".") | gsub("\\.\\[\\]"; "[]")' |
		grep -vE '\[\]$|history\[\]\.' | sort -u >"$tmp/printed"
	result "$1: every member of its JSON is documented" "$(comm -13 "$tmp/documented" "$tmp/printed")"
}

# serve OPTION…: a fleet "dead" of one worker whose jobs are put aside at once
serve() {
	lines 7 "$tmp/run.err" "$rekindle" run --name dead -n 1 --set DeadLetterAfter=1 --set Restart=always \
		--partitions 64 "$@" -- "$worker"
	keeper=$!
	await 7 "fleet dead"
	# Four keys of different partitions, which count for themselves: where a key lies is chance.
	read -r k a b c _ < <("$rekindle" key k{1..60} | awk 'NR > 1 && !seen[$2]++ { printf "%s ", $1 }')
}

stop() {
	"$rekindle" stop >/dev/null 2>&1
	reap "$keeper"
}

# poison KEY [MORE]: a job that crashes its worker while it is broken; its letter's name is in letter
poison() {
	touch "$broken"
	run call --timeout 20s "$1" "always while $broken${2-}"
	letter=$("$rekindle" dead list | awk '$1 ~ /^[0-9]+\.[0-9]+$/ { last = $1 } END { print last }')
}

# added KEY: how many jobs of this key were applied, this one included
added() {
	"$rekindle" call --timeout 20s "$1" add
}

# until_listed PATTERN: reads the list until a line fits
until_listed() {
	for _ in $(seq 1000); do
		run dead list
		if grep -qE -e "$1" <<<"$out"; then return 0; fi
	done
	echo "never listed: $1"
}

# until_told LETTER: until the flight recorder has the death too, which comes behind the letter
until_told() {
	for _ in $(seq 1000); do
		run dead show "$1"
		if grep -q '  death  ' <<<"$out"; then return 0; fi
	done
}

# aside ARGUMENT…: a retry beside the test; its pid is in retry
aside() {
	"$rekindle" dead retry "$@" >"$tmp/aside" 2>&1 &
	retry=$!
	started[$retry]=
}

serve
run dead list
expect "at first there are none" 0 '^no dead letters$'
run dead retry --all
expect "and nothing to retry" 0 '^no dead letters$'
run dead drop --all
expect "or to drop" 0 '^no dead letters$'
run status
result "status does not speak of any" "$(grep -o 'dead letter' <<<"$out")"

# ---- list and show ----------------------------------------------------------------------------

equal "a job is applied" "$(added "$k")" 1
poison "$k"
expect "a job that ends its worker is put aside, and its client is told where to look" 1 "see 'rekindle dead list'"
first=$letter
run dead list
expect "it is listed" 0 "^$first +0  crashed  SIGSEGV +1 .* $k$"
expect "with the room there is" 0 '^1 of 64 places taken$'
run dead list -o json
json "as JSON too" ".letters | length == 1 and .[0].letter == \"$first\" and .[0].key == \"$k\" and .[0].end == \"SIGSEGV\""
documented "dead list"
run status
expect "status tells of it" 0 "^1 dead letter, see 'rekindle dead list'$"
run status -o json
json "as JSON too" '.dead_letters == 1 and .dead_letters_room == 64 and .blocked_partitions == 0'
until_told "$first"
expect "show prints its body" 0 "^  always while $broken$"
expect "and how its attempts ended" 0 'job charged for the last time.*why='
expect "by the death of a process" 0 ' death '
local=$(TZ=XYZ-5:30 "$rekindle" dead show "$first" | sed -n 's/^time *\([^,]*\),.*/\1/p')
utc=$(TZ=XYZ-5:30 "$rekindle" dead show "$first" --utc | sed -n 's/^time *\([^,]*\),.*/\1/p')
equal "show has the time of here, or with --utc that of UTC" "$(($(date -ud "$local" +%s) - $(date -ud "$utc" +%s)))" 19800
run dead show "$first" -o json
json "as JSON too" ".letters[0] | .body == \"always while $broken\" and (.history | length) >= 2"
documented "dead show"
equal "show --body prints it as it is" "$("$rekindle" dead show --body "$first" | od -c)" \
	"$(printf '%s' "always while $broken" | od -c)"
printf 'always crash\0\001\377' | "$rekindle" call --timeout 20s binary - >/dev/null 2>&1
binary=$("$rekindle" dead list | awk '/ binary$/ { print $1 }')
run dead show "$binary"
expect "what is no text is shown in hexadecimal" 0 '^  000000  61 6c 77 .*always crash\.\.'
expect "its size too" 0 '^body +15 bytes$'
run dead drop "$binary"
expect "drop forgets it" 0 "^$binary  dropped$"
run dead drop "$binary"
expect "once" 1 "there is no dead letter $binary"

# ---- mistakes ---------------------------------------------------------------------------------

run dead show 63.12345
expect "a letter that there is not" 1 'there is no dead letter 63\.12345'
run dead drop 63.12345 "$first" 99999.1
expect "what is no letter is refused before anything is done" 64 "'99999.1' is no LETTER"
run dead show 1
expect "a place is no letter" 64 "'1' is no LETTER"
run dead
expect "a word is missing" 64 'list, show, retry or drop'
run dead frob
expect "or unknown" 64 "does not know 'frob'"
run dead retry
expect "letters are missing" 64 'or --all'
run dead retry --all "$first"
expect "all, or some" 64 'or --all'
run dead list --body
expect "an option of another word" 64 -- '--body is for dead show'

# ---- retry ------------------------------------------------------------------------------------

run dead retry "$first"
expect "a retry that fails as before makes another letter" 1 "^$first  quarantined again, as "
second=${out##* }
result "with another name" "$([ "$second" != "$first" ] || echo same)"
run dead show "$first"
expect "which the old one does not mean" 1 "there is no dead letter $first"
run dead list -o json
json "there is one letter" ".letters | length == 1 and .[0].letter == \"$second\""
rm "$broken"
run dead retry "$second" -o json
json "when the worker's fault is repaired it succeeds" \
	'.letters[0] | .outcome == "done" and .reply == "2" and .now == "dropped" and (.resumed | not)'
documented "dead retry"
equal "it was applied once" "$(added "$k")" 3
run dead list
expect "and its letter is gone" 0 '^no dead letters$'

poison "$k" " refuse"
rm "$broken"
run dead retry "$letter"
expect "a letter that the worker refuses is kept" 1 "^$letter  kept: the worker refused it: EPERM"
run dead list -o json
json "as it was" ".letters | length == 1 and .[0].letter == \"$letter\" and (.[0].retrying | not)"
run dead drop --all -o json
json "drop --all" '.letters[0].now == "dropped"'
documented "dead drop"

poison "$k"
rm "$broken"
pid=$("$rekindle" status -o json | sed 's/.*"pid":\([0-9]*\),"incarnation.*/\1/')
kill -STOP "$pid"
run dead retry "$letter" --timeout 300ms
expect "what no worker takes is kept" 1 "^$letter  kept: not applied: "
kill -CONT "$pid"
run dead retry --all
expect "and sent again later" 0 "^$letter  done: 4$"
equal "it was applied once" "$(added "$k")" 5

# ---- killed, and several ----------------------------------------------------------------------

poison "$k" " until $go"
rm "$broken"
aside "$letter"
until_listed "^$letter .*is being sent again" >/dev/null
for _ in $(seq 1000); do
	if "$rekindle" status | grep -q running; then break; fi
done
run dead retry "$letter"
expect "one retry at a time" 1 "another 'rekindle dead retry' \(pid $retry\) is at work"
run dead drop "$letter"
expect "what is being sent again is not dropped" 1 "$letter is being sent again: 'rekindle dead retry"
kill -KILL "$retry"
reap "$retry"
run dead list
expect "the killed one's letter stays marked" 0 "^$letter .*is being sent again"
run dead retry "$letter" --timeout 100ms
expect "the next one waits for the same call" 4 "^$letter  not known yet"
aside "$letter"
touch "$go"
reap "$retry"
equal "and gets its reply" "$(cat "$tmp/aside")" "$letter  done: 6 (an earlier retry had sent it)"
equal "it was applied once" "$(added "$k")" 7

want=7
if ! command -v strace >/dev/null; then
	skip "a retry that is killed at any of its system calls" "strace: strace is not installed"
else
	wrong=
	n_killed=0
	for call in sendmsg recvmsg futex write munmap; do
		for nth in $(seq 1 100); do
			poison "$k"
			rm -f "$broken"
			strace -f -qq -o /dev/null --inject="$call:signal=KILL:when=$nth" \
				"$rekindle" dead retry "$letter" >"$tmp/killed" 2>&1 &
			started[$!]=
			reap $!
			code=$?
			run dead retry --all
			want=$((want + 1))
			grep -q "$letter  done: $want" <<<"$(cat "$tmp/killed")$out" ||
				wrong="$wrong $call $nth: $(cat "$tmp/killed") / $out / $err;"
			want=$((want + 1))
			[ "$(added "$k")" = $want ] || wrong="$wrong $call $nth: not once;"
			[ "$("$rekindle" dead list)" = "no dead letters" ] || wrong="$wrong $call $nth: a letter is left;"
			[ $code != 0 ] && [ -z "$wrong" ] || break
			n_killed=$((n_killed + 1))
		done
	done
	result "a retry that is killed at a system call ($n_killed of them) is brought to its end by the next" "$wrong"
	result "among them those around its sending and settling" "$([ "$n_killed" -ge 16 ] || echo "only $n_killed")"
fi

poison "$a"
poison "$b"
poison "$c"
rm "$broken"
run dead retry --all
equal "retry --all, the oldest first" "$(grep -c 'done: 1$' <<<"$out")" 3
stop

# ---- full -------------------------------------------------------------------------------------

serve --set DeadLetters=2
poison "$a"
poison "$b"
run status
expect "status says that there is no room" 0 "^2 dead letters, no room: the next one's partition will stand still"
run dead retry "$letter"
expect "with all places taken a letter that is quarantined again gives way to itself" 1 "^$letter  quarantined again, as "
letter=${out##* }
run call --timeout 500ms "$c" "always while $broken"
expect "the next one waits for room" 4 'unknown'
run dead list
expect "the list says so" 0 '^2 of 2 places taken$'
expect "and who waits" 0 '^wait for room, until a letter is dropped: partitions [0-9]+$'
run status
expect "status too" 0 '^2 dead letters, no room: 1 partition stands still until one is dropped'
equal "everybody else goes on" "$(added "$k")" 1
run dead drop "$letter"
result "when one is dropped it is put aside" "$(until_listed " $c$")"
rm "$broken"
run dead retry --all
expect "all of them are sent again" 0 'done: 1'
equal "and the partition goes on" "$(added "$c")" 2
stop

# ---- who may ----------------------------------------------------------------------------------

if [ "$(id -u)" -ne 0 ] || ! command -v setpriv >/dev/null; then
	skip "a mere client" "user: needs root"
elif ! setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$rekindle"; then
	skip "a mere client" "user: others cannot enter the build directory"
else
	as_client() {
		run_program setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "$@"
	}
	export REKINDLE_NAME=dead
	serve --set ClientUser=65534 --set SocketMode=0666
	poison "$k"
	for words in list "show $letter" "retry $letter" "drop --all"; do
		# shellcheck disable=SC2086 # several words
		as_client "$rekindle" dead $words
		expect "a client may not: dead $words" 77 'you are a client'
	done
	as_client "$build/tests/system/probe" ask "$tmp/r/dead/control" \
		'{"verb":"dead","abi":2,"do":"drop","place":0,"word":3}'
	expect "nor ask for it" 0 '"EPERM"'
	as_client "$rekindle" call --named rekindle.dead k add
	expect "nor take the retry's name" 77 'for root and the owner'
	for request in '"do":"burn","place":0,"word":1' '"do":"drop","place":64,"word":1' '"do":"drop","place":0,"word":1' \
		'"do":"drop","place":-1,"word":3' '"do":"drop","place":0' '"do":"back","place":0,"word":18446744073709551615'; do
		run_program "$build/tests/system/probe" ask "$tmp/r/dead/control" "{\"verb\":\"dead\",\"abi\":2,$request}"
		expect "nonsense is refused: $request" 0 '"ok":false'
	done
	run dead list
	expect "the letter is there still" 0 "^$letter "
	stop
fi
finish
