#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    `rekindle demo` tells the truth: it passes while workers and clients are killed; its
#         counts are those of tr | sort | uniq -c; so it does of lines through filters; poison is quarantined and nothing else is; it
#         leaves nothing behind; and with a safeguard taken out of the real code it fails. (As an
#         ordinary user: user.sh.)
# Method  real fleets with the programs of $BUILD; for the breaks those of tests/fault/real.
. "$(dirname "$0")/lib.sh"

# verdict FILE: what is wrong with the verdict of a demo that should have passed.
verdict() {
	local member
	for member in '"ok":true' '"lost":0' '"doubled":0' '"unanswered":0' '"contradicted":0' \
		'"sent":[1-9]' '"acknowledged":[1-9]' '"applied":[1-9]' '"workers":[1-9]' '"p50":[0-9]' '"p99":' '"max":'; do
		grep -q "$member" "$1" || echo "no $member in $(cat "$1")"
	done
}

"$build/rekindle" demo --seconds 10 --kill-workers=10 --kill-clients=5 -o json >"$tmp/out" 2>"$tmp/err"
status=$?
result "ten seconds of kills: nothing lost, nothing doubled" \
	"$([ $status -eq 0 ] || echo "exit status $status: $(cat "$tmp/err")"; verdict "$tmp/out")"
result "nothing is left in the runtime directory" "$(ls -A "$tmp/r" 2>/dev/null)"

"$build/rekindle" demo --seconds 8 --poison=6 --hogs=3 --stop-workers=5 -o json >"$tmp/poisoned" 2>"$tmp/err"
status=$?
result "with poison, hogs and stopped workers the verdict stays true" \
	"$([ $status -eq 0 ] || echo "exit status $status: $(cat "$tmp/err")"; verdict "$tmp/poisoned")"
for member in '"poison":6' '"quarantined":6' '"dead_letters":6' '"innocents_quarantined":0' '"hogs":3'; do
	result "poison: $member" "$(grep -qF "$member," "$tmp/poisoned" || cat "$tmp/poisoned" "$tmp/err")"
done
result "nothing is left of it, nor any hog" "$(ls -A "$tmp/r" 2>/dev/null; pgrep -s 0 -f -- --as-hog)"

name="the help knows every member of its JSON, and it prints every member the help knows"
if ! command -v jq >/dev/null; then
	skip "$name" "jq: jq is not installed"
else
	"$build/rekindle" help demo | sed -n '/^-o json/,$s/^  \([a-z][^ ]*\).*/\1/p' | sort >"$tmp/documented"
	jq -r 'paths | join(".")' "$tmp/out" | sort >"$tmp/printed"
	result "$name" "$(diff "$tmp/documented" "$tmp/printed")"
fi

# supervised FILE: what is wrong with a run whose supervisor was killed.
supervised() {
	local member
	for member in '"ok":true' '"duplicates":0' '"orphans":0' '"changed":0' '"supervisors":[1-9][0-9]'; do
		grep -q "$member" "$1" || echo "no $member in $(cat "$1" "$tmp/err")"
	done
}

"$build/rekindle" demo --seconds 6 --kill-supervisor=10 --kill-workers=0 --stop-workers=0 -o json >"$tmp/out" 2>"$tmp/err"
result "ten supervisors killed per second: no worker is started twice, lost or another one" \
	"$(supervised "$tmp/out"; grep -q '"same":4' "$tmp/out" || echo "not the same pids: $(cat "$tmp/out")")"
"$build/rekindle" demo --seconds 8 --kill-supervisor=10 --kill-workers=10 --kill-clients=5 --standby=1 --kill-standbys=2 \
	--kill-readers=2 -o json >"$tmp/out" 2>"$tmp/err"
result "beside kills of everybody else: nothing lost, nothing doubled, nobody twice" \
	"$(supervised "$tmp/out"; verdict "$tmp/out")"

# A worker that dies and was not demo's to kill is seen.
"$build/rekindle" demo --seconds 4 --kill-supervisor=2 --kill-workers=0 >"$tmp/out" 2>"$tmp/err" &
demo=$!
while kill -0 $demo 2>/dev/null && ! grep -q acknowledged "$tmp/out"; do read -rt 0.1 <> <(:); done
for p in $(pgrep -P $demo); do
	[ "$(readlink "/proc/$p/exe")" != "$rekindled" ] || victim=$(pgrep -P "$p" wordcount | head -1)
