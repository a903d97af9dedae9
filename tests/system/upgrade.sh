#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    rekindle upgrade: keeper and supervisor of a fleet become another binary, with keeper's and
#         all workers' pids as before and no call that fails, however often, and whoever is killed
#         meanwhile. What cannot take over is refused and changes nothing; what turns out to be unable
#         gives way to the old one again.
# Method  real fleets under calls. The other binaries are copies of $BUILD's rekindled that say another
#         release, and tests/system/fake_rekindled, which goes wrong as its file is called. What takes
#         its time (a supervisor that hangs for 10 s, a binary that never answers) runs beside the rest.
. "$(dirname "$0")/lib.sh"

probe=$build/tests/system/probe
bin=$tmp/bin
release=$("$rekindle" version | cut -d' ' -f2)
export FAKE_REAL=$rekindled FAKE_GO=$tmp/go
mkdir "$bin"
mkfifo "$tmp/go"
ends=
declare -A was=() # processes of each fleet at its start

# patched LETTER: a rekindled whose release ends in that
patched() {
	LC_ALL=C sed "s/${release//./\\.}/${release%?}$1/g" "$rekindled" >"$bin/$1"
	chmod +x "$bin/$1"
}

equal() {
	result "$1" "$([ "$2" = "$3" ] || echo "'$2' instead of '$3'")"
}

listed() {
	"$rekindle" list -o json | grep -oE "\"name\":\"$1\",[^}]*" | sed -n "s/.*\"$2\":\"\{0,1\}\([^,\"]*\).*/\1/p"
}

processes() {
	echo "$(listed "$1" keeper_pid) $("$rekindle" get "$1" | awk 'NR > 1 { print $3 }' | xargs)"
}

# same FLEET: complains about processes that are others than at its start
same() {
	local now
	now=$(processes "$1")
	[ "$now" = "${was[$1]}" ] || echo "processes ${was[$1]} are $now now"
}

# begin FLEET BINARY WORKERS OPTION…: keeper is in keeper
begin() {
	"$2" --name "$1" --workers="$3" --quiet "${@:4}" -- "$wordcount" >"$tmp/$1.out" 2>"$tmp/$1.log" &
	keeper=$!
	started[$keeper]=
	timeout 30 "$rekindle" status --wait "$1" >/dev/null || sed 's/^/# /' "$tmp/$1.log"
	was[$1]=$(processes "$1")
}

upgrade() {
	run_program timeout 30 "$rekindle" upgrade "$@"
}

# until_true COMMAND…: 20 s at most
until_true() {
	local end=$((SECONDS + 20))
	until "$@"; do [ $SECONDS -lt $end ] || return 1; done
}

executes() {
	[ "$(readlink "/proc/$1/exe")" = "$2" ]
}

# supervisor_of KEEPER: the child that is no worker
supervisor_of() {
	local p
	for p in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
		executes "$p" "$wordcount" || echo "$p"
	done
}

supervises() {
	local p
	p=$(supervisor_of "$1")
	[ -n "$p" ] && executes "${p%% *}" "$2"
}

# state PID: R, S, T, Z …
state() {
	sed 's/.*) \(.\).*/\1/' "/proc/$1/stat" 2>/dev/null
}

answers() {
	[ "$(listed "$1" supervisor)" = answers ]
}

# gone PID…: what is left of them
gone() {
	local pid
	for pid; do until_true eval "! kill -0 $pid 2>/dev/null" || echo "$pid is left"; done
}

# ---- load: whoever comes, and whoever was there before ----

