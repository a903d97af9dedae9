#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    check, cat and run do what rekindle.conf(5) says: mistakes come all at once with file,
#         line and exit status 78; the page's example works as typed; drop-ins and presets count.
# Method  trees below a temporary root, with the programs of $BUILD; one fleet is really run.
. "$(dirname "$0")/lib.sh"

etc=$tmp/root/etc/rekindle
mkdir -p "$etc/words.conf.d" "$tmp/root/usr/lib/rekindle/words.conf.d"

# ---- a good one -------------------------------------------------------------------------------

printf '[Fleet words]\nExec=%s\nWorkers=2\n' "$wordcount" >"$etc/words.conf"
run check words --root "$tmp/root"
expect "a good configuration is summed up in one line" 0 '^words: 1 fleet, 2 workers, [0-9]+ MiB of shared memory$'
printf '[Fleet words]\nWorkers=3\n[Fleet more]\nExec=cat\n' >"$tmp/root/usr/lib/rekindle/words.conf.d/50-more.conf"
run check --root "$tmp/root"
expect "drop-ins count, and without a name all are checked" 0 '^words: 2 fleets, 7 workers, '
run cat words --root "$tmp/root"
expect "cat says where each line comes from" 0 '^# origin: .*/50-more\.conf:2$'
printf '%s\n' "$out" >"$tmp/again.conf"
run check "$tmp/again.conf"
expect "what cat prints is a configuration" 0 '^again: 2 fleets, 7 workers, '
ln -s /dev/null "$etc/words.conf.d/50-more.conf"
run check words --root "$tmp/root"
expect "a link to /dev/null masks a drop-in" 0 '^words: 1 fleet, 2 workers, '
run cat --defaults
expect "cat --defaults shows every key" 0 '^HangAfter=10s$'

# ---- bad ones ---------------------------------------------------------------------------------

cat >"$tmp/five.conf" <<'FILE'
[Fleet words]
Exec=no-such-program-of-anybody
Wrokers=4
StopTimeout=5
MaxState=12Q
Restart=sometimes
FILE
run check "$tmp/five.conf"
expect "five mistakes are 78" 78 'did you mean .Workers'
result "and five lines, each with file and line" "$(printf '%s\n' "$err" | sed -n 's,^\(.*\):\([0-9]*\): .*,\1 \2,p' |
	diff - <(for i in 2 3 4 5 6; do echo "$tmp/five.conf $i"; done))"
cat >"$tmp/heads.conf" <<'FILE'
[Supervisr]
LogLevle=info
[Flet words]
Exec=cat
Wrokers=4
Kind=https
[Service]
ExecStart=cat
FILE
run check "$tmp/heads.conf"
complaints='1 no section \[Supervisr\]: did you mean \[Supervisor\]\?
2 unknown key .LogLevle.: did you mean .LogLevel.
3 no section \[Flet words\]: did you mean \[Fleet words\]\?
5 unknown key .Wrokers.: did you mean .Workers.
6 Kind=: .https. is none of native\|lines\|http\|tcp\|notify\|exec
7 no section \[Service\]: .*; what stands in it was not looked at'
expect "keys below a misspelt section are checked as those of the one that was meant" 78 'heads\.conf:3: '
result "and each mistake is told" "$(while read -r line says; do
	grep -qE "heads\.conf:$line: .*$says" <<<"$err" || echo "no $line $says in: $err"
