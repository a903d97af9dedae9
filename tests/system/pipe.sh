#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    rekindle run as a filter: each line has its answer, once, in order (or in any), whatever is
#         killed meanwhile and whatever the lines are; lines of one key are worked on in order; lines
#         without an answer are named and cost no other line anything; whoever reads or asks it to
#         end is obeyed; nothing is left behind.
# Method  real pipelines of tests/system/upper_worker, which answers in capitals and does what a line
#         says; its log is a FIFO where the test waits for a line to be under way. Input that must
#         not end is another FIFO. Waiting is for events, and bounded.
. "$(dirname "$0")/lib.sh"

upper=$build/tests/system/upper_worker
ulimit -c 0
go=$tmp/go # lines "wait $go" wait for it

details() {
	printf '%s\n' "status $status" "stderr: $(tail -20 "$tmp/err" 2>/dev/null)"
}

# filter OPTION…: a pipeline of standard input into $tmp/out; its outcome is in status and err
filter() {
	timeout -k 5 60 "$rekindle" run -n 3 "$@" -- "$upper" >"$tmp/out" 2>"$tmp/err"
	status=$?
	err=$(cat "$tmp/err")
	out=
}

# same NAME WANT [HAVE]: two files
same() {
	result "$1" "$([ "$status" -eq 0 ] || echo "exit status $status"; cmp "$2" "${3-$tmp/out}" 2>&1)"
}

equal() {
	result "$1" "$([ "$2" = "$3" ] || echo "'$2' instead of '$3'")"
}

# aside OPTION…: a pipeline beside the test: what is written on descriptor 9 is its input, its answers come on 7,
# the log of its workers on 8; its pid is $pipeline
aside() {
	rm -f "$tmp/in" "$tmp/log"
	mkfifo "$tmp/in" "$tmp/log"
	exec 8<>"$tmp/log"
	rm -f "$tmp/lines.7"
	mkfifo "$tmp/lines.7"
	UPPER_LOG=$tmp/log env --default-signal=INT "$rekindle" run -n 2 "$@" -- "$upper" \
		<"$tmp/in" >"$tmp/lines.7" 2>"$tmp/err" 8<&- &
	pipeline=$!
	started[$pipeline]=
	exec 9>"$tmp/in" 7<"$tmp/lines.7"
}

# ended NAME STATUS PATTERN: the pipeline beside the test ends so, and its fleet with it
ended() {
	reap "$pipeline"
	status=$?
	exec 7<&- 8<&- 9>&-
	err=$(cat "$tmp/err")
	out=
	expect "$1" "$2" "$3"
	left_behind "$1: nothing is left"
}

left_behind() {
	local _
	for _ in $(seq 500); do # who was killed itself cannot wait for its fleet
		[ -n "$(pgrep -f "^$upper" || ls -A "$REKINDLE_RUNTIME_DIR" 2>/dev/null)" ] || break
		read -r -t 0.01 <>"$tmp/never"
	done
	result "$1" "$(pgrep -af "^$upper"; ls -A "$REKINDLE_RUNTIME_DIR" 2>/dev/null)"
}
mkfifo "$tmp/never"

# ---- lines ------------------------------------------------------------------------------------

seq 1 5000 | sed 's/^/line /' >"$tmp/in5000"
tr a-z A-Z <"$tmp/in5000" >"$tmp/want"
filter --key=2 <"$tmp/in5000"
same "answers come in the order of the lines" "$tmp/want"
expect "the sum stands on standard error" 0 '5,000 lines in, 5,000 answers, 0 without one; .* lines per second; 0 workers died$'
filter --key=2 < <(cat "$tmp/in5000")
same "from a pipe as well" "$tmp/want"
filter --key=2 -q <"$tmp/in5000"
equal "with --quiet nothing stands there" "$err" ""
filter --unordered <"$tmp/in5000"
LC_ALL=C sort "$tmp/want" >"$tmp/want.sorted"
LC_ALL=C sort "$tmp/out" >"$tmp/out.sorted"
same "without an order there is each answer once" "$tmp/want.sorted" "$tmp/out.sorted"