# calls_begin FLEET: over and over; each reply has to be the last one plus one
calls_begin() {
	(
		trap 'echo "$i" >"$tmp/calls.n"; exit 0' TERM
		for ((i = 1; ; i++)); do
			reply=$("$rekindle" call --name "$1" apple --timeout 20s 2>>"$tmp/calls.bad")
			[ "$reply" = "$i" ] || echo "call $i: '$reply'" >>"$tmp/calls.bad"
		done
	) &
	caller=$!
	started[$caller]=
	: >"$tmp/calls.bad"
	mkfifo "$tmp/puts"
	"$rekindle" put --name "$1" - <"$tmp/puts" >"$tmp/puts.out" 2>&1 &
	putter=$!
	started[$putter]=
	exec 6>"$tmp/puts"
	n_puts=0
}

# puts: some more by the client that was there before
puts() {
	yes pear | head -n 200 >&6
	n_puts=$((n_puts + 200))
}

calls_end() {
	local counted
	exec 6>&-
	reap "$putter"
	equal "a client that was there all the while had its jobs done" "$(tr -d , <"$tmp/puts.out")" "put $n_puts jobs"
	counted=$("$rekindle" call --name "$1" pear)
	equal "each of them once" "$counted" "$((n_puts + 1))"
	kill -TERM "$caller"
	reap "$caller"
	result "no call failed, none was counted twice ($(cat "$tmp/calls.n") calls)" "$(head -5 "$tmp/calls.bad")"
}

# ---- a supervisor that hangs, beside the rest ----

patched a
patched b
fake() {
	cp "$build/tests/system/fake_rekindled" "$bin/$1"
}
for how in abi journal table refuses mute exits killed hangs slow unfit late; do fake $how; done
result "the copies say other releases" "$("$bin/a" --version | grep -qF "${release%?}a" || "$bin/a" --version)"

begin hang "$rekindled" 1
run list -o json
expect "no upgrade is under way" 0 '"upgrading": ?false'
hang_keeper=$keeper
(
	began=${EPOCHREALTIME/./}
	timeout 30 "$rekindle" upgrade hang --binary "$bin/hangs" >"$tmp/hang.said" 2>&1
	echo "$? $(((${EPOCHREALTIME/./} - began) / 1000))" >"$tmp/hang.end"
) &
hang=$!
started[$hang]=

# ---- one fleet, under calls ----

cp "$rekindled" "$bin/rekindled"
begin up "$bin/rekindled" 4
up_keeper=$keeper
calls_begin up
(
	timeout 30 "$rekindle" upgrade up --check --binary "$bin/mute" >"$tmp/mute.said" 2>&1
	echo "$?" >"$tmp/mute.end"
) &
mute=$!
started[$mute]=
puts

supervisor=$(supervisor_of "$up_keeper")
upgrade up --check --binary "$bin/a"
expect "--check says who can take over from whom" 0 "release ${release%?}a at $bin/a can take over from release $release"

printf '#!/bin/sh\nexec %s "$@"\n' "$rekindled" >"$bin/script"
echo "no program" >"$bin/text"
cp "$rekindled" "$bin/unexecutable"
chmod +x "$bin/script" "$bin/text"
chmod -x "$bin/unexecutable"
refused() {
	upgrade up --binary "$2" "${@:4}"
	expect "refused: $1" 78 "nothing was changed: .*$3"
}
refused "nothing is there" "$bin/nothing" 'No such file'
refused "a directory" "$bin" 'is no program'
refused "a text" "$bin/text" 'is no program'
refused "a script, though what it runs could" "$bin/script" 'is no program'
refused "the same by --check" "$bin/script" 'is no program' --check
refused "a program that may not be executed" "$bin/unexecutable" 'is no program'
refused "a program that says nothing" /bin/true 'does not say what it adopts'
refused "a program that complains" /bin/cat 'does not adopt this fleet'
refused "another ABI" "$bin/abi" 'the ABI of its memory is version [0-9]+ here and [0-9]+ there'
refused "another layout of the journal" "$bin/journal" 'the layout of its journal is version'
refused "another table of keeper's" "$bin/table" "keeper's table is version"
refused "one that does not understand the configuration" "$bin/refuses" 'does not adopt this fleet'
result "and says why itself" "$(grep -F "a key that I do not know" <<<"$err" >/dev/null || echo "$err")"
equal "nothing has changed" "$(supervisor_of "$up_keeper") $(same up)" "$supervisor "
equal "nor been begun" "$("$rekindle" events --all --name up --kind upgrade)" ""

