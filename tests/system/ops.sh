#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    what operators do to a running fleet, and what policy does to it after a death: each
#         command and each strategy does what doc/supervision.md says, under calls that never fail
#         and count up by one.
# Method  real fleets with the programs of $BUILD, real kills. Nothing waits by the clock: the
#         commands return when they are done, and the flight recorder tells the rest.
set -u
cd "$(dirname "$0")/../.." || exit 1

build=$(cd "${BUILD:-build}" && pwd) || exit 1
rekindle=$build/rekindle
wordcount=$build/workers/examples/wordcount
worker=$build/tests/system/test_worker
hang_worker=$build/tests/system/hang_worker
tmp=$(mktemp -d /tmp/rk-ops.XXXXXX)
export REKINDLE_RUNTIME_DIR=$tmp/r
unset REKINDLE_NAME
n=0
failed=0
out=
err=
status=0
keepers=()
caller=

cleanup() {
	local pid
	[ -z "$caller" ] || kill "$caller" 2>/dev/null
	for pid in "${keepers[@]}"; do kill -KILL "$pid" 2>/dev/null; done
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

# result NAME COMPLAINT: a test passes if there is nothing to complain of.
result() {
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		printf '%s\n' "$2" "status $status" "stdout: $out" "stderr: $err" | sed 's/^/# /'
		failed=1
	fi
}

# run COMMAND…: rekindle with it, which has 30 s.
run() {
	out=$(timeout 30 "$rekindle" "$@" 2>"$tmp/err" </dev/null)
	status=$?
	err=$(cat "$tmp/err")
}

# expect NAME STATUS PATTERN: what run left. PATTERN (ERE) is looked for in stdout and stderr.
expect() {
	local complaint=
	[ "$status" -eq "$2" ] || complaint="expected status $2"
	printf '%s\n%s\n' "$out" "$err" | grep -qE -e "$3" || complaint="$complaint, expected /$3/"
	result "$1" "$complaint"
}

# start NAME ARGUMENT…: a fleet, once all its workers are ready.
start() {
	local name=$1
	shift
	"$rekindle" run --name "$name" "$@" >"$tmp/$name.out" 2>"$tmp/$name.log" &
	keepers+=($!)
	timeout 30 "$rekindle" status --wait "$name" >/dev/null || sed 's/^/# /' "$tmp/$name.log"
}

# column FLEET NUMBER: of each worker of status, by slot.
column() {
	"$rekindle" status --name "$1" | awk -v c="$2" '/^SLOT/ { on = 1; next } on && NF { print $c }' | xargs
}

supervisor_of() { "$rekindle" status --name "$1" -o json | sed -n 's/.*"supervisor_pid": \?\([0-9]*\).*/\1/p'; }
pids() { column "$1" 3; }
pid_of() { pids "$1" | cut -d' ' -f$(($2 + 1)); }
partitions() { column "$1" 6; }
share_of() { partitions "$1" | cut -d' ' -f$(($2 + 1)); }

# await FLEET PATTERN [COUNT]: until so many events (1) of this kind have happened; their count is told if not.
await() {
	local seen
	seen=$(timeout 30 "$rekindle" events --all -f -n 1000 --name "$1" 2>/dev/null | grep -m "${3:-1}" -cE -e "$2")
	[ "$seen" -ge "${3:-1}" ] || result "await $1 /$2/" "it came $seen times of ${3:-1}: $("$rekindle" events --all -n 30 --name "$1")"
}

# keys_of FLEET WORKER N: so many keys that are its own
keys_of() {
	for i in $(seq 400); do
		"$rekindle" key --name "$1" "m$i" | awk -v k="m$i" -v w="$2" '$3 == w { print k; exit }'
	done | head -"$3"
}

# Calls eight keys over and over; each reply has to be the last one plus one.
calls_begin() {
	(
		trap 'echo "$total" >"$tmp/calls.n"; exit 0' TERM
		total=0
		for ((i = 1; ; i++)); do
			for k in 1 2 3 4 5 6 7 8; do
				reply=$("$rekindle" call --name "$1" "$2key$k" --timeout 20s 2>>"$tmp/calls.err")
				[ "$reply" = "$i" ] || echo "call $i of $2key$k: '$reply'" >>"$tmp/calls.bad"
				total=$((total + 1))
			done
		done
	) &
	caller=$!
	: >"$tmp/calls.bad"
	: >"$tmp/calls.err"
}

calls_end() {
	kill "$caller"
	wait "$caller" 2>/dev/null
	caller=
	result "$1 ($(cat "$tmp/calls.n") calls)" "$(head -5 "$tmp/calls.bad"; head -5 "$tmp/calls.err")"
}

# ---- one fleet, under calls -------------------------------------------------------------------

start words -n 4 --set MoveAfter=30s -- "$wordcount"
calls_begin words a
run scale 6
expect "scale up ends when all are ready and share the partitions" 0 '6 of 6 workers ready, 8[0-9] partitions moved, 0 to move'
result "as few partitions as can be have moved" "$(partitions words | tr ' ' '\n' | awk '$1 < 42 || $1 > 43')"
run scale words 3
expect "scale down hands over and ends the others" 0 '3 of 3 workers ready, 12[0-9] partitions moved'
result "three are left" "$([ "$(pids words | tr ' ' '\n' | grep -c '^[0-9]')" = 3 ] || pids words)"
run scale 65
expect "more than there is room for is refused, with the remedy" 64 'room for 64 workers.*Workers=65'
run scale 0
expect "no worker at all is refused" 64 'at least one worker'
run scale 100000
expect "nor more than any fleet can have, with both bounds" 64 'room for 64 workers, and no fleet for more than 4095'
run scale 5000000000
expect "nor a number that no supervisor would know" 64 'no fleet has more than 4095 workers, and 5000000000 is more'
run start 5000000000
expect "of a worker neither" 64 'no fleet has more than 4095 workers'
run start 100000
expect "and there is no such worker" 64 'no worker 100000: words has room for 64'
run stop 9
expect "nor is one stopped that never was" 64 "there is no worker 9 in words"

run drain 1
expect "drain hands over what a worker owns" 0 '2 of 2 workers ready, 8[0-9] partitions moved'
run status --check
expect "a drained worker is not missed" 0 '2 of 2 ready'
expect "and is called so" 0 '^ +1 drained '
result "slots that were scaled away are not shown" "$(grep -E '^ +[345] ' <<<"$out")"
run get
expect "get calls it so, too" 0 '^ +1 +drained'
result "and shows no other" "$(grep -E '^ +[345] |empty' <<<"$out")"
run undrain 1
expect "undrain brings it back" 0 '3 of 3 workers ready, 8[0-9] partitions moved'
for command in undrain start resume; do
	run $command 1
	expect "$command of one that runs says so, and is no failure" 0 '^worker 1 is running already$'
done
run undrain 1 -o json
expect "as JSON too" 0 '^[{] ?"text": ?"worker 1 is running already" ?[}]$'

before=$(pids words)
run restart
expect "a rolling restart tells each step, one a line" 0 'restarted 2 of 3: worker [0-9] ready after'
expect "and ends when all are done" 0 'restarted 3 of 3'
result "every worker is another process, and nobody else moved" \
	"$(for p in $before; do case " $(pids words) " in *" $p "*) [ "$p" = - ] || echo "$p is still there" ;; esac; done)"
before=$(pids words)
run why 1
expect "why says that it was a restart" 0 'worker is to end why="a rolling restart"'
run restart words 1 --max-unavailable=2
expect "a restart of one worker" 0 'restarted 1 of 1: worker 1 ready'
result "touches that one alone" "$([ "$(pid_of words 0)" = "$(cut -d' ' -f1 <<<"$before")" ] &&
	[ "$(pid_of words 1)" != "$(cut -d' ' -f2 <<<"$before")" ] || pids words)"
