#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    `rekindle demo` tells the truth: it passes while workers and clients are killed; its
#         counts are those of tr | sort | uniq -c; it leaves nothing behind; and with a safeguard
#         taken out of the real code it fails. (As an ordinary user: user.sh.)
# Method  real fleets with the programs of $BUILD; for the breaks those of a build with fault points.
set -u
cd "$(dirname "$0")/../.." || exit 1

build=$(cd "${BUILD:-build}" && pwd) || exit 1
tmp=$(mktemp -d /tmp/rk-demo.XXXXXX)
export REKINDLE_RUNTIME_DIR=$tmp/r
unset REKINDLE_NAME
n=0
failed=0
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM HUP

# result NAME COMPLAINT: a test passes if there is nothing to complain of.
result() {
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		printf '%s\n' "$2" | head -40 | sed 's/^/# /'
		failed=1
	fi
}

skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

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

# It ends what it started, whenever it is told to.
"$build/rekindle" demo --seconds 60 >"$tmp/out" 2>&1 &
demo=$!
while kill -0 $demo 2>/dev/null && ! grep -q acknowledged "$tmp/out"; do read -rt 0.1 <> <(:); done
pids=$(pgrep -s 0 -P $demo | tr '\n' ' ')
kill -TERM $demo
wait $demo
status=$?
result "a signal ends it with all it started" "$(for p in $pids; do ! kill -0 "$p" 2>/dev/null || echo "process $p is left"; done
	[ $status -ne 0 ] || echo "it claims success"; ls -A "$tmp/r" 2>/dev/null)"

# Teeth: the real code with one safeguard taken out, and the same without.
if ! scripts/build build/fault --enable-fault-points >"$tmp/build.log" 2>&1; then
	result "the build with fault points" "$(tail -20 "$tmp/build.log")"
else
	for break in NONE DEDUP UNDO; do
		REKINDLE_BREAK=$break build/fault/rekindle demo --seconds 6 --kill-workers=10 -o json >"$tmp/out" 2>&1
		status=$?
		[ $break = NONE ] && want=0 || want=1
		result "with $break taken out the exit status is $want" "$([ $status -eq $want ] || echo "it is $status: $(cat "$tmp/out")")"
	done
	# A cell that is used again while a ring names it does harm only to a worker that has just
	# taken that reference: the window is held open.
	for break in NONE UNCONS; do
		REKINDLE_DELAY=OWNER_TAKEN:5000 REKINDLE_BREAK=$break \
			build/fault/rekindle demo --seconds 5 --timeout 2ms -o json >"$tmp/out" 2>&1
		status=$?
		[ $break = NONE ] && want=0 || want=1
		result "with $break taken out and workers slow behind a take it is $want" \
			"$([ $status -eq $want ] || echo "it is $status: $(cat "$tmp/out")")"
	done
fi

echo "1..$n"
exit $failed