done <<<"$complaints")"
result "once" "$([ "$(grep -c 'heads\.conf' <<<"$err")" -eq 6 ] || echo "$err")"
run_program "$rekindled" --config "$tmp/five.conf"
expect "rekindled refuses it too" 78 'five\.conf:4: StopTimeout=: .*give a unit'
run run --config "$tmp/five.conf"
expect "and so does run" 78 'five\.conf:6: Restart='
run cat "$tmp/five.conf"
expect "cat prints a bad one and complains" 78 '^MaxState=12Q$'
printf '[Fleet a]\nExec=%s\nJobTimeoutSignal=SIGTERM\n' "$wordcount" >"$tmp/term.conf"
run check "$tmp/term.conf"
expect "a signal that asks workers to end is none for a late job" 78 'term\.conf:3: JobTimeoutSignal=: SIGTERM asks a worker to end'
run check nosuch --root "$tmp/root"
expect "a name that is nowhere" 78 'there is no nosuch\.conf in /etc/rekindle'
run check "$tmp/none.conf"
expect "a file that is not there" 78 'there is no file'
mkfifo "$tmp/fifo.conf"
run_program timeout 10 "$rekindle" check "$tmp/fifo.conf"
expect "a FIFO is refused at once" 78 'is no regular file'
head -c 300000 /dev/urandom >"$tmp/noise.conf"
run check "$tmp/noise.conf"
expect "noise is refused" 78 'noise\.conf:[0-9]+: '
run run --config words -n 3 --root "$tmp/root"
expect "options of a fleet do not go with --config" 64 'with --config'
run run
expect "run with nothing to run" 64 'run needs the COMMAND'
run run --set Wrokers=3 -- cat
expect "a misspelt --set" 64 "did you mean 'Workers'"
for count in 0 32 100 131072; do
	printf '[Supervisor]\nFlightRecords=%s\n[Fleet w]\nExec=%s\n' "$count" "$wordcount" >"$tmp/records.conf"
	run check "$tmp/records.conf"
	expect "FlightRecords=$count is refused with its bounds" 78 'records\.conf:2: FlightRecords=: .*64\.\.65536'
done
run_program bash -c '"$1" cat --defaults >/dev/full' - "$rekindle"
expect "a full disk is an error" 1 'cannot write to standard output'

# ---- wrapped programs -------------------------------------------------------------------------

cat >"$tmp/wrapped.conf" <<'FILE'
[Fleet cache]
Kind=tcp
Preset=rediss
Exec=sh -c true --port %q
Send=PING
Port=65534
Framing=netstring
FILE
run check "$tmp/wrapped.conf"
wrapped="3 Preset=rediss: there is none, did you mean 'redis'\? There are: .*jq
4 Exec=: '%q' stands for nothing: there are %p \\(port\\), .*%% \\(a percent sign\\)
5 Send= without Expect= is no probe: every stopped server still accepts connections.*Expect=
6 Port=65534 and Workers=4 end at port 65537.*lower Port= to 65532
7 Framing= is for Kind=lines, and fleet 'cache' is Kind=tcp: take it out, or change Kind="
expect "five mistakes of a wrapped program are 78" 78 'wrapped\.conf:'
result "and five lines, each saying what would do" "$(while read -r line says; do
	grep -qE "wrapped\.conf:$line: $says" <<<"$err" || echo "no $line $says in: $err"
done <<<"$wrapped"; [ "$(wc -l <<<"$err")" -eq 5 ] || echo "$err")"
run run --set Kind=lines --set Preset=jj -- cat
expect "a preset that is misspelt names the one that was meant" 64 "Preset=jj: there is none, did you mean 'jq'\?"
name="a wrapped program without its bridge is refused in one line"
if [ -e "$(sed -n "s,^prefix = ,,p" "$build/Makefile")/libexec/rekindle/rekindle-bridge" ]; then
	skip "$name" "installed: there is a bridge"
else
	mkdir "$tmp/alone"
	cp "$rekindled" "$tmp/alone"
	run_program "$tmp/alone/rekindled" --name a --kind=lines -- cat
	expect "$name" 78 '^rekindled: Kind=lines: cannot find rekindle-bridge: '
	result "and in no other" "$([ "$(wc -l <<<"$err")" -eq 1 ] || echo "$err")"