mv "$bin/a" "$bin/rekindled"
patched a
upgrade up
expect "without --binary it is what stands where the running one came from" 0 "^release ${release%?}a supervises and is keeper"
puts
equal "list tells the release" "$(listed up release)" "${release%?}a"
equal "keeper is of the new release too" "$(grep -c "keeper is release ${release%?}a now" "$tmp/up.log")" 1
equal "and is called by the program's name" "$(cat "/proc/$up_keeper/comm")" rekindled
result "keeper and workers are the same processes" "$(same up)"
upgrade up --binary "$bin/b" -o json
expect "twice in a row, in JSON" 0 '"kind":"upgrade".*"state":"done"'
equal "it is the second one then" "$(listed up release)" "${release%?}b"
result "the JSON is objects, one a line" "$(grep -v '^{.*}$' <<<"$out")"
run status up
expect "status counts them, and no death" 0 '^supervisor up [0-9.]+ m?s, replaced 2 times \(0 deaths\)'
upgrade up --no-wait
expect "--no-wait only begins it" 0 ''
until_true eval '[ "$(listed up release)" = "${release%?}b" ] && answers up'

supervisor=$(supervisor_of "$up_keeper")
upgrade up --binary "$bin/exits"
expect "one that ends at once gives way to the old one" 1 "release ${release%?}b supervises again, of the new one: it ended before it was ready, status=3"
upgrade up --binary "$bin/killed"
expect "one that is killed too" 1 "supervises again, of the new one: it ended before it was ready, signal=SIGKILL"
result "the events tell it" "$("$rekindle" events up --kind upgrade | grep -q 'status=3 state=failed' || "$rekindle" events up --kind upgrade)"
equal "keeper is what it was" "$(readlink "/proc/$up_keeper/exe")" "$bin/b"
result "with the same workers" "$(same up)"
puts

run_program "$probe" together "$REKINDLE_RUNTIME_DIR/up/control" '{"verb":"upgrade","do":"go","path":"/bin/true"}' '{"verb":"upgrade","do":"go","path":"/bin/true"}'
expect "of two that are asked for at once the second is refused" 0 '"code":"EBUSY".*an upgrade has begun already'
expect "and the first one begins" 0 '"ok":true.*"operation":[0-9]'
until_true eval '"$rekindle" events up --kind upgrade | grep -q "status=0 state=failed"'
result "a program that asks nobody and ends as if all were well is given up as well" \
	"$("$rekindle" events up --kind upgrade | grep -q "status=0 state=failed" || echo "it is not told")"
result "and the fleet goes on" "$(same up)"

# ---- killed and stopped on the way ----