run restart words 7
expect "there is no worker 7" 64 'no worker 7'
run restart --all 1
expect "--all and a worker contradict each other" 64 'not both'
run restart --resume
expect "nothing is held" 3 'no rolling restart .* is under way'
run restart --no-wait
expect "--no-wait only begins it" 0 ''
await words 'restarted 3 of 3: .* state=done' 2
run restart -o json
expect "as JSON it is one object per step" 0 '"state": ?"done"'
run restart --no-wait
run drain 2
expect "a worker may be drained while a restart goes on" 0 'drained'
await words 'restarted 2 of 2: .* state=done'
run status 2
expect "which does not bring it back" 0 'drained'
run undrain 2
expect "somebody else does" 0 ''
calls_end "none of this failed a call or lost one"

# ---- without a supervisor that answers --------------------------------------------------------

supervisor=$("$rekindle" list -o json | grep -o '"supervisor_pid":[0-9]*' | cut -d: -f2)
kill -STOP "$supervisor"
run status --wait=200ms
expect "without a supervisor that answers nobody is known to be ready" 4 'stopped'
timeout 1 "$rekindle" scale words 2 >/dev/null 2>&1
for command in "scale words 2" "restart words" "drain words 1" "reload words"; do
	# shellcheck disable=SC2086 # several words are meant
	run $command --timeout 200ms
	expect "${command%% *} --timeout counts for a supervisor that stands still" 69 'has not answered for 0\.2'
done
kill -CONT "$supervisor"
await words "'scale' is not done, who asked for it has gone"
run status --check
expect "what nobody waits for any more is not done" 0 '3 of 3'

# ---- pause, stop, move ------------------------------------------------------------------------

run pause 0
expect "pause" 0 ''
run status 0
expect "status says so" 0 'paused'
run status --check
expect "and how many partitions nobody serves, which fails --check" 2 '8[56] partitions are not served'
run status --wait=200ms
expect "nor is that what --wait waits for" 4 '8[56] partitions are not served'
run pause 0
expect "twice is no more than once" 0 '^worker 0 is paused already$'
victim=$(for i in $(seq 200); do "$rekindle" key "p$i" | awk -v k="p$i" '$3 == 0 { print k; exit }'; done | head -1)
run call "$victim" --timeout 300ms
expect "a job for it waits, is withdrawn in time, and whoever sent it hears why" 4 \
	"not applied: .*; worker 0 is paused: 'rekindle resume 0' lets it go on"
run put "$victim" --timeout 1200ms
expect "who puts one hears it, too, first while it waits" 4 "waiting; worker 0 is paused: 'rekindle resume 0'"
expect "then when the time is up" 4 "not all jobs were finished in time: .*; worker 0 is paused"
kill -KILL "$(pid_of words 0)"
await words 'slot changed event=pause from=ready to=paused' 2
run call "$victim" --timeout 300ms
expect "its successor is paused too" 4 'not applied|no worker'
"$rekindle" call "$victim" --timeout 20s >"$tmp/reply" 2>&1 &
waiter=$!
run resume 0
expect "resume" 0 ''
wait "$waiter"
result "and the jobs that waited are done" "$([ "$(cat "$tmp/reply")" = 2 ] || cat "$tmp/reply")"
run resume 9
expect "there is nobody to resume" 1 'no process'
run pause 99
expect "there is no such worker" 64 'room for 64'