fi
mkdir "$etc/presets"
printf '[Fleet]\nKind=lines\nWindow=7\nStopTimeout=9s\nEnvironment=FROM=preset\n' >"$etc/presets/echo.conf"
printf '[Fleet lines]\nStopTimeout=3s\nExec=cat\nWorkers=1\nPreset=echo\n' >"$etc/lines.conf"
run cat lines --root "$tmp/root"
expect "cat says what comes from a preset" 0 '^# origin: .*/presets/echo\.conf:3$'
result "with its value" "$(grep -q '^Window=7$' <<<"$out" || echo "$out")"
result "but not what the configuration says otherwise" "$(grep -n 'StopTimeout=9s' <<<"$out")"
run cat "$tmp/wrapped.conf"
expect "of one that does not exist nothing is shown" 78 '^Preset=rediss$'

# worker_of NAME: the pid in slot 0
worker_of() { "$rekindle" status "$1" -o json | grep -oE '"pid": ?[0-9]+' | head -1 | grep -oE '[0-9]+'; }

lines 7 "$tmp/run.err" "$rekindle" run --config lines --root "$tmp/root"
keeper=$!
line=
while IFS= read -r -t 30 -u 7 line && [[ $line != *"fleet "* ]]; do :; done
result "a preset's fleet runs" "$([[ $line == *"1 worker"* ]] || cat "$tmp/run.err")"
run call --name lines a 'one line'
expect "and answers" 0 '^one line$'
bridge=$(worker_of lines)
result "its worker is a bridge, which names the program" \
	"$(tr '\0' ' ' <"/proc/$bridge/cmdline" | grep -qx 'rekindle-bridge cat ' || tr '\0' ' ' <"/proc/$bridge/cmdline")"
told=$(tr '\0' '\n' <"/proc/$bridge/environ")
result "and has been told what holds" "$(for w in REKINDLE_BRIDGE=Name=lines Fleet=lines Kind=lines Window=7 StopTimeout=3000000000 FROM=preset; do
	grep -qxF "$w" <<<"$told" || echo "no $w in: $told"
done)"
rm "$etc/presets/echo.conf"
sed -i 's/^StopTimeout=.*/StopTimeout=4s/' "$etc/lines.conf"
run reload lines
expect "a reload goes on with a preset whose file is gone" 0 'lines: StopTimeout=3s -> 4s'
result "and nothing of it is lost" "$(grep -E 'Window|Kind|FROM' <<<"$out")"
result "which the log tells" "$(grep -q "the preset's file is gone, what it said goes on to hold preset=echo" "$tmp/run.err" || cat "$tmp/run.err")"
run call --name lines a 'another line'
expect "and its workers still answer" 0 '^another line$'
sed -i 's/^Preset=.*/Preset=ehco/' "$etc/lines.conf"
run reload lines
expect "one that does not exist is refused" 78 'lines\.conf:5: Preset=ehco: there is none'
result "and nothing else is concluded from that" "$(grep -E 'Kind=|Window=' <<<"$err$out")"
run stop lines
expect "it stops" 0 'stopped lines'
reap "$keeper"
result "with status 0, as others" "$([ $? -eq 0 ] || cat "$tmp/run.err")"

# ---- running one ------------------------------------------------------------------------------

# The four lines of the page, with the program where it is now.
"$rekindled" --man-conf | sed -n '/^\.RS/,/^\.RE/{/^\./!p}' | sed "s,^Exec=.*,Exec=$wordcount," >"$tmp/example.conf"
result "the page's example has four lines" "$([ "$(wc -l <"$tmp/example.conf")" -eq 4 ] || cat "$tmp/example.conf")"
lines 7 "$tmp/run.err" "$rekindle" run --config "$tmp/example.conf"
keeper=$!
line=
while IFS= read -r -t 30 -u 7 line && [[ $line != *"fleet "* ]]; do :; done
result "and runs as typed" "$([[ $line == *"2 workers"* ]] || cat "$tmp/run.err")"
run call apple
expect "its workers answer" 0 '^1$'
run stop
expect "and it stops" 0 'stopped example'
reap "$keeper"
result "with status 0" "$([ $? -eq 0 ] || cat "$tmp/run.err")"