# newest_is_other KEEPER PIDS: its youngest child, left in newest, is none of them. Within this shell, for speed.
newest_is_other() {
	read -r newest <"/proc/$1/task/$1/children"
	newest=${newest##* }
	[[ " $2 " != *" $newest "* ]]
}

# slow_begin FLEET KEEPER ARGUMENT…: until the new supervisor waits for a sign, which is "exec 8>$tmp/go"
slow_begin() {
	timeout 30 "$rekindle" upgrade "$1" --binary "$bin/slow" "${@:3}" >"$tmp/slow.said" 2>&1 &
	slow=$!
	started[$slow]=
	until_true supervises "$2" "$bin/slow"
	until_true eval "[ \"\$(state $2)\" = S ]" # keeper has handed everything over
}

slow_end() {
	reap "$slow"
	status=$?
	out=$(cat "$tmp/slow.said")
	err=
}

kill -STOP "$up_keeper"
timeout 30 "$rekindle" upgrade up --binary "$bin/a" >"$tmp/slow.said" 2>&1 &
slow=$!
started[$slow]=
until_true eval '[ "$(state "$(supervisor_of $up_keeper)")" = Z ]'
puts
kill -CONT "$up_keeper"
slow_end
expect "keeper may be stopped when the supervisor makes way" 0 "release ${release%?}a supervises and is keeper"

slow_begin up "$up_keeper"
kill -STOP "$up_keeper"
exec 8>"$tmp/go" 8>&-
until_true answers up
supervisor=$(supervisor_of "$up_keeper")
kill -STOP "$supervisor"
kill -CONT "$up_keeper"
until_true executes "$up_keeper" "$rekindled"
kill -KILL "$supervisor"
exec 8>"$tmp/go" 8>&- # to its successor
slow_end
expect "a supervisor that is killed before it has heard of the end: the next one tells" 0 "release $release supervises and is keeper"
result "and all goes on" "$(same up)"

slow_begin up "$up_keeper" --timeout 100ms
run list
expect "list says that an upgrade is under way" 0 "^up  keeper $up_keeper, an upgrade is under way; the supervisor "
run list -o json
expect "as JSON, too" 0 '"name":"up",.*"upgrading":true'
timeout 30 "$rekindle" upgrade up --binary "$bin/b" >"$tmp/second.said" 2>&1 &
second=$!
started[$second]=
slow_end
expect "--timeout: it goes on" 4 "the time was up; the upgrade goes on"
exec 8>"$tmp/go" 8>&-
reap "$second"
status=$?
out=$(cat "$tmp/second.said")
result "another one waits for it, and is begun or refused then" "$([ "$status" = 0 ] || grep -q 'an upgrade has begun already' <<<"$out" || echo no)"
until_true answers up
result "and all goes on" "$(same up)"
run list
expect "and list says no more of it" 0 "^up  keeper $up_keeper$"
puts

# A worker and the supervisor's successor: whoever is killed while keeper is on its way has an heir.
timeout 30 "$rekindle" upgrade up --binary "$bin/late" >"$tmp/slow.said" 2>&1 &
slow=$!
started[$slow]=
until_true executes "$up_keeper" "$bin/late"
kill -KILL "${was[up]##* }"
exec 8>"$tmp/go" 8>&-
slow_end
expect "a worker is killed while keeper is on its way" 0 "supervises and is keeper"
until_true eval '[ "$("$rekindle" status up --check >/dev/null; echo $?)" = 0 ]'
equal "it has one successor" "$("$rekindle" get up 3 | awk 'END { print $2, $4 }')" "ready 2"
result "which is told" "$("$rekindle" why 3 --name up | grep -q SIGKILL || "$rekindle" why 3 --name up)"
now=$(processes up)
equal "the others are who they were" "${now% *}" "${was[up]% *}"
was[up]=$now

for ((i = 1; i <= 10; i++)); do
	supervisor=$(supervisor_of "$up_keeper")
	timeout 30 "$rekindle" upgrade up --binary "$bin/a" >"$tmp/storm.$i" 2>&1 &
	slow=$!
	started[$slow]=
	until_true newest_is_other "$up_keeper" "$supervisor ${was[up]}"
	for ((k = RANDOM % 3000; k > 0; k--)); do :; done
	kill -KILL "$newest" 2>/dev/null
	reap "$slow"
	code=$?
	case $code in
	0) ;;
	1) grep -qE 'supervises again|begun already' "$tmp/storm.$i" || code=bad ;;
	69) grep -q 'was replaced before it answered' "$tmp/storm.$i" || code=bad ;;
	*) code=bad ;;
	esac
	ends="$ends $code"
	until_true answers up
done
result "supervisors are killed at any time: each upgrade has an end ($ends)" "$([[ $ends != *bad* ]] || cat "$tmp"/storm.*)"
result "and nobody else is touched" "$(same up)"
calls_end up