run stop 2 --timeout 20s
expect "stop WORKER ends one" 0 '2 of 2 workers ready'
run status
expect "and calls it so" 0 '^ +2 stopped +-'
run status --check -o json
expect "which leaves partitions unserved" 2 '"unserved_partitions": ?8[56]'
run status --wait=200ms
expect "and is not waited for in vain" 4 '2 of 2 workers are ready, 8[56] partitions are not served'
result "whose partitions stay its own" "$([ "$(cut -d' ' -f3 <<<"$(partitions words)")" -gt 80 ] || partitions words)"
run start 2
expect "start WORKER starts it" 0 '3 of 3 workers ready, 0 partitions moved'
run status --check -o json
expect "and then all are served" 0 '"unserved_partitions": ?0'
run drain 0
run drain 1
run drain 2
expect "the last one cannot be drained" 1 'the last of words'
run stop words
expect "stop NAME ends the fleet" 0 'stopped words'

# Stopped it cannot hand over, so that its drain is under way until it is called off.
start still -n 2 --set StopTimeout=30s -- "$wordcount"
victim=$(pid_of still 1)
key=$(keys_of still 1 1)
run pause 1 --name still
kill -STOP "$victim"
run drain 1 --no-wait --name still
run undrain 1 --no-wait --name still
await still 'slot changed event=start from=draining to=ready'
run call --name still "$key" --timeout 300ms
expect "one that is paused while its drain is called off is paused as before" 4 \
	"not applied: the key's worker is down, .*; worker 1 is paused"
run resume 1 --name still
kill -CONT "$victim"
run call --name still "$key" --timeout 20s
expect "until it is resumed" 0 '^1$'
run stop still

# The only heir is paused: who is drained serves on, and nobody is asked to let go what nobody may have.
switches() { awk '/ctxt_switches/ { n += $2 } END { print n }' "/proc/$1/status"; }
start wait -n 2 --set StopTimeout=60s -- "$wordcount"
key=$(keys_of wait 0 1)
victim=$(pid_of wait 0)
run pause 1 --name wait
before=$(switches "$victim")
run drain 0 --no-wait --name wait
read -rt 1 <> <(:)
after=$(switches "$victim")
await wait '128 to move: 128 wait until a worker that is well can have them'
result "a drain whose only heir is paused hands nothing to and fro" \
	"$([ $((after - before)) -lt 300 ] || echo "$((after - before)) context switches of the old owner in 1 s")"
result "and has moved nothing" "$([ "$(partitions wait)" = "128 128" ] || partitions wait)"
run call --name wait "$key" --timeout 20s
expect "its worker serves on" 0 '^1$'
run undrain 0 --no-wait --name wait
await wait 'slot changed event=start from=draining to=ready'
result "undrain calls it off" "$([ "$(pid_of wait 0)" = "$victim" ] || pids wait)"
run drain 0 --no-wait --name wait
await wait 'event=drain from=ready to=draining' 2
run resume 1 --name wait
await wait '1 of 1 worker ready, [0-9]+ partitions moved, 0 to move state=done'
result "and resume ends it" "$([ "$(share_of wait 1)" = 256 ] || partitions wait)"
run call --name wait "$key" --timeout 20s
expect "with all that was done meanwhile" 0 '^2$'
run stop wait

# Drained only until StopTimeout: then it is ended, and what it owned is assigned.
start late -n 2 --set StopTimeout=500ms -- "$wordcount"
run pause 1 --name late
run drain 0 --name late
expect "without a resume StopTimeout ends it" 0 '128 partitions moved, 0 to move'
run stop late

start idle -n 1 --set HangAfter=300ms -- "$wordcount"
before=$(pids idle)
run pause 0
run call waits --timeout 1500ms
expect "a job waits for a paused worker beyond HangAfter" 4 'not applied|no worker'
result "which nobody takes for hung" "$([ "$(pids idle)" = "$before" ] || pids idle)"
run resume 0
run call waits
expect "and which goes on" 0 '^1$'
run stop idle

# Not a worker: it never attaches, and only the signal of its choice ends it well.
printf '#!/bin/bash\ntrap "touch %s/asked; exit 0" USR1\ntrap "" TERM\ntouch %s/trapped\nwhile :; do read -rt 1 <> <(:); done\n' \
	"$tmp" "$tmp" >"$tmp/stranger"
chmod +x "$tmp/stranger"
"$rekindle" run --name stranger -n 1 --set KillSignal=SIGUSR1 --set StopTimeout=20s -- "$tmp/stranger" >"$tmp/stranger.out" 2>&1 &
keepers+=($!)
for ((i = 0; i < 1000; i++)); do [ ! -e "$tmp/trapped" ] || break; read -rt 0.02 <> <(:); done
for n_wanted in 2 3 4 5 6 7 8 9; do run scale $n_wanted --no-wait; done
timeout 30 "$rekindle" scale 2 >"$tmp/left" 2>&1 &
waiter=$!
await stranger 'fleet is scaled workers=2 state=running' 2
for n_wanted in 3 4 5 6 7 8 9 1; do run scale $n_wanted --no-wait; done
expect "changes that never end do not keep others from being begun" 0 ''
wait "$waiter"
status=$?
out=$(cat "$tmp/left")
expect "who follows one of them is told" 2 'the scaling goes on'
run stop stranger
expect "a process that is no worker" 0 'stopped stranger'
result "is asked by KillSignal" "$([ -e "$tmp/asked" ] || cat "$tmp/stranger.out")"

start mover -n 3 --set MoveAfter=100ms -- "$wordcount"
run call there
run stop 1
await mover 'partitions moved n='
result "MoveAfter over, the others have its partitions" "$(partitions mover | grep -q '^[0-9]* 0 [0-9]*$' || partitions mover)"
run start 1
await mover 'partitions moved n=' 2
result "and they come home" "$(partitions mover | tr ' ' '\n' | awk '$1 < 85 || $1 > 86')"
run stop mover