# Several fleets of one configuration: one starts behind the other, each has its own memory.
cat >"$tmp/two.conf" <<TXT
[Supervisor]
FlightRecords=64
[Fleet front]
Exec=$wordcount
Workers=2
After=back
[Fleet back]
Exec=$wordcount
Workers=1
[Fleet off]
Exec=$wordcount
Disabled=yes
TXT
lines 7 "$tmp/run.err" "$rekindle" run --config "$tmp/two.conf"
keeper=$!
seen=
while IFS= read -r -t 30 -u 7 line; do
	[[ $line != *"fleet "*" worker"* ]] || seen="$seen ${line#*fleet }"
	[[ $line != *"fleet front,"* ]] || break
done
result "two fleets start, one after the other" "$([[ $seen == " back, 1 worker: "*" front, 2 workers: "* ]] || { echo "$seen"; cat "$tmp/run.err"; })"
run call apple
expect "which one must be said" 64 'choose one of two/front two/back'
run call --name two/back apple
expect "one answers" 0 '^1$'
run call --name two/front apple
expect "and the other, which knows nothing of it" 0 '^1$'
run call --name two/off apple
expect "a disabled one is not there" 3 "runs no fleet named 'off'"
run status --name two/front
expect "status shows the one that is asked for" 0 '2 of 2 ready'
fleets_in() { "$rekindle" events --name "$1" -o json | grep -o '"fleet":"[a-z]*"' | sort -u | tr '\n' ' '; }
result "events of one do not tell of the other" "$([[ $(fleets_in two) == *back*front* && $(fleets_in two/front) == '"fleet":"front" ' ]] ||
	{ fleets_in two; fleets_in two/front; })"
run status two/front
expect "its head says which" 0 '^two/front  2 of 2 ready'
run get two/front 1
expect "get takes the name, too" 0 '^ +1  ready '
result "and shows that worker alone" "$([ "$(wc -l <<<"$out")" -eq 2 ] || echo "$out")"
run get two/back
expect "also without a worker" 0 '^ +0  ready '
run status two/front 1
expect "and so does status" 0 '^slot ready, process '
run events two/back
expect "and events" 0 'fleet ready workers=1'
result "without a column of fleets" "$(grep -E ' back ' <<<"$out")"
run events two
expect "events of all say which fleet each is of" 0 ' ready +back +- +- +fleet ready workers=1'
expect "with names in one column" 0 ' ready +front +- +- +fleet ready workers=2'
expect "and a dash for what is of none" 0 ' start +- +- +[0-9]+ +supervisor started'
for c in "why 0" "why 0 --name two" "why two 0"; do
	# shellcheck disable=SC2086 # several words are meant
	run $c
	expect "$c: which fleet must be said" 64 'tells of such a worker in several fleets: choose one of( two/(back|front)){2}'
done
run why 1
expect "but not of a worker that only one of them has" 0 'ready'
run why two/back 0 -o json
expect "why says which one it tells of" 0 '"name": ?"two", ?"fleet": ?"back"'
run logs two/back
expect "and logs" 0 "output of back's workers goes"
run why 1 --name two/back
expect "nor do they say why of it" 1 'says nothing of a worker 1'
run why two/back 1
expect "why takes the name, too" 1 'says nothing of a worker 1'
size=$(stat -c %s "$REKINDLE_RUNTIME_DIR/two/flight")
result "FlightRecords= is the size of the flight recorder" "$([ "$size" = $((4096 + 64 * 1024)) ] || echo "$size bytes")"
sed -i 's/^FlightRecords=.*/FlightRecords=128/' "$tmp/two.conf"
run reload two
expect "a reload does not change it, and says what does" 78 "FlightRecords=64 -> 128 cannot change while it runs: take it back, or run 'rekindle stop"
run stop two/front
expect "one of several fleets is not stopped as if it were all" 64 "stop ends all fleets"
run stop two
expect "and they stop" 0 'stopped two'
reap "$keeper"
result "with status 0, too" "$([ $? -eq 0 ] || cat "$tmp/run.err")"

finish