"$rekindle" stop up >/dev/null 2>&1
reap "$up_keeper"
equal "stopped: keeper's exit status" $? 0
result "stopped: nothing is left" "$(gone ${was[up]}; ls "$tmp/r/up" 2>&1 | grep -v 'No such')"

# ---- keeper on its own way ----

# By an address where nobody listens: as long as keeper knows it, that is enough.
NOTIFY_SOCKET=@rk-upgrade-$$ begin unfit "$rekindled" 2
upgrade unfit --binary "$bin/unfit"
expect "keeper cannot become it: the supervisor is, and that is told" 2 "supervises, but keeper could not be replaced: Permission denied"
result "with the same processes" "$(same unfit)"
chmod +x "$bin/unfit"
supervisor=$(supervisor_of "$keeper")
kill -KILL "$supervisor"
until_true eval '[ "$(supervisor_of $keeper)" != $supervisor ] && answers unfit'
equal "the next supervisor is of the new release" "$(readlink "/proc/$(supervisor_of "$keeper")/exe")" "$rekindled"
equal "and knows nothing of what was meant for keeper" \
	"$(tr '\0' '\n' <"/proc/$(supervisor_of "$keeper")/environ" | grep -E '^(NOTIFY_SOCKET|WATCHDOG_|FDSTORE|REKINDLE_KEEPER_TABLE|REKINDLE_FDSTORE)')" ""
equal "the fleet goes on" "$("$rekindle" call --name unfit apple)" 1
"$rekindle" stop unfit >/dev/null 2>&1
reap "$keeper"
equal "and stops" $? 0

# Keeper watches over a supervisor that is ready more closely than over one that adopts.
NOTIFY_SOCKET=@rk-upgrade-$$ WATCHDOG_USEC=1000000 begin watched "$rekindled" 1
slow_begin watched "$keeper"
supervisor=$(supervisor_of "$keeper")
began=${EPOCHREALTIME/./}
until [ $((${EPOCHREALTIME/./} - began)) -gt 1500000 ] || ! supervises "$keeper" "$bin/slow"; do :; done
exec 8<>"$tmp/go" # it, and its successors
slow_end
expect "one that takes longer to adopt than it may be silent later is not killed" 0 "supervises and is keeper"
equal "it is the first one" "$(supervisor_of "$keeper")" "$supervisor"
kill -STOP "$supervisor"
until_true eval '[ "$(supervisor_of $keeper)" != $supervisor ] && answers watched'
exec 8>&-
result "and behind that it is, when it hangs" "$("$rekindle" events --all --name watched | grep -q 'no progress for' || echo "it is not told")"
"$rekindle" stop watched >/dev/null 2>&1
reap "$keeper"
equal "and stops" $? 0

begin stopping "$rekindled" 1 --set StopTimeout=25s
slow_begin stopping "$keeper"
kill -STOP "${was[stopping]##* }"
kill -TERM "$keeper"
exec 8>"$tmp/go" 8>&-
until_true executes "$keeper" "$rekindled"
until_true eval '"$rekindle" events --all --name stopping | grep -q "fleet stops"'
upgrade stopping --binary "$bin/a"
expect "no upgrade begins while the fleet stops" 1 'the fleet stops'
began=$SECONDS
kill -TERM "$keeper"
reap "$keeper"
equal "asked to stop on the way, asked again behind it: it does not wait" "$? $((SECONDS - began < 15))" "1 1"
result "and nothing is left" "$(gone ${was[stopping]})"

begin killed "$rekindled" 3
timeout 30 "$rekindle" upgrade killed --binary "$bin/hangs" >"$tmp/killed.said" 2>&1 &
slow=$!
started[$slow]=
until_true supervises "$keeper" "$bin/hangs"
supervisor=$(supervisor_of "$keeper")
kill -KILL "$keeper"
reap "$keeper"
result "keeper is killed in the middle of it: everything ends" "$(gone ${was[killed]} $supervisor)"
reap "$slow"
equal "whoever waits is told" "$? $(grep -c 'the fleet ended before the upgrade was over' "$tmp/killed.said")" "3 1"
run_program "$rekindle" status killed --check
expect "it does not run any more" 3 ''
begin killed "$rekindled" 1
"$rekindle" stop killed >/dev/null 2>&1
reap "$keeper"
equal "and can be started again" $? 0