start stuck -n 3 --set OnPaused=move --set HealthyAfter=1s -- "$wordcount"
mapfile -t keys < <(keys_of stuck 1 3)
for k in "${keys[@]}"; do "$rekindle" call --name stuck "$k" >/dev/null; done
before=$(partitions stuck)
victim=$(pid_of stuck 1)
kill -STOP "$victim"
run call --name stuck "${keys[0]}" --timeout 20s
expect "OnPaused=move: the state goes on elsewhere while its worker is stopped" 0 '^2$'
await stuck 'partitions taken from the worker n=8[56]'
result "all its partitions have gone" "$([ "$(cut -d' ' -f2 <<<"$(partitions stuck)")" = 0 ] || partitions stuck)"
calls_begin stuck s
run call --name stuck "${keys[1]}" --timeout 20s
expect "the others go on too" 0 '^2$'
kill -CONT "$victim"
await stuck 'slot=1|event=exited from=.* to=down'
await stuck 'partitions moved n=' 2
timeout 30 "$rekindle" status --wait stuck >/dev/null
result "continued it finds that out and ends, and what was its own comes home" \
	"$([ "$(partitions stuck)" = "$before" ] && [ "$(pid_of stuck 1)" != "$victim" ] || echo "$before -> $(partitions stuck)")"
run call --name stuck "${keys[2]}" --timeout 20s
expect "with all that was done meanwhile" 0 '^2$'
run call --name stuck "${keys[0]}" --timeout 20s
expect "by whomever" 0 '^3$'
calls_end "none of this failed a call"
run stop stuck

start hung -n 3 --set OnHang=move --set HangAfter=300ms --set DeadLetterAfter=1 -- "$hang_worker"
key1=$(keys_of hung 1 1)
mapfile -t other < <(keys_of hung 0 2)
own=$(share_of hung 0)
run call --name hung "$key1" hello
before=$(pids hung)
run call --name hung "$key1" deadlock --timeout 20s
expect "OnHang=move: the job is charged to itself and put aside by the next" 1 'put aside'
run call --name hung "$key1" hello
expect "whose state goes on" 0 '^2$'
result "and nobody was killed" "$([ "$(pids hung)" = "$before" ] || pids hung)"
came=$(($(share_of hung 0) - own))
run call --name hung "${other[0]}" deadlock --timeout 20s
expect "one that hangs while another still does is put aside too" 1 'put aside'
run call --name hung "${other[1]}" hello --timeout 20s
expect "and what was its own goes on" 0 '^1$'
await hung 'response +0 .*partitions taken from the worker n='
result "all of it, but not the $came that came from the first, of which no bank is free" \
	"$([ "$(share_of hung 0)" -eq "$came" ] || partitions hung)"
kill -KILL "$(pid_of hung 1)"
await hung 'partitions moved n=' 2
result "which goes as soon as the first one's process is gone" \
	"$([ "$(share_of hung 0)" -eq 0 ] || partitions hung)"
run stop hung
expect "the hung one ends with the fleet" 0 'stopped hung'

# A partition that was taken from one worker by copy, and whose next one hangs too: both its banks are in use.
names=$(seq -f 'm%g' 200)
for how in "first is killed" "second is killed" "first returns"; do
	start third -n 3 --set StopTimeout=200ms --set OnHang=move --set HangAfter=300ms --set DeadLetterAfter=1 -- "$hang_worker"
	# shellcheck disable=SC2086 # many names
	"$rekindle" key --name third $names >"$tmp/third.before"
	run call --name third "$(awk '$3 == 1 { print $1; exit }' "$tmp/third.before")" "while /- until $tmp/go-on" --timeout 20s
	expect "one hangs" 1 'put aside'
	run call --name third "$(awk '$3 == 0 { print $1; exit }' "$tmp/third.before")" deadlock --timeout 20s
	expect "and another one" 1 'put aside'
	await third 'partitions wait, .* until the process of this worker or of worker 1 '
	run why 0 --name third
	expect "why tells that what it had from the first one waits, and for whom" 0 \
		"both banks are in use until the process of this worker or of worker 1 \(pid $(pid_of third 1)\) is gone n=4"
	expect "and the response says how many" 0 'partitions taken from the worker n=8[56], 4[0-9] wait for a bank'
	# shellcheck disable=SC2086 # many names
	key=$("$rekindle" key --name third $names | awk -v before="$tmp/third.before" '
		BEGIN { while ((getline line <before) > 0) { split(line, f); was[f[1]] = f[3] } }
		$3 == 0 && was[$1] == 1 { print $1; exit }')
	run call --name third "$key" hello --timeout 100ms
	expect "meanwhile a job for it is not applied" 4 'not applied'
	"$rekindle" call --name third "$key" hello --timeout 20s >"$tmp/third.reply" 2>&1 &
	waiter=$!
	case $how in
	first\ is*) kill -KILL "$(pid_of third 1)" ;;
	second*) kill -KILL "$(pid_of third 0)" ;;
	*) touch "$tmp/go-on" ;;
	esac
	wait "$waiter"
	result "the $how: the partition goes on" "$([ "$(cat "$tmp/third.reply")" = 1 ] || cat "$tmp/third.reply")"
	run stop third
done

# Two are stopped with a job each that hangs, and continued at once: when the first is judged the other one is suspect.
start twice -n 3 --set StopTimeout=200ms --set OnHang=move --set HangAfter=500ms --set DeadLetterAfter=1 --set HealthyAfter=100ms -- "$hang_worker"
mapfile -t ones < <(keys_of twice 1 2)
mapfile -t zeros < <(keys_of twice 0 2)
victims="$(pid_of twice 0) $(pid_of twice 1)"
kill -STOP $victims
waiters=()
for k in "${ones[0]}" "${zeros[0]}"; do
	"$rekindle" call --name twice "$k" deadlock --timeout 20s >"$tmp/twice.$k" 2>&1 &
	waiters+=($!)