printf 'a\n\n\nb\r\n\0c\0\n\377\376\nlast' >"$tmp/odd"
{ tr a-z A-Z <"$tmp/odd"; echo; } >"$tmp/want"
for key in whole 1 a .a; do
	filter --key=$key <"$tmp/odd"
	same "whatever a line holds stays as it is (--key=$key)" "$tmp/want"
done
filter --key=whole </dev/null
expect "no line at all is all right" 0 '^rekindle: 0 lines in, 0 answers'
filter --key=whole </
expect "what cannot be read is told" 1 'standard input: Is a directory'
{ head -c 65536 /dev/zero | tr '\0' x; echo; echo b; } >"$tmp/long"
tr a-z A-Z <"$tmp/long" >"$tmp/want"
filter --key=whole <"$tmp/long"
same "a line may have 64 KiB" "$tmp/want"

# ---- keys -------------------------------------------------------------------------------------

# keys OPTION… : the keys of a log of lines, from standard input
keys() {
	rm -f "$tmp/keys"
	UPPER_LOG=$tmp/keys filter "$@"
	have=$(cut -d ' ' -f 1 "$tmp/keys" | LC_ALL=C sort | tr '\n' ' ')
}
keys --key=.u.n < <(printf '%s\n' '{"u":{"n":"ann"}}' '{"u":{"n":7}}' '{"u":{}}')
equal "a key may be in JSON" "$have" '7 ann {"u":{}} '
expect "a line without it is its own key, and told" 0 "1 line has no key '.u.n', the first is line 3"
keys --key=n < <(printf '%s\n' '{"n":"a\u0062"}' 'm=1 n=cd' 'n="ef" m=2')
equal "or a word of the line" "$have" 'ab cd ef '
keys --key=2 < <(printf '%s\n' 'x a' ' y  b z')
equal "or a field" "$have" 'a b '
printf '%s %s\n' "$(head -c 65 /dev/zero | tr '\0' k)" a >"$tmp/longkey"
keys --key=1 <"$tmp/longkey"
result "a long one is 16 digits" "$(grep -qxE '[0-9a-f]{16} ' <<<"$have" || echo "$have")"

for i in $(seq 1 3000); do echo "$((i * 7919 % 11)) $i"; done >"$tmp/keyed"
rm -f "$tmp/keys"
UPPER_LOG=$tmp/keys filter --key=1 --unordered <"$tmp/keyed"
result "lines of one key are worked on in their order" \
	"$(awk '$3 <= last[$1] { print "key " $1 ": " $3 " behind " last[$1] } { last[$1] = $3 }' "$tmp/keys" | head -3)"
equal "all of them" "$(wc -l <"$tmp/keys")" 3000

# ---- programs that know nothing of it ---------------------------------------------------------

for i in $(seq 1 2000); do echo "{\"user\":\"u$((i % 9))\",\"n\":$i}"; done >"$tmp/orders"
while IFS='|' read -r options command; do
	name="${command%% *} with $options"
	if ! command -v "${command%% *}" >/dev/null; then
		skip "$name" "${command%% *}: ${command%% *} is not installed"
		continue
	fi
	# shellcheck disable=SC2086 # words
	run_filter() {
		cat "$tmp/orders" | timeout -k 5 60 "$rekindle" run -n 4 $options -- $command >"$tmp/out"
	}
	run_program run_filter
	same "$name" "$tmp/orders"
done <<TABLE
--kind=lines --key=.user|jq --unbuffered -c .
--preset=jq|jq --unbuffered -c .
--kind=lines|sed -u s/x/y/
--set Kind=lines --partitions=1|mawk -W interactive {print}
TABLE

# ---- filters that are none ----------------------------------------------------------------------