done
kill -KILL "$victim"
wait $demo
status=$?
result "a worker that is another one though demo killed none makes the verdict false" \
	"$([ $status -eq 1 ] || echo "exit status $status"; grep -q 'CHANGED: 1 worker was replaced' "$tmp/out" || cat "$tmp/out" "$tmp/err")"

text=/usr/share/common-licenses/GPL-3
name="its counts are those of tr | sort | uniq -c"
if [ -r $text ]; then
	# Every word is sent once, by named clients and anonymous ones; only workers are killed, so
	# that every word is answered.
	"$build/rekindle" demo --text $text --kill-workers=20 --kill-clients=0 --counts "$tmp/counts" \
		-o json >"$tmp/out" 2>"$tmp/err"
	status=$?
	LC_ALL=C tr -cs 'A-Za-z0-9' '\n' <$text | grep . | LC_ALL=C sort | uniq -c | awk '{ print $1, $2 }' >"$tmp/want"
	awk '{ print $1, $2 }' "$tmp/counts" | LC_ALL=C sort -k 2 >"$tmp/have"
	LC_ALL=C sort -k 2 -o "$tmp/want" "$tmp/want"
	result "$name" "$([ $status -eq 0 ] || echo "exit status $status: $(cat "$tmp/err")"; diff "$tmp/want" "$tmp/have")"
else
	skip "$name" "licenses: $text is not there"
fi

# What ./run suggests works as it stands there; the first is to kill a worker oneself.
mapfile -t tries < <(sed -n '/^Try next/,/^TXT/s/^  \([^ ].*\)$/\1/p' run)
for i in "${!tries[@]}"; do tries[i]=${tries[i]//build\//$build/}; done
result "./run suggests three commands" "$([ ${#tries[@]} -eq 3 ] || printf '%s\n' "${tries[@]}")"

# wait_for FILE PATTERN PID: until a line of FILE fits, as long as PID is there
wait_for() {
	while kill -0 "$3" 2>/dev/null && ! grep -qE "$2" "$1"; do read -rt 0.05 <> <(:); done
	grep -qE "$2" "$1" || echo "no /$2/ in: $(cat "$1")"
}

# shellcheck disable=SC2086 # several words are meant
env --default-signal=INT ${tries[0]} >"$tmp/out" 2>"$tmp/kept" &
demo=$!
wrong=$(wait_for "$tmp/kept" '^and see' $demo)
victim=$(sed -n 's/^  slot 2: pid \([0-9]*\)$/\1/p' "$tmp/kept")
[ -z "$victim" ] || kill -KILL "$victim"
wrong=$wrong$(wait_for "$tmp/kept" "^  slot 2: pid [0-9]+, after SIGKILL .*\(pid ${victim:-none}\)$" $demo)
look=$(sed -n 's/^and see what came of it here, or with: //p' "$tmp/kept")
wrong=$wrong$($look 2>&1 | grep -q '^demo-.* 4 of 4 ready' || echo "no status by: $look")
kill -INT $demo
wait $demo
status=$?
result "the first prints the pids of its workers and tells of the one that is killed" \
	"$wrong$([ $status -eq 0 ] || echo "exit status $status")$(ls -A "$tmp/r")"
result "its progress has one row per second" "$(grep -oE '^ *[0-9]+ s:' "$tmp/out" | sort | uniq -d
	grep -qE '^ *1 s:' "$tmp/out" || cat "$tmp/out")"

# shellcheck disable=SC2086 # several words are meant
${tries[1]} >"$tmp/out" 2>&1 &
fleet=$!
wrong=$("$build/rekindle" status --wait=20s --check 2>&1 >/dev/null)
wrong=$wrong$([ "$("$build/rekindle" call hello 2>&1)" = 1 ] || echo "no call")
"$build/rekindle" stop >/dev/null || wrong="$wrong no stop"
wait $fleet
status=$?
result "the second is a fleet of one's own" "$wrong$([ $status -eq 0 ] || echo "exit status $status: $(cat "$tmp/out")")"
result "the third is there" "$([ -x "${tries[2]}" ] || echo "no ${tries[2]}")"

"$build/rekindle" demo --seconds 2 --workers 1 --kill-workers=1000 >"$tmp/out" 2>"$tmp/err"
result "a rate that was not reached is told" \
	"$(grep -qE '^Asked to kill workers at 1,000 per second, it did at [0-9.]+ per second\.$' "$tmp/out" || cat "$tmp/out" "$tmp/err")"