done
for ((i = 0; i < 1000; i++)); do
	"$rekindle" status --name twice | grep -q ' 2 jobs queued' && break
	read -rt 0.02 <> <(:)
done
kill -CONT $victims
wait "${waiters[@]}"
result "two hang at once: both jobs are put aside" "$(for k in "${ones[0]}" "${zeros[0]}"; do
	grep -q 'put aside' "$tmp/twice.$k" || cat "$tmp/twice.$k"
done)"
await twice 'partitions taken from the worker' 2
result "and neither has got what was the other one's" "$([ "$(partitions twice)" = "0 0 256" ] || partitions twice)"
for k in "${ones[1]}" "${zeros[1]}"; do
	run call --name twice "$k" hello --timeout 20s
	expect "which goes on" 0 '^1$'
done
run stop twice
expect "both end with the fleet" 0 'stopped twice'

# ---- deaths: strategies, restart, brake ---------------------------------------------------------

# conf NAME TEXT: a configuration below a root of its own.
etc=$tmp/root/etc/rekindle
mkdir -p "$etc"
conf() { printf '%s\n' "$2" >"$etc/$1.conf"; }
fleets() {
	"$rekindle" run --config "$1" --root "$tmp/root" >"$tmp/$1.out" 2>"$tmp/$1.log" &
	keepers+=($!)
	keeper=$!
	shift
	local f
	for f; do timeout 30 "$rekindle" status --wait --name "$f" >/dev/null || result "start $f" "$(cat "$tmp"/*.log | tail -5)"; done
}

# changed BEFORE AFTER: which of the words differ, as 0 and 1.
changed() {
	paste <(tr ' ' '\n' <<<"$1") <(tr ' ' '\n' <<<"$2") | awk '{ printf "%d", $1 != $2 }'
}