not_one_to_one() {
	seq 10 | timeout -k 5 60 "$rekindle" run -n 2 --kind=lines -- sed -u p
}
run_program not_one_to_one
expect "two lines for one: the answers are said to be worth nothing" 2 'answers cannot be trusted'
keeps_it() {
	seq 10 | timeout -k 5 60 "$rekindle" run -n 1 --kind=lines --set HangAfter=3s --set DeadLetterAfter=1 -- sed s/x/y/
}
run_program keeps_it
result "one that keeps its output until it is much: the remedy is named" \
	"$(grep -q 'has read its first lines and answers none.*sed -u' <<<"$err" || echo "$err")"

# ---- as they come -----------------------------------------------------------------------------

aside --key=whole
echo a >&9
read -r -t 30 -u 7 answer
equal "an answer does not wait for the next line" "$answer" A
echo "wait $go" >&9
echo b >&9
await 8 "b b"
: >"$go"
read -r -t 30 -u 7 answer
equal "an answer waits for those before it" "$answer" WAITED
read -r -t 30 -u 7 answer
equal "and comes behind them" "$answer" B
rm -f "$go"
exec 9>&-
ended "the end of input ends it" 0 '^rekindle: 3 lines in, 3 answers'

aside --key=whole --unordered
echo "wait $go" >&9
await 8 "wait"
seq 1 200 >&9
n_answers=0
while [ "$n_answers" -lt 50 ] && read -r -t 30 -u 7 answer; do n_answers=$((n_answers + 1)); done
equal "without an order none waits for another one" "$n_answers $answer" "50 ${answer/WAITED/}"
: >"$go"
exec 9>&-
cat <&7 >/dev/null
rm -f "$go"
ended "and all are there" 0 '^rekindle: 201 lines in, 201 answers'

# The first line's answer holds up a hundred thousand, of which few are read meanwhile.
{ echo "wait $go"; seq 1 100000; } >"$tmp/held"
{ echo WAITED; seq 1 100000; } >"$tmp/want"
aside --key=whole
cat "$tmp/held" >&9 &
started[$!]=
feeder=$!
exec 9>&-
(exec 8<&-; cat <&7 >"$tmp/out") &
started[$!]=
reader=$!
await 8 " 3000"
peak=$(awk '/VmHWM/ { print $2 }' "/proc/$pipeline/status")
: >"$go"
cat <&8 >/dev/null & # or the workers would wait for room in the log
started[$!]=
log_reader=$!
reap "$feeder"
reap "$reader"
kill "$log_reader"
reap "$log_reader"
rm -f "$go"
ended "a line that takes long holds up the others" 0 '100,001 answers'
same "and none is lost" "$tmp/want"
result "memory is bounded meanwhile" "$([ "${peak:-999999}" -lt 131072 ] || echo "$peak KiB")"

# ---- no answer --------------------------------------------------------------------------------

printf 'a\nrefuse\nb\ndie\nc\nlong 70000\nd\n' >"$tmp/bad"
{ cat "$tmp/bad"; head -c 70000 /dev/zero; echo; echo e; } >"$tmp/bad2"
filter --key=whole <"$tmp/bad2"
expect "a line that is refused is named" 2 '^rekindle: line 2 has no answer: the worker refused: EINVAL'
expect "one that ends its workers too" 2 '^rekindle: line 4 has no answer: it ended its workers too often'
expect "one whose answer is too long" 2 '^rekindle: line 6 has no answer: .*EMSGSIZE'
expect "and one that is too long itself" 2 '^rekindle: line 8 has no answer: it has 70000 bytes'
expect "they are counted, and the workers" 2 '9 lines in, 5 answers, 4 without one; .*; 3 workers died'
printf '%s\n' A B C D E >"$tmp/want"
status=0
same "the others have their answers" "$tmp/want"
filter --key=whole < <(for _ in $(seq 50); do echo refuse; done)
expect "if none has one, nothing worked" 1 '50 lines in, 0 answers, 50 without one'
equal "and not all are named" "$(grep -c 'line [0-9]* has no answer' "$tmp/err")" 20
filter --key=whole < <(for _ in $(seq 1000); do echo die; done)
expect "it gives up when all it sees is workers that end" 1 'no line is answered, since the workers end: .*SIGABRT'
filter --key=whole --max-request=100B < <(printf '%s\n' "$(head -c 84 /dev/zero | tr '\0' x)" "$(head -c 85 /dev/zero | tr '\0' x)")
expect "a line has to fit beside its key" 2 'line 2 has no answer: it has 85 bytes, more than the 84'