# It ends what it started, whenever it is told to.
"$build/rekindle" demo --seconds 60 >"$tmp/out" 2>&1 &
demo=$!
while kill -0 $demo 2>/dev/null && ! grep -q acknowledged "$tmp/out"; do read -rt 0.1 <> <(:); done
pids=$(pgrep -s 0 -P $demo | tr '\n' ' ')
kill -TERM $demo
wait $demo
status=$?
result "a signal ends it with all it started" "$([ -n "$pids" ] || echo "it has started nothing"; for p in $pids; do ! kill -0 "$p" 2>/dev/null || echo "process $p is left"; done
	[ $status -ne 0 ] || echo "it claims success"; ls -A "$tmp/r" 2>/dev/null)"

# Somebody else's filter as workers: at least once, and what that came to is told.
"$build/rekindle" demo --kind=lines --seconds 4 --kill-workers=20 -o json -- sed -u s/x/x/ >"$tmp/out" 2>"$tmp/err"
status=$?
result "lines through a filter that is killed: nothing lost, what was given twice is counted" \
	"$([ $status -eq 0 ] || echo "exit status $status: $(cat "$tmp/err")"
	for member in '"ok":true' '"lost":0' '"doubled":0' '"wrong":0' '"out_of_order":0' '"refused":0' '"unread":0' '"strange":0' \
		'"redelivered":[1-9]' '"answered":[1-9][0-9]{3}' '"programs":[1-9]' '"bridges":[1-9]'; do
		grep -qE "$member" "$tmp/out" || echo "no $member in $(cat "$tmp/out")"
	done)"
"$build/rekindle" demo --kind=lines --seconds 1 >"$tmp/out" 2>"$tmp/err"
status=$?
result "and through one that it chooses itself, and names" "$([ $status -eq 0 ] || echo "exit status $status: $(cat "$tmp/err")"
	grep -qE "of '(jq --unbuffered -c \.|sed -u s/x/x/)'" "$tmp/out" && grep -q 'nothing lost' "$tmp/out" || cat "$tmp/out")"
# Answers that belong to other lines: two changed places, one missing.
for break in '30~30{N;s/\(.*\)\n\(.*\)/\2\n\1/}' '30~30d'; do
	"$build/rekindle" demo --kind=lines --seconds 1 -o json -- sed -u "$break" >"$tmp/out" 2>"$tmp/err"
	status=$?
	result "a filter that does $break does not pass" \
		"$([ $status -eq 1 ] || echo "exit status $status"; grep -qE '"wrong":[1-9].*"ok":false' "$tmp/out" || cat "$tmp/out" "$tmp/err")"
done
result "nothing is left of them" "$(ls -d /tmp/rekindle-demo-* 2>/dev/null; ls -A "$tmp/r"; pgrep -s 0 -af -- --as-filter)"

# Teeth: the real code with one safeguard taken out, and the same without.
for break in NONE DEDUP; do
	REKINDLE_BREAK=$break "$build/tests/fault/real/rekindle" demo --seconds 6 --kill-workers=10 -o json >"$tmp/out" 2>&1
	status=$?
	[ $break = NONE ] && want=0 || want=1
	result "with $break taken out the exit status is $want" "$([ $status -eq $want ] || echo "it is $status: $(cat "$tmp/out")")"
done
# A change that is not undone does harm only if the worker dies behind it and before the count
# itself has changed: the window is held open.
for break in NONE UNDO; do
	REKINDLE_DELAY=STATE_SAVED:500 REKINDLE_BREAK=$break \
		"$build/tests/fault/real/rekindle" demo --seconds 6 --kill-workers=10 -o json >"$tmp/out" 2>&1
	status=$?
	[ $break = NONE ] && want=0 || want=1
	result "with $break taken out and workers slow behind a save it is $want" \
		"$([ $status -eq $want ] || echo "it is $status: $(cat "$tmp/out")")"
done
# A cell that is used again while a ring names it does harm only to a worker that has just
# taken that reference: the window is held open.
for break in NONE UNCONS; do
	REKINDLE_DELAY=OWNER_TAKEN:5000 REKINDLE_BREAK=$break \
		"$build/tests/fault/real/rekindle" demo --seconds 5 --timeout 2ms -o json >"$tmp/out" 2>&1
	status=$?
	[ $break = NONE ] && want=0 || want=1
	result "with $break taken out and workers slow behind a take it is $want" \
		"$([ $status -eq $want ] || echo "it is $status: $(cat "$tmp/out")")"
done

finish