# ---- twenty in a row, under a demo that kills workers ----

"$rekindle" demo --seconds 6 --kill-workers=4 --kill-clients=2 --stop-workers=1 -o json >"$tmp/demo" 2>"$tmp/demo.err" &
demo=$!
started[$demo]=
until "$rekindle" status --wait=5s "demo-$demo" >/dev/null 2>&1; do kill -0 "$demo" 2>/dev/null || break; done
n_done=0
for ((i = 1; i <= 10; i++)); do
	for letter in a b; do
		upgrade "demo-$demo" --binary "$bin/$letter"
		[ "$status" = 0 ] && n_done=$((n_done + 1)) || details >>"$tmp/demo.err"
	done
done
equal "twenty in a row" "$n_done" 20
kill -0 "$demo" 2>/dev/null || echo "# the demo ended before"
reap "$demo"
equal "while workers and clients are killed: the checker's verdict" "$? $(grep -oE '"(ok|lost|doubled|unanswered|contradicted)":[a-z0-9]+' "$tmp/demo" | tr -d '"' | sort | xargs)" \
	"0 contradicted:0 doubled:0 lost:0 ok:true unanswered:0"

# ---- what took its time ----

reap "$mute"
equal "a binary that never answers is refused in time" "$(cat "$tmp/mute.end") $(grep -c 'nothing was changed' "$tmp/mute.said")" "78 1"
reap "$hang"
read -r code ms <"$tmp/hang.end"
equal "one that hangs gives way to the old one" "$code $(grep -c 'supervises again, of the new one: it was not ready after 10 s' "$tmp/hang.said")" "1 1"
result "after 10 s ($ms ms)" "$([ "$ms" -ge 10000 ] && [ "$ms" -lt 16000 ] || echo "$ms ms")"
result "with the same processes" "$(same hang)"
run events hang --kind start,death
expect "its death was keeper's doing, which is recorded with why" 0 'death .* supervisor died, workers go on cause="SIGKILL" by="keeper: the new release was not ready after 10 s"'
hung=$(sed -n 's/.* death  *-  *\([0-9]*\) .*by="keeper: .*/\1/p' <<<"$out")
result "and so is its start, though it never said so itself" "$(grep -qE " start +- +${hung:-none} +supervisor was started" <<<"$out" || echo "$out")"
result "of the others each start is there once" "$(sed -n 's/.* start  *-  *\([0-9]*\) .*/\1/p' <<<"$out" | sort | uniq -d)"
equal "and it works" "$("$rekindle" call --name hang apple)" 1
"$rekindle" stop hang >/dev/null 2>&1
reap "$hang_keeper"
equal "and stops" $? 0
# ---- the place, not the file ----

mkdir "$tmp/inst"
cp "$rekindled" "$tmp/inst/rekindled"
begin moved "$tmp/inst/rekindled" 1
mv "$tmp/inst/rekindled" "$tmp/inst/rekindled.old"
cp "$bin/a" "$tmp/inst/rekindled"
upgrade moved
expect "a binary that was renamed: what stands in its place is meant" 0 "path=$tmp/inst/rekindled\$"
expect "and it is another one" 0 "^release ${release%?}a supervises and is keeper"
kill -TERM "$keeper"
reap "$keeper"

result "nothing is left in the end, but the records of a fleet that was killed" \
	"$(find "$tmp/r" -mindepth 1 ! -path "$tmp/r/stopping" ! -path "$tmp/r/stopping/flight"; pgrep -f "$tmp/bin/|($rekindled|rekindled-supervisor) --name (up|hang|unfit|watched|stopping|killed) ")"
finish