# ---- start ------------------------------------------------------------------------------------

UPPER_FAILS=1 filter --key=whole <"$tmp/odd"
expect "workers that end at once are told, with their last words" 1 'did not start: .*exit 42'
run_program "$rekindle" run --key=whole -- "$tmp/nowhere" <"$tmp/odd"
expect "a command that is not there" 78 'No such file'
left_behind "and nothing is left of them"

while IFS='|' read -r name arguments told; do
	# shellcheck disable=SC2086 # words
	run_program "$rekindle" run $arguments -- "$upper" <"$tmp/odd"
	expect "$name" 64 "$told"
done <<TABLE
a key that is none|--key=.a[|'.a\[' is no path
a key of a configuration|--key=a --config x|no fleet of --config
an order of a configuration|--unordered --config x|no fleet of --config
a size that cannot be|--key=a --slots=0|--slots
a key of what takes no lines|--key=a --kind=tcp|what a worker of kind tcp gets is none
TABLE
run_program "$rekindle" run --key=a <"$tmp/odd"
expect "a pipeline without a command" 64 'needs the COMMAND'

lines 6 "$tmp/plain" "$rekindle" run --name plain -n 1 -- "$upper"
plain=$!
await 6 "fleet plain"
equal "without a key, and of kind native, it is a fleet as ever" "$(grep -o 'fleet plain' <<<"$line")" 'fleet plain'
run_program "$rekindle" run -n 1 --name plain --key=whole -- "$upper" <"$tmp/odd"
expect "a name that is in use is told, and its fleet is left alone" 1 'plain'
run call --name plain x y
expect "it answers" 0 '^Y$'
"$rekindle" stop plain >/dev/null
reap "$plain"

for i in 1 2 3; do
	"$rekindle" run -q -n 1 --key=2 -- "$upper" <"$tmp/in5000" >"$tmp/twin.$i" 2>&1 &
	started[$!]=
	twin[i]=$!
done
status=0
for i in 1 2 3; do
	reap "${twin[$i]}" || status=$?
	cmp -s "$tmp/twin.$i" "$tmp/twin.1" || status=9
done
equal "pipelines of the same command go side by side" "$status" 0

# ---- ends -------------------------------------------------------------------------------------

seq 1 100000 | "$rekindle" run -n 2 --key=whole -- "$upper" 2>"$tmp/err" | head -1 >"$tmp/out"
equal "a reader that has enough ends it as any filter" "${PIPESTATUS[1]} $(cat "$tmp/out" "$tmp/err")" "141 1"
left_behind "at once, with its fleet"
run_full() {
	"$rekindle" run -n 1 --key=whole -- "$upper" <"$tmp/odd" >/dev/full
}
run_program run_full
expect "a full disk is told" 2 'standard output: No space left'

for sig in INT:130 TERM:143; do
	aside --key=whole
	echo "wait $go" >&9
	await 8 wait
	kill -s "${sig%:*}" "$pipeline"
	echo b >&9
	: >"$go"
	read -r -t 30 -u 7 answer
	equal "SIG${sig%:*}: what is under way is answered" "$answer" WAITED
	rm -f "$go"
	ended "SIG${sig%:*}: and nothing more is read" "${sig#*:}" '^rekindle: 1 line in, 1 answer'
done
aside --key=whole --stop-timeout 60s
echo "wait $go" >&9
await 8 wait
kill "$pipeline"
kill "$pipeline"
# Two that come at once may be one; another one ends it in any case.
for _ in $(seq 100); do
	kill "$pipeline" 2>/dev/null || break
	read -r -t 0.05 <>"$tmp/never"
done
ended "the second signal ends it at once" 143 '^rekindle: 1 line in, 0 answers, 1 without one'
aside --key=whole --stop-timeout 100ms
echo "wait $go" >&9
await 8 wait
kill "$pipeline"
ended "a line that takes longer than StopTimeout is given up" 143 'line 1 has no answer: it was still under way'

# Nobody reads: far more answers than a pipe holds.
aside --key=whole --stop-timeout 100ms
seq 1 40000 >"$tmp/many"
cat "$tmp/many" >&9 &
started[$!]=
feeder=$!
await 8 " 5000"
kill "$pipeline"
cat <&8 >/dev/null &
started[$!]=
log_reader=$!
reap "$pipeline"
status=$?
kill "$log_reader"
reap "$log_reader"
equal "nor does it wait longer for a reader" "$status" 143
exec 7<&- 8<&- 9>&-
reap "$feeder"

aside --key=whole --name ended
echo a >&9
read -r -t 30 -u 7 answer
"$rekindle" stop ended >/dev/null
ended "a fleet that somebody stops ends it" 2 'the fleet ended before the input did'
aside --key=whole
echo a >&9
read -r -t 30 -u 7 answer
kill -KILL "$pipeline"
ended "SIGKILL takes its fleet along" 137 ''

# ---- storm ------------------------------------------------------------------------------------

for i in $(seq 1 20000); do echo "key$((i % 100)) line $i"; done >"$tmp/storm"
tr a-z A-Z <"$tmp/storm" >"$tmp/want"
in_order() {
	awk '$4 + 0 < last[$1] + 0 { print $0 " behind " last[$1] } { last[$1] = $4 }' | head -3
}
for how in --key=1 --unordered; do
	rm -f "$tmp/keys"
	UPPER_LOG=$tmp/keys UPPER_US=300 timeout -k 5 120 "$rekindle" run -n 4 --name storm --key=1 $how \
		--set RestartBackoffMax=100ms -- "$upper" <"$tmp/storm" >"$tmp/out" 2>"$tmp/err" &
	pipeline=$!
	started[$pipeline]=
	kills=0
	while kill -0 "$pipeline" 2>/dev/null; do
		mapfile -t pids < <("$rekindle" status storm 2>/dev/null | awk 'is_slot && $3 > 1 { print $3 } $1 == "SLOT" { is_slot = 1 }')
		if [ ${#pids[@]} -gt 0 ]; then
			kill -KILL "${pids[RANDOM % ${#pids[@]}]}" 2>/dev/null && kills=$((kills + 1))
		fi
		read -r -t 0.05 <>"$tmp/never"
	done
	reap "$pipeline"
	status=$?
	err=$(grep -v 'rekindled' "$tmp/err")
	if [ $how = --unordered ]; then
		LC_ALL=C sort "$tmp/want" -o "$tmp/want"
		LC_ALL=C sort "$tmp/out" -o "$tmp/out"
	fi
	same "storm, $how: each line has its answer, once" "$tmp/want"
	result "storm, $how: workers were killed" "$([ "$kills" -ge 20 ] || echo "$kills kills")"
	# A batch that was not committed is worked on again: so each for the first time, and each for the last time.
	result "storm, $how: lines of one key were worked on in order" \
		"$(awk '!seen[$0]++' "$tmp/keys" | in_order; tac "$tmp/keys" | awk '!seen[$0]++' | tac | in_order)"
	echo "# $kills kills, $(($(wc -l <"$tmp/keys") - 20000)) lines worked on twice; $(tail -1 "$tmp/err")"
done
left_behind "nothing is left in the end"
finish