for strategy in one-for-one:0100 one-for-all:1111 rest-for-one:0111; do
	start one -n 4 --set Strategy="${strategy%:*}" -- "$wordcount"
	before=$(pids one)
	kill -KILL "$(pid_of one 1)"
	await one 'slot changed event=ready' $((4 + $(tr -d 0 <<<"${strategy#*:}" | wc -m) - 1))
	timeout 30 "$rekindle" status --wait one >/dev/null
	after=$(pids one)
	[[ $strategy != one-for-all:* ]] || {
		run why 3 --name one
		expect "why says that it was the strategy" 0 'worker is to end why="the strategy, after another one died"'
	}
	result "${strategy%:*} within a fleet restarts whom it shall" \
		"$([ "$(changed "$before" "$after")" = "${strategy#*:}" ] || echo "$before -> $after")"
	run events -n 200 --kind transition
	result "and charges only the one that died" "$(column one 7 >/dev/null; grep -c 'event=exited from=ready\|event=exited from=fencing' <<<"$out" | grep -vx 1)"
	run stop one
done

for strategy in one-for-one:010 one-for-all:111 rest-for-one:011; do
	conf many "[Supervisor]
Strategy=${strategy%:*}
[Fleet a]
Exec=$wordcount
Workers=1
[Fleet b]
Exec=$wordcount
Workers=1
[Fleet c]
Exec=$wordcount
Workers=1
After=b"
	fleets many many/a many/b many/c
	before="$(pids many/a) $(pids many/b) $(pids many/c)"
	kill -KILL "$(pids many/b)"
	await many 'slot changed event=ready' $((3 + $(tr -d 0 <<<"${strategy#*:}" | wc -m) - 1))
	for f in a b c; do timeout 30 "$rekindle" status --wait --name many/$f >/dev/null; done
	after="$(pids many/a) $(pids many/b) $(pids many/c)"
	result "${strategy%:*} between fleets restarts whom it shall" \
		"$([ "$(changed "$before" "$after")" = "${strategy#*:}" ] || echo "$before -> $after")"
	run stop many
done

start oneshot -n 2 --set Restart=no -- "$wordcount"
kill -KILL "$(pid_of oneshot 0)"
await oneshot 'worker stays down reason="Restart=no"'
run status 0
expect "Restart=no: the worker stays down" 0 'down'
run start 0
expect "until it is started" 0 '2 of 2 workers ready'
run stop oneshot

start careful -n 2 --set RestartPreventExitStatus=42 --set RestartBackoff=1ms -- "$worker"
key0=$(for i in $(seq 200); do "$rekindle" key "q$i" | awk -v k="q$i" '$3 == 0 { print k; exit }'; done | head -1)
run call "$key0" 'exit 42' --timeout 300ms
await careful 'worker stays down reason="its exit is in RestartPreventExitStatus"'
result "RestartPreventExitStatus keeps it down, the other goes on" "$([ "$(pids careful | cut -d' ' -f1)" = - ] || pids careful)"
run stop careful

start failing -n 2 --set Restart=on-failure -- "$wordcount"
kill -TERM "$(pid_of failing 1)"
await failing 'worker stays down reason="it ended as it should, Restart=on-failure"'
kill -KILL "$(pid_of failing 0)"
await failing 'slot=0|event=ready.*' 3
timeout 30 "$rekindle" status --wait=20s failing >/dev/null 2>&1
result "Restart=on-failure: a success is the end, a failure is not" \
	"$(pids failing | grep -q '^[0-9][0-9]* -$' || pids failing)"
run stop failing

conf needs "[Fleet base]
Exec=$wordcount
Workers=1
Restart=no
[Fleet top]
Exec=$wordcount
Workers=1
Requires=base"
fleets needs needs/base needs/top
kill -KILL "$(pids needs/base)"
await needs 'fleet halted why="it requires base, which has failed"'
await needs 'top.*|event=exited from=stopping to=empty'
run status --name needs/top
expect "a fleet that requires a failed one is halted" 0 'down'
result "and says why" "$(grep -q 'fleet top is halted: it requires base' "$tmp/needs.out" || cat "$tmp/needs.out")"
run start --name needs/base 0
expect "the failed one is started" 0 '1 of 1 worker ready'
timeout 30 "$rekindle" status --wait --name needs/top >/dev/null
result "then so is the other" "$(pids needs/top | grep -qx '[0-9]*' || pids needs/top)"
run stop needs

: >"$tmp/storm.log" # tail may be there first
"$rekindle" run --debug --name storm -n 200 --set RestartBurst=0 --set RestartBackoff=50ms -- /bin/false \
	>"$tmp/storm.out" 2>"$tmp/storm.log" &
keepers+=($!)
# The recorder keeps a thousand records and each round writes more: the log has all of them.
timeout 30 tail -n +1 -f "$tmp/storm.log" | grep -m 450 -c 'from=down to=waiting\|from=down to=quarantined' >/dev/null
began=$(date +%s%N)
run status --name storm
took=$((($(date +%s%N) - began) / 1000000))
expect "200 workers in a crash loop: the supervisor answers" 0 '0 of 200 ready'
result "and is not held up by it (${took} ms)" "$([ "$took" -lt 10000 ] || echo "$took ms")" # 10 to 20 ms; others may load the machine
result "first deaths are followed at once by few alone: the brake holds the rest" \
	"$([ "$(grep -c 'event=start from=down' "$tmp/storm.log")" -lt 60 ] || grep -c 'event=start from=down' "$tmp/storm.log")"
result "and says once that the command is suspect" "$([ "$(grep -c 'no worker has ever become ready' "$tmp/storm.log")" -le 1 ] || cat "$tmp/storm.log")"
run stop storm
expect "and it can be stopped" 0 'stopped storm'

start braked -n 24 --set HealthyAfter=0s -- "$wordcount"
kill -KILL $(pids braked)
await braked 'restarts are braked: [0-9]+ deaths in 1 s, next try in'
slot=$("$rekindle" events -n 1000 -o json | jq -r 'select(.text | test("restarts are braked")) | .worker' | head -1)
run why "$slot"
expect "why says that restarts are braked" 0 'SIGKILL: restarts are braked: [0-9]+ deaths in 1 s'
result "and so does the log, which calls none of them not ready" "$(grep -q 'restarts are braked' "$tmp/braked.out" || cat "$tmp/braked.out"; grep 'not ready' "$tmp/braked.out")"
timeout 30 "$rekindle" status --wait braked >/dev/null
run stop braked

cp "$wordcount" "$tmp/moving"
start missing -n 2 --set RestartBurst=0 --set RestartBackoff=20ms -- "$tmp/moving"
mv "$tmp/moving" "$tmp/moved"
kill -KILL $(pids missing)
await missing 'from=down to=waiting' 2
await missing 'could not be executed'
mv "$tmp/moved" "$tmp/moving"
timeout 30 "$rekindle" status --wait missing >/dev/null
result "a missing binary is tried again until it is there" "$(pids missing | grep -q '^[0-9]* [0-9]*$' || pids missing)"
cp /bin/false "$tmp/moving.new"
mv "$tmp/moving.new" "$tmp/moving"
run restart
expect "a rolling restart to a broken binary is held" 2 'holding at 0 of 2: worker 0 died before it was settled'
result "with one worker left as it was" "$(pids missing | grep -qE '[0-9]+$' || pids missing)"
conf behind "[Fleet behind]
Exec=$tmp/behind
Workers=2"
cp "$wordcount" "$tmp/behind"
fleets behind behind
cp /bin/false "$tmp/moving.new"
mv "$tmp/moving.new" "$tmp/behind"
run restart behind
expect "one of a configuration is held as well" 2 'holding at 0 of 2'
cp "$wordcount" "$tmp/moving.new"
mv "$tmp/moving.new" "$tmp/behind"
conf behind "[Fleet behind]
Exec=$tmp/behind
Workers=2
Environment=A=B"
run reload behind
expect "a reload behind it says what it cannot do, and fails in part" 2 "behind: not restarted, .*holding at .*'rekindle restart --resume' goes on"
expect "and how to do it" 2 "not all of it could be done, see above: 'rekindle restart' gives all workers the new values"
run restart behind --resume
expect "which then is possible" 0 'restarted 2 of 2'
run reload behind
expect "a reload with nothing in its way is done" 0 'nothing has changed'
run stop behind
run restart missing
expect "another one is refused while it is held" 1 'is under way.*--resume'
cp "$wordcount" "$tmp/moving.new"
mv "$tmp/moving.new" "$tmp/moving"
run restart --resume
expect "resumed with a good one it ends well" 0 'restarted 2 of 2'
run stop missing

conf pre "[Fleet pre]
Exec=$wordcount
Workers=2"
fleets pre pre
conf pre "[Fleet pre]
Exec=$wordcount
Workers=2
ExecStartPre=/bin/false"
run reload
expect "ExecStartPre is the next start's" 0 'pre: ExecStartPre='
run restart
expect "a restart is held when what comes before a worker fails" 2 'holding at 0 of 2: worker [01] died'
conf pre "[Fleet pre]
Exec=$wordcount
Workers=2"
run reload
expect "taken back" 0 'pre: ExecStartPre='
run restart --resume
expect "it ends well" 0 'restarted 2 of 2'
run stop pre

# ---- recycling ----------------------------------------------------------------------------------

start old -n 2 --set MaxJobs=100 -- "$wordcount"
before=$(pids old)
for i in $(seq 400); do echo "word$((i % 40))"; done | "$rekindle" put - >/dev/null
await old 'response +0 .*worker recycled reason=MaxJobs'
await old 'response +1 .*worker recycled reason=MaxJobs'
timeout 30 "$rekindle" status --wait old >/dev/null
result "MaxJobs recycles each worker" "$([ "$(changed "$before" "$(pids old)")" = 11 ] || pids old)"
run call word1
result "and no job is lost by it" "$([ "$out" = 11 ] || echo "word1: $out")"
run stop old

start fat -n 2 --set MaxRSS=1M -- "$wordcount"
for i in $(seq 40); do echo "word$i"; done | "$rekindle" put - >/dev/null
await fat 'worker recycled reason=MaxRSS'
result "MaxRSS recycles one that is larger" ""
run stop fat

# ---- while it stops ----------------------------------------------------------------------------

start ending -n 2 --set StopTimeout=20s -- "$wordcount"
victim=$(pid_of ending 0)
key=$(keys_of ending 1 1)
run pause 1 --name ending
"$rekindle" call --name ending "$key" --timeout 60s >"$tmp/ending.call" 2>&1 &
waiter=$!
for _ in $(seq 1000); do
	! "$rekindle" status ending -o json | grep -qE '"queued_jobs": ?1[,}]' || break
done
kill -STOP "$victim"
"$rekindle" stop ending >"$tmp/ending.stop" 2>&1 &
stopper=$!
await ending 'fleet stops'
for command in "restart" "scale 3" "drain 1" "start 1" "pause 1"; do
	# shellcheck disable=SC2086 # several words are meant
	run $command --name ending
	expect "$command while the fleet stops is refused" 1 'ending stops: nothing of it is changed any more'
done
kill -CONT "$victim"
wait "$stopper"
result "which goes on" "$(grep -q '^stopped ending: 2 workers' "$tmp/ending.stop" || cat "$tmp/ending.stop")"
began=$SECONDS
wait "$waiter"
status=$?
out=$(cat "$tmp/ending.call")
expect "whoever waited for a reply hears of the end" 3 'not applied: the fleet has ended'
result "at once" "$([ $((SECONDS - began)) -lt 20 ] || echo "after $((SECONDS - began)) s")"

# Whom the supervisor could not tell any more, keeper does.
start killed -n 2 -- "$wordcount"
key=$(keys_of killed 1 1)
run pause 1 --name killed
"$rekindle" call --name killed "$key" --timeout 60s >"$tmp/killed.call" 2>&1 &
waiter=$!
for _ in $(seq 1000); do
	! "$rekindle" status killed -o json | grep -qE '"queued_jobs": ?1[,}]' || break
done
kill -STOP "$(supervisor_of killed)"
began=$SECONDS
kill -TERM "${keepers[-1]}"
until [ -z "$(ps -o pid= -p "${keepers[-1]}")" ] || [ $((SECONDS - began)) -ge 20 ]; do
	kill -TERM "${keepers[-1]}" 2>/dev/null # the second one does not wait
	read -rt 0.05 <> <(:)
done
wait "$waiter"
status=$?
out=$(cat "$tmp/killed.call")
expect "a client of a fleet that keeper had to kill hears of the end" 3 'not applied: the fleet has ended'
result "at once, too" "$([ $((SECONDS - began)) -lt 20 ] || echo "after $((SECONDS - began)) s")"

# ---- reload ------------------------------------------------------------------------------------

words="[Fleet words]
Exec=$wordcount"
conf live "$words
Workers=2"
fleets live live
calls_begin live/words b
run reload
expect "1: nothing has changed" 0 'nothing has changed'
conf live "$words
Workers=4"
run reload
expect "2: Workers scales" 0 'words: Workers=2 -> 4'
expect "and waits until it is done" 0 '4 of 4 workers ready'
result "each line is told once" "$(printf '%s\n%s\n' "$out" "$err" | grep . | sort | uniq -d)"
conf live "$words
Workers=4
MoveAfter=1s
RestartBurst=9"
run reload live
expect "3: keys of the policy hold at once" 0 'words: RestartBurst=5 -> 9 \(now\)'
before=$(pids live/words)
conf live "$words
Workers=4
Environment=A=1"
run reload
expect "4: a key of the process is a rolling restart" 0 'words: its workers are restarted one by one'
expect "which it waits for" 0 'restarted 4 of 4'
result "every worker is another one" "$([ "$(changed "$before" "$(pids live/words)")" = 1111 ] || pids live/words)"
conf live "$words
Workers=4
Environment=A=1
[Fleet more]
Exec=$wordcount
Workers=1
Requires=words"
run reload
expect "5: a new fleet is started" 0 'more: is ready'
run call --name live/more hello
result "and serves" "$([ "$out" = 1 ] || echo "$out")"
conf live "$words
Workers=4
Environment=A=1
Wrokers=5
StopTimeout=5
Partitions=512
Ring=none"
run reload
expect "6: mistakes change nothing, all are printed" 78 'live\.conf:6: StopTimeout='
expect "those of other kinds too: what cannot change" 78 'Partitions=256 -> 512 cannot change'
expect "and what would be lost" 78 'no \[Fleet more\] any more: its 1 worker,'
result "but nothing of a value that is none" "$(grep 'Ring=.*->' <<<"$err")"
expect "with file and line" 78 "live\.conf:5: unknown key 'Wrokers': did you mean 'Workers'"
expect "and it says that nothing was reloaded" 78 'nothing was reloaded'
run status --name live/more
expect "the old one is in force" 0 '1 of 1 ready'
conf live "$words
Workers=4
Partitions=512
[Fleet more]
Exec=$wordcount
Workers=1"
run reload
expect "7: what cannot change is refused, with the command that can" 78 "Partitions=256 -> 512 cannot change .*rekindle stop --name live"
conf live "[Supervisor]
Strategy=rest-for-one
LogLevel=debug
$words
Workers=3
Batch=4
[Fleet more]
Exec=$wordcount
Workers=2
After=words"
run reload
expect "8: several at once, each a line" 0 'supervisor: Strategy=one-for-one -> rest-for-one'
expect "fleets are scaled and restarted together" 0 'words: is scaled to 3 workers'
result "all as they should be" "$([ "$(partitions live/words | tr ' ' '\n' | grep -cv '^0$')" = 3 ] || partitions live/words)"
conf live "$words
Workers=3
Batch=4"
run reload
expect "9: a fleet that is gone from the file is a mistake, which names what would be lost" 78 \
	'more: runs, .* no \[Fleet more\] any more: its 2 workers, [0-9,]+ queued jobs? and the state in 256 partitions .*reload --name live --remove=more'
run reload --check
expect "also for --check" 78 'nothing would be reloaded'
kill -HUP "$keeper"
end=$((SECONDS + 30))
until grep -q 'no \[Fleet more\]' "$tmp/live.log" || [ $SECONDS -ge $end ]; do :; done
result "and for SIGHUP, which logs it" "$([ $SECONDS -lt $end ] || cat "$tmp/live.log")"
run reload --remove --check
expect "an option is no name of a fleet" 64 "'--check' is no fleet's name"
run reload --remove=mroe
expect "another name does not let it go" 78 '\[Fleet more\]'
run call --name live/more hello
expect "and it has lost nothing" 0 '^2$'
run reload --check --remove=more
expect "--check says what would be done" 0 '^more: removed$'
run call --name live/more hello
expect "and does nothing" 0 '^3$'
# Its clients: one that waits for a reply, one that was there and comes back.
run pause 0 --name live/more
run pause 1 --name live/more
"$rekindle" call --name live/more hello --timeout 60s >"$tmp/left.call" 2>&1 &
waiter=$!
mkfifo "$tmp/left.puts"
"$rekindle" put --name live/more - --timeout 60s <"$tmp/left.puts" >"$tmp/left.put" 2>&1 &
putter=$!
exec 6>"$tmp/left.puts"
echo one >&6
for _ in $(seq 1000); do
	! "$rekindle" status live/more -o json | grep -qE '"queued_jobs": ?2[,}]' || break
done
run reload --remove=words,more
expect "with --remove it is stopped" 0 'more: is gone'
began=$SECONDS
wait "$waiter"
status=$?
out=$(cat "$tmp/left.call")
expect "who waits for a reply of it hears so" 3 'not applied: the fleet has ended, or was removed'
echo two >&6
exec 6>&-
wait "$putter"
status=$?
out=$(cat "$tmp/left.put")
expect "and so does who comes back to it" 3 'the fleet has ended or was removed meanwhile: jobs that were not finished are dropped'
result "both at once, not when their time is up" "$([ $((SECONDS - began)) -lt 20 ] || echo "after $((SECONDS - began)) s")"
run call --name live/more hello
expect "and its memory with it" 3 "runs no fleet named 'more'"
conf live "$words
Workers=3
Batch=4
[Fleet more]
Exec=$wordcount
Workers=1
Disabled=yes"
run reload
expect "10: a disabled one is not started" 0 'more: added|nothing has changed'
conf live "$words
Workers=2
Batch=4
[Fleet more]
Exec=$wordcount
Workers=1"
kill -HUP "$keeper"
await live 'more: is ready state=done' 2
run status --wait --name live/more
expect "11: SIGHUP to keeper reloads too" 0 '1 of 1 ready'
calls_end "eleven configurations failed no call and lost none"
run stop live
expect "and all of it stops in order" 0 'stopped live'

conf ruled "[Fleet words]
Exec=$hang_worker
Workers=1
HangAfter=1h
[Fleet gone]
Exec=$wordcount
Workers=1"
fleets ruled ruled/words ruled/gone
"$rekindle" call --name ruled/words a deadlock --timeout 30s >"$tmp/reply" 2>&1 &
waiter=$!
await ruled 'ready'
conf ruled "[Fleet words]
Exec=$hang_worker
Workers=1
HangAfter=300ms
DeadLetterAfter=7
AllowFaults=yes"
run reload --remove=gone
expect "a reload gives the guard its new rules" 0 'words: HangAfter=1h -> 300ms \(now\)'
wait "$waiter"
result "by which a deadlock is found, and its job is done by the next" "$([ "$(cat "$tmp/reply")" = 1 ] || cat "$tmp/reply")"
run events --all -n 200 --name ruled
expect "and by which jobs are charged" 0 'job charged .*attempts=1 of=7'
await ruled 'gone: is gone state=done' # and with it the old configuration
run fault --name ruled kill 0
expect "AllowFaults holds from a reload on" 0 'worker 0'
run events -o json --kind fault --name ruled
expect "and its fault is told under the fleet's name" 0 '"fleet": *"words"'
run stop ruled

conf banks "[Fleet words]
Exec=$wordcount
Workers=1"
fleets banks banks
conf banks "[Fleet words]
Exec=$wordcount
Workers=1
OnHang=move"
run reload
expect "a reload cannot add the memory that move needs" 78 'OnHang=kill -> move is beyond what the memory of the fleet was laid out for'
run stop banks

start plain -n 1 -- "$wordcount"
run reload
expect "a fleet without --config has nothing to reload" 78 'started without --config'
kill -HUP "${keepers[-1]}"
wait "${keepers[-1]}"
result "SIGHUP ends it, as a closed terminal does" "$(grep -q 'stops: SIGHUP' "$tmp/plain.out" || cat "$tmp/plain.out")"

echo "1..$n"
exit $failed
