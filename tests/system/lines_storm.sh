#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    filters that are killed all the time, they themselves or their bridges, cost nothing but time: each of
#         100,000 lines is answered once, and what is worked on twice is counted.
# Method  pipelines through real filters, from whose trees a process is taken each 50 ms; the output is held against
#         what it has to be, line by line. python's script writes down each line that it gets. The seed of the kills
#         is printed; LINES makes it fewer.
. "$(dirname "$0")/lib.sh"

n_lines=${LINES_STORM:-100000}
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$seed
echo "# seed $seed"
mkfifo "$tmp/never"

# One of the fleet's bridges, or of what they run.
victim() {
	local pids=() below
	mapfile -t pids < <("$rekindle" status storm 2>/dev/null | awk 'is_slot && $3 > 1 { print $3 } $1 == "SLOT" { is_slot = 1 }')
	[ ${#pids[@]} -gt 0 ] || return 1
	victim=${pids[RANDOM % ${#pids[@]}]}
	if [ $((RANDOM % 2)) -eq 1 ]; then
		read -r below _ <"/proc/$victim/task/$victim/children" || return 1
		victim=${below:-$victim}
	fi
} 2>/dev/null

# storm NAME [OPTION…] -- FILTER; $tmp/in and $tmp/want are there
storm() {
	local name=$1 kills=0 pipeline
	shift
	timeout -k 5 150 "$rekindle" run -n 4 --name storm --kind=lines --key=1 --set RestartBackoffMax=100ms "$@" \
		<"$tmp/in" >"$tmp/out" 2>"$tmp/err" &
	pipeline=$!
	started[$pipeline]=
	while kill -0 "$pipeline" 2>/dev/null; do
		victim && kill -KILL "$victim" 2>/dev/null && kills=$((kills + 1))
		read -r -t 0.05 <>"$tmp/never"
	done
	reap "$pipeline"
	status=$?
	out=
	err=$(tail -3 "$tmp/err")
	result "$name: the pipeline ends well" "$([ $status -eq 0 ] || echo "exit status $status")"
	result "$name: each of $n_lines lines has its answer, once, where it belongs" \
		"$(cmp "$tmp/want" "$tmp/out" 2>&1 | head -1)"
	result "$name: there were kills" "$([ $kills -ge 1 ] || echo "$kills kills")"
	echo "# $name: $kills kills; $(tail -1 "$tmp/err")"
}

have() {
	command -v "$2" >/dev/null || { skip "$1: each line has its answer under kills" "$1: $2 is not installed"; return 1; }
}

seq "$n_lines" | awk '{ print "key" $1 % 100 " line " $1 }' >"$tmp/in"
cp "$tmp/in" "$tmp/want"
if have mawk mawk; then storm mawk -- mawk -W interactive '{ print }'; fi
sed 's/line/LINE/' "$tmp/in" >"$tmp/want"
if have sed sed; then storm sed -- sed -u s/line/LINE/; fi

cat >"$tmp/filter.py" <<'EOF'
import os, sys
seen = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
for line in iter(sys.stdin.readline, ""):
    os.write(seen, line.encode())
    print(line.rstrip("\n").upper(), flush=True)
EOF
tr a-z A-Z <"$tmp/in" >"$tmp/want"
if have python python3; then
	storm python -- python3 "$tmp/filter.py" "$tmp/seen"
	sort -u "$tmp/seen" >"$tmp/once"
	sort "$tmp/in" >"$tmp/all"
	result "python: it has seen every line" "$(cmp "$tmp/once" "$tmp/all" 2>&1 | head -1)"
	result "python: lines of one key were given in order" \
		"$(awk '!seen[$0]++ { if ($3 + 0 < last[$1] + 0) print $0 " behind " last[$1]; last[$1] = $3 }' "$tmp/seen" | head -3)"
	echo "# python: $(($(wc -l <"$tmp/seen") - n_lines)) lines were given more than once"
fi

seq "$n_lines" | awk '{ printf "{\"key\":\"k%d\",\"n\":%d}\n", $1 % 100, $1 }' >"$tmp/in"
cp "$tmp/in" "$tmp/want"
if have jq jq; then storm jq -- jq --unbuffered -c .; fi

# Answers in any order: threads, and an id.
cat >"$tmp/threads.py" <<'EOF'
import random, sys, threading, time
lock = threading.Lock()
def work(line):
    time.sleep(random.random() * 0.005)
    with lock:
        print(line.rstrip("\n"), "done", flush=True)
for line in iter(sys.stdin.readline, ""):
    threading.Thread(target=work, args=(line,)).start()
EOF
n_lines=$((n_lines / 20))
seq "$n_lines" | awk '{ print "id" $1 " line" }' >"$tmp/in"
sed 's/$/ done/' "$tmp/in" >"$tmp/want"
if have threads python3; then storm threads --set AnswerId=1 -- python3 "$tmp/threads.py"; fi

result "nothing is left in the end" "$(ls -A "$REKINDLE_RUNTIME_DIR" 2>/dev/null)"
finish
