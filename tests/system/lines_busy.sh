#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    a program that is well is not ended because jobs had to wait before it; partitions change hands while jobs are
#         under way in it; one that swallows a checkpoint's line is found as one that hangs; answers by id are never
#         another client's; nothing is judged by a probe that has never succeeded.
# Method  a fleet for each, all in one configuration, whose programs are a few lines of python. Each was seen to
#         fail before it was mended.
. "$(dirname "$0")/lib.sh"

command -v python3 >/dev/null || { skip "programs that have much to do" "python: python3 is not installed"; finish; }
python=$(command -v python3)

# The answer to a line is the line, after a while: "N …" waits N seconds first. One after another; or all at once.
cat >"$tmp/serial.py" <<'EOF'
import sys, time
for line in iter(sys.stdin.readline, ""):
    if line == "SAVE\n":
        time.sleep(1000)
    time.sleep(float(line.split()[0]))
    print(line.rstrip("\n"), flush=True)
EOF
cat >"$tmp/threads.py" <<'EOF'
import sys, threading, time
lock = threading.Lock()
def work(line):
    time.sleep(float(line.split()[1]))
    with lock:
        print(line.rstrip("\n"), flush=True)
for line in iter(sys.stdin.readline, ""):
    threading.Thread(target=work, args=(line,)).start()
EOF
cat >"$tmp/told.py" <<'EOF'
import os, socket, time
to = os.environ["NOTIFY_SOCKET"]
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", "\0" + to[1:] if to[0] == "@" else to)
time.sleep(1000)
EOF
cat >"$tmp/busy.conf" <<EOF
[Fleet queue]
Kind=lines
Workers=1
Exec=$python $tmp/serial.py
[Fleet moves]
Kind=lines
Workers=2
StopTimeout=20s
Exec=$python $tmp/serial.py
[Fleet saves]
Kind=lines
Workers=1
HangAfter=400ms
CheckpointLine=SAVE
CheckpointInterval=300ms
Exec=$python $tmp/serial.py
[Fleet ids]
Kind=lines
Workers=1
AnswerId=1
Exec=$python $tmp/threads.py
[Fleet unproven]
Kind=notify
Workers=1
ProbeExec=/bin/false
ProbeInterval=50ms
ProbeTimeout=50ms
ProbeFailures=1
Exec=$python $tmp/told.py
EOF
lines 7 "$tmp/said" "$rekindle" run --config "$tmp/busy.conf"
keeper=$!
for f in queue moves saves ids unproven; do
	run status "busy/$f" --wait=20s
	expect "$f gets ready" 0 ready
done
restarts() {
	"$rekindle" status "busy/$1" | awk '$1 ~ /^[0-9]+$/ { sum += $5 } END { print sum + 0 }'
}

# ---- jobs whose clients have less patience than those before them take ----

callers=()
for i in $(seq 12); do
	"$rekindle" call --name busy/queue --timeout=1s "k$i" "0.3 $i" >"$tmp/call.$i" 2>&1 &
	callers+=($!)
	started[$!]=
done
answered=0
for pid in "${callers[@]}"; do reap "$pid" && answered=$((answered + 1)); done
result "queue: those whose turn came in time have answers" "$([ $answered -ge 1 ] || echo "$answered of 12")"
run call --name busy/queue --timeout=10s other "0 behind"
expect "queue: it goes on" 0 '^0 behind$'
result "queue: nobody was ended for it" "$(restarts queue | grep -vx 0)$("$rekindle" dead list --name busy/queue | grep -v 'no dead')"

# ---- partitions change hands while a job is under way ----

for worker in 0 1; do
	key=$("$rekindle" key --name busy/moves k{1..40} | awk -v w=$worker '$3 == w { print $1; exit }')
	"$rekindle" call --name busy/moves --timeout=20s "$key" "1.5 under way" >"$tmp/moved.$worker" 2>&1 &
	caller=$!
	started[$caller]=
	until "$rekindle" status busy/moves | grep -q running; do :; done
	begun=$SECONDS
	if [ $worker = 0 ]; then
		run drain busy/moves 0 --timeout=15s
		[ $status -eq 64 ] && run drain --name busy/moves 0 --timeout=15s
	else
		run undrain --name busy/moves 0 --timeout=15s
	fi
	expect "moves: partitions are given back behind the job (${out:-$err})" 0 '.'
	result "moves: and not when the time for a stop is over" "$([ $((SECONDS - begun)) -le 8 ] || echo "$((SECONDS - begun)) s")"
	reap $caller
	result "moves: the job has its answer" "$([ "$(cat "$tmp/moved.$worker")" = "1.5 under way" ] || cat "$tmp/moved.$worker")"
done

# ---- a checkpoint's line that is never answered ----

end=$((SECONDS + 15))
until [ "$(restarts saves)" -ge 1 ] || [ $SECONDS -ge $end ]; do :; done
run why --name busy/saves 0
expect "saves: who swallows it hangs, and is ended" 0 'sign of life|hung'

# ---- two clients with one id ----

"$rekindle" call --name busy/ids a "1 0.6 of the first" >"$tmp/first" 2>&1 &
caller=$!
started[$caller]=
until "$rekindle" status busy/ids | grep -q running; do :; done
run call --name busy/ids b "1 0 of the second"
expect "ids: one that is under way is refused" 1 EEXIST
reap $caller
result "ids: and the first has its own answer" "$([ "$(cat "$tmp/first")" = "1 0.6 of the first" ] || cat "$tmp/first")"
run call --name busy/ids c "1 0 later"
expect "ids: later it may be used again" 0 '^1 0 later$'

# ---- a probe that never succeeded ----

result "unproven: it lives" "$(restarts unproven | grep -vx 0)"
run events busy/unproven --all
result "unproven: nothing was judged" "$(printf '%s\n' "$out" | grep verdict)"

run stop
expect "stop" 0 stopped
reap $keeper
result "nothing is left in the end" "$(ls -A "$REKINDLE_RUNTIME_DIR" 2>/dev/null; pgrep -f "$tmp/" )"
finish
