#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    every key that says what a worker starts with, what runs beside it and who may be its
#         client does what rekindle.conf(5) says.
# Method  real fleets of wordcount with the programs of $BUILD; what a worker became is read from
#         /proc. Nothing waits by the clock: event lines and the hooks' own FIFOs tell. What needs
#         root, a delegated control group or journald is skipped where there is none.
. "$(dirname "$0")/serve.sh"

# of FIELD: of the worker's /proc/PID/status
of() {
	sed -n "s/^$1:[[:space:]]*//p" "/proc/$pid/status"
}

# limit NAME: soft and hard
limit() {
	sed -n "s/^$1  *\([^ ]*\)  *\([^ ]*\) .*/\1 \2/p" "/proc/$pid/limits"
}

variable() {
	tr '\0' '\n' <"/proc/$pid/environ" | sed -n "s/^$1=//p"
}

# lives PID: complains if it does, after some patience: a zombie of nobody's counts as dead
lives() {
	local i
	for i in $(seq 3000); do
		[[ $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) == [!ZX]* ]] || return 0
	done
	echo "process $1 lives"
}

# ---- what a worker starts with ----------------------------------------------------------------

cat >"$tmp/file.env" <<'TXT'
# a comment
; and another
PLAIN=two  words	
QUOTED="a \"b\" c"
BOTH=file
TXT
ready "Environment=DIRECT=1 'BLANKS=x y' BOTH=key
EnvironmentFile=$tmp/file.env
EnvironmentFile=-$tmp/none.env
WorkingDirectory=$tmp
UMask=0027
LimitNOFILE=100:200
LimitCORE=0
LimitNPROC=4000
LimitMEMLOCK=64K
LimitSTACK=4M
LimitFSIZE=1G
LimitDATA=1G
LimitAS=8G
Nice=5
CPUAffinity=0
Batch=3"
equal "Environment sets a variable" "$(variable DIRECT)" 1
equal "also one with blanks" "$(variable BLANKS)" "x y"
equal "EnvironmentFile takes a value up to its line's end" "$(variable PLAIN)" "two  words"
equal "and one in quotes" "$(variable QUOTED)" 'a "b" c'
equal "a file wins over Environment" "$(variable BOTH)" file
equal "Batch is in the environment" "$(variable REKINDLE_BATCH)" 3
equal "WorkingDirectory" "$(readlink "/proc/$pid/cwd")" "$tmp"
equal "UMask" "$(of Umask)" 0027
equal "LimitNOFILE" "$(limit "Max open files")" "100 200"
equal "LimitCORE" "$(limit "Max core file size")" "0 0"
equal "LimitNPROC" "$(limit "Max processes")" "4000 4000"
equal "LimitMEMLOCK" "$(limit "Max locked memory")" "65536 65536"
equal "LimitSTACK" "$(limit "Max stack size")" "4194304 4194304"
equal "LimitFSIZE" "$(limit "Max file size")" "1073741824 1073741824"
equal "LimitDATA" "$(limit "Max data size")" "1073741824 1073741824"
equal "LimitAS" "$(limit "Max address space")" "8589934592 8589934592"
equal "Nice" "$(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f17)" 5
equal "CPUAffinity" "$(of Cpus_allowed_list)" 0
run call apple
expect "such a worker works" 0 '^1$'

# copied_libraries: what each child of the supervisor gets a copy of; "dc" is VM_DONTCOPY
copied_libraries() {
	local supervisor

	supervisor=$("$rekindle" status | sed -n "s/.*, supervisor \([0-9]*\)$/\1/p")
	awk '$6 ~ /\.so/ { name = $6; sub(/.*\//, "", name) } $1 ~ /-/ && $6 !~ /\.so/ { name = "" }
		$1 == "VmFlags:" && name != "" && name !~ /^ld/ && !/ dc/ { print name }' "/proc/$supervisor/smaps" | sort -u | tr '\n' ' '
}
equal "a child gets no copy of the supervisor's libraries but libc and the linker" "$(copied_libraries)" \
	"libc.so.6 "

# The file is read at each start.
echo 'BOTH=again' >"$tmp/file.env"
kill -KILL "$pid"
sees "worker 0 .*SIGKILL: [0-9]+ ready" >"$tmp/seen"
pid=${line##*: } pid=${pid%% *}
equal "EnvironmentFile is read at each start" "$(cat "$tmp/seen")$(variable BOTH)" again
echo 'this is no assignment' >"$tmp/file.env"
kill -KILL "$pid"
result "a bad one fails the start and says where" "$(sees "did not start \(EnvironmentFile $tmp/file.env:1: 'this is no assignment'")"
echo 'BOTH=good' >"$tmp/file.env"
result "and the next start is good again" "$("$rekindle" status --wait=20s --check 2>&1 >/dev/null)"
run events --kind=spawn
expect "the flight recorder has it" 0 "worker not started, .*file\.env:1"
stop

mkdir "$tmp/gone"
ready "WorkingDirectory=$tmp/gone"
rmdir "$tmp/gone"
kill -KILL "$pid"
result "one that goes missing fails the start and names the step" \
	"$(sees "did not start \(chdir to '$tmp/gone': No such file or directory\)")"
stop

# ---- users ------------------------------------------------------------------------------------

if [ -z "$is_root" ]; then
	skip "User and Group" "user: needs root"
elif ! as_other test -x "$wordcount"; then
	skip "User and Group" "user: others cannot enter the build directory"
else
	ready "User=nobody"
	equal "User: uid, in all four places" "$(of Uid)" "65534	65534	65534	65534"
	equal "User: its own group" "$(of Gid)" "$(printf '%s\t%s\t%s\t%s' $(for _ in 1 2 3 4; do id -g nobody; done))"
	equal "User: no group of ours is left" "$(of Groups | tr -d ' ')" "$(id -G nobody | tr -d ' ')"
	equal "User: no capability is left" "$(of CapEff)" 0000000000000000
	equal "User: HOME is its own" "$(variable HOME)" "$(getent passwd nobody | cut -d: -f6)"
	equal "User: and its name" "$(variable USER)" nobody
	run call apple
	expect "a worker of another user works" 0 '^1$'
	kill -KILL "$pid"
	result "and is replaced" "$(sees "worker 0 .*SIGKILL: ")"
	run call apple
	expect "and its successor knows its state" 0 '^2$'
	pid=$("$rekindle" get 0 -o json | sed -n 's/.*"pid":\([0-9]*\).*/\1/p')
	kill -KILL "$keeper"
	gone
	result "it dies with keeper, whatever its user" "$([ -n "$pid" ] || echo "no pid"; lives "$pid")"

	ready "Group=daemon"
	equal "Group alone: the group" "$(of Gid)" "$(printf '1\t1\t1\t1')"
	equal "Group alone: the user stays" "$(of Uid)" "0	0	0	0"
	stop

	mkdir -m 700 "$tmp/private"
	launch "WorkingDirectory=$tmp/private
User=nobody"
	result "the directory is entered as the user" "$(sees "did not start \(chdir to '$tmp/private': Permission denied\)")"
	stop
fi

# ---- commands beside the worker ---------------------------------------------------------------

# A hook tells of itself through a FIFO on descriptor 8, so that nobody has to look for it.
mkfifo "$tmp/told"
exec 8<>"$tmp/told"
cat >"$tmp/tell" <<TXT
#!/bin/sh
echo "\$1 slot=\$REKINDLE_WORKER_SLOT fleet=\$REKINDLE_FLEET cause=\$REKINDLE_CAUSE word=\$WORD uid=\$(id -u) worker=\$REKINDLE_WORKER." >"$tmp/told"
exit "\${2:-0}"
TXT
printf '#!/bin/sh\necho "waits \$\$" >"%s"\nexec sleep 1000\n' "$tmp/told" >"$tmp/wait"
chmod +x "$tmp/tell" "$tmp/wait"
chmod 666 "$tmp/told"
told() {
	IFS= read -r -t 30 -u 8 said || said="nothing was told"
}

ready "Environment=WORD=w
ExecStartPre=$tmp/tell pre-1
ExecStartPre=-$tmp/tell pre-2 3
ExecStartPre=-$tmp/none
ExecStartPost=$tmp/tell post"
uid=$(id -u)
told
equal "ExecStartPre runs, with slot, fleet and environment" "$said" "pre-1 slot=0 fleet=spawn cause= word=w uid=$uid worker=."
told
equal "the next one behind it" "${said%% *}" pre-2
told
equal "failures behind '-' are ignored, and ExecStartPost runs when the worker is ready" "${said%% *}" post
kill -KILL "$pid"
told
equal "ExecStartPre runs before each start" "${said%% *}" pre-1
told
told
equal "ExecStartPost behind each" "${said%% *}" post
run status --wait=20s --check
result "and the worker is there" "$([ $status -eq 0 ] || echo "status $status")"
stop

launch "ExecStartPre=$tmp/tell pre 3
ExecStartPre=$tmp/tell never
OnFailure=$tmp/tell failed
RestartBackoff=1ms
RestartBackoffMax=20ms"
result "a failing ExecStartPre fails the start" "$(sees "worker 0 \(pid [0-9]+\) did not start \(ExecStartPre '$tmp/tell': exited 3\)")"
while told; [ "${said%% *}" = pre ]; do :; done
equal "OnFailure runs when that goes on, and knows why" "$said" \
	"failed slot=0 fleet=spawn cause=did not start (ExecStartPre '$tmp/tell': exited 3) word= uid=$uid worker=."
run stop
expect "such a fleet stops" 0 stopped
gone

launch "ExecStartPre=$tmp/wait
StartTimeout=50ms"
told
hook=${said#* }
result "ExecStartPre has StartTimeout" "$(sees "ExecStartPre '$tmp/wait': killed, it took longer than StartTimeout")"
result "then it is killed" "$(lives "$hook")"
stop
launch "ExecStartPre=$tmp/wait"
told
hook=${said#* }
status=3
while [ "$status" -eq 3 ]; do run status -o json; done # its socket comes a moment behind the hook
expect "the supervisor answers while it runs" 0 '"state":"starting"'
run stop
expect "and can be stopped meanwhile" 0 'stopped spawn'
gone
result "which ends it" "$(lives "$hook")"
launch "ExecStartPre=$tmp/wait"
told
kill -KILL "$keeper"
gone
result "it dies with keeper" "$(lives "${said#* }")"

ready "ExecStartPost=$tmp/wait
OnFailure=$tmp/wait"
told
hook=${said#* }
run call apple
expect "a long ExecStartPost holds nobody up" 0 '^1$'
stop
result "and does not outlive the fleet" "$(lives "$hook")"

ready "Restart=no
OnFailure=$tmp/tell failed"
kill -KILL "$pid"
told
equal "OnFailure runs when a worker stays down" "${said%% word*}" "failed slot=0 fleet=spawn cause=SIGKILL"
stop
printf '#!/bin/sh\nexit 5\n' >"$tmp/dies"
chmod +x "$tmp/dies"
printf '[Fleet spawn]\nExec=%s\nWorkers=1\nRestartBurst=2\nOnFailure=%s failed\n' "$tmp/dies" "$tmp/tell" >"$tmp/spawn.conf"
serve
told
equal "and when RestartBurst is used up" "${said%% word*}" "failed slot=0 fleet=spawn cause=exited 5"
stop
if [ -n "$is_root" ]; then
	ready "User=nobody
ExecStartPre=$tmp/tell pre"
	told
	equal "hooks run as the fleet's user" "$(sed 's/.*\(uid=[0-9]*\).*/\1/' <<<"$said")" uid=65534
	stop
else
	skip "hooks run as the fleet's user" "user: needs root"
fi

# ---- output -----------------------------------------------------------------------------------

mkdir "$tmp/log"
ready "Output=file:$tmp/log/%f-%i.log
ExecStartPre=/bin/echo a line"
equal "Output=file: the worker's standard error" "$(readlink "/proc/$pid/fd/2")" "$tmp/log/spawn-0.log"
equal "and standard output" "$(readlink "/proc/$pid/fd/1")" "$tmp/log/spawn-0.log"
equal "hooks write there too" "$(cat "$tmp/log/spawn-0.log")" "a line"
equal "the file's mode" "$(stat -c %a "$tmp/log/spawn-0.log")" 640
mv "$tmp/log/spawn-0.log" "$tmp/log/old"
kill -KILL "$pid"
sees "worker 0 .*SIGKILL: " >/dev/null
equal "it is opened anew at each start" "$(cat "$tmp/log/spawn-0.log")" "a line"
stop
launch "Output=file:$tmp/nowhere/x.log"
result "one that cannot be opened fails the start" "$(sees "did not start \(Output=file:$tmp/nowhere/x.log: No such file")"
stop
mkfifo "$tmp/log/fifo"
launch "Output=file:$tmp/log/fifo"
result "a FIFO holds nobody up" "$(sees 'did not start \(Output=file:.*fifo: ')"
stop
ready "Output=null"
equal "Output=null" "$(readlink "/proc/$pid/fd/1")" /dev/null
stop
ready ""
equal "Output=inherit" "$(readlink "/proc/$pid/fd/2")" "$tmp/run.err"
stop
if [ -S /run/systemd/journal/stdout ]; then
	ready "Output=journal
ExecStartPre=/bin/echo said to the journal of $tmp"
	result "Output=journal: a socket of its own" "$([[ $(readlink "/proc/$pid/fd/1") == socket:* ]] || readlink "/proc/$pid/fd/1")"
	journalctl --sync >/dev/null 2>&1
	run logs
	expect "and the journal has it, under the fleet and the slot" 0 "spawn/0\[[0-9]+\]: said to the journal of $tmp"
else
	ready "Output=journal"
	equal "Output=journal without a journal: where ours goes" "$(readlink "/proc/$pid/fd/2")" "$tmp/run.err"
	result "and that is logged once" "$(grep -q 'the journal cannot be reached' "$tmp/run.err" || echo silent)"
fi
stop

# ---- control groups ---------------------------------------------------------------------------

mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
group_of() {
	sed -n 's/^0:://p' "/proc/$1/cgroup"
}
# A worker that leaves a process behind, out of its session.
cat >"$tmp/leaves" <<TXT
#!/bin/sh
setsid sh -c 'echo "left \$\$" >"$tmp/told"; exec sleep 1000' &
exec $wordcount
TXT
chmod +x "$tmp/leaves"
exec=$tmp/leaves
ready ""
exec=$wordcount
told
left=${said#* }
group=$(group_of "$pid")
if [[ $group != *rekindle-spawn-* ]]; then
	skip "control groups" "cgroup: no control group (version 2) is delegated"
	skip "jobs that use up MemoryMax" "cgroup: no control group (version 2) is delegated; system/poison has LimitAS"
	kill -KILL "$left"
	stop
else
	equal "a worker has a control group of its own" "${group##*/rekindle-spawn-"$keeper"}" /spawn/1
	equal "whatever it starts is in it" "$(group_of "$left")" "$group"
	kill -KILL "$pid"
	result "and is killed with it" "$(lives "$left")"
	told
	left=${said#* }
	equal "its successor has the next one" "$(basename "$(group_of "$left")")" 2
	run call apple
	expect "and works" 0 '^1$'
	directory=$mount${group%/spawn/*}
	stop
	result "a stop ends what the worker left" "$(lives "$left")"
	result "and removes the groups" "$([ ! -e "$directory" ] || find "$directory" -type d)"
	ready ""
	kill -KILL "$keeper"
	gone
	result "workers are gone" "$(lives "$pid")"
	ready ""
	result "what a killed keeper left is removed by the next" "$(find "$mount" -path '*rekindle-spawn-*' -type d |
		grep -v -- "-$keeper")"
	stop
	controllers=" $(cat "$mount/cgroup.controllers") "
	if [[ $controllers == *" memory "* && $controllers == *" pids "* && $controllers == *" cpu "* ]]; then
		# Forks more than it may, by a shell that fails then; then it is a worker.
		printf '#!/bin/sh\nsh -c "for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done" 2>/dev/null || : >%s\nexec %s\n' \
			"$tmp/refused" "$wordcount" >"$tmp/forks"
		# The first one takes all the memory that it gets.
		printf '#!/bin/sh\n[ ! -e %s ] || exec %s\n: >%s\nexec tail /dev/zero\n' \
			"$tmp/eaten" "$wordcount" "$tmp/eaten" >"$tmp/eats"
		chmod +x "$tmp/forks" "$tmp/eats"
		exec=$tmp/forks
		ready "MemoryHigh=100M
MemoryMax=200M
CPUWeight=300
TasksMax=6"
		directory=$mount$(dirname "$(group_of "$pid")")
		equal "MemoryHigh" "$(cat "$directory/memory.high")" 104857600
		equal "MemoryMax" "$(cat "$directory/memory.max")" 209715200
		equal "CPUWeight" "$(cat "$directory/cpu.weight")" 300
		equal "TasksMax" "$(cat "$directory/pids.max")" 6
		result "no process comes beyond TasksMax" "$([ "$(cat "$directory/pids.current")" -le 6 ] &&
			[ -e "$tmp/refused" ] || grep . "$directory"/pids.*)"
		run call apple
		expect "and the worker works" 0 '^1$'
		stop
		result "keeper leaves no group behind" "$(find "$mount" -path '*rekindle-spawn-*' -type d)"
		exec=$tmp/eats
		launch "MemoryMax=64M"
		result "who takes more than MemoryMax is killed, and that is told" "$(sees 'worker 0 .*SIGKILL \(out of memory\)')"
		run status --wait=20s --check
		run call apple
		expect "and its successor works" 0 '^1$'
		stop
		exec=$build/tests/system/hang_worker
		ready "MemoryMax=128M"
		run call apple
		expect "a worker with MemoryMax works" 0 '^1$'
		run call apple 'always exhaust'
		expect "a job that takes more each time is put aside" 1 'put aside'
		run dead list
		expect "and its letter says what it died of" 0 '^[0-9.]+ +0 +memory +SIGKILL +3 .* apple$'
		run events -n 1000 --kind response,quarantine
		equal "it was charged for using up the worker's memory, and nobody else was" \
			"$(grep -c 'job charged.* job=1 .*the job used up the worker' <<<"$out") of $(grep -c 'job charged' <<<"$out")" "3 of 3"
		run call apple
		expect "and its partition goes on" 0 '^2$'
		stop
		exec=$wordcount
	else
		skip "MemoryHigh, MemoryMax, CPUWeight, TasksMax" "cgroup: no controllers memory, cpu and pids in version 2"
		skip "jobs that use up MemoryMax" "cgroup: no controllers memory, cpu and pids in version 2; system/poison has LimitAS"
	fi
fi
ready "MemoryMax=1G
TasksMax=1000"
limited=$(cat "$mount$(dirname "$(group_of "$pid")")/pids.max" 2>/dev/null)
result "limits hold, or one line says how many do not" "$([ "$limited" = 1000 ] ||
	[ "$(grep -c 'limits of the fleet do not hold n=2 why=' "$tmp/run.err")" = 1 ] || echo silent)"
run call apple
expect "and everything else works" 0 '^1$'
stop

# ---- rekindle logs ----------------------------------------------------------------------------

rm -f "$tmp/log/"*
printf '#!/bin/sh\nfor i in 1 2 3 4 5; do echo "slot $REKINDLE_WORKER_SLOT line $i"; done\n' >"$tmp/lines"
chmod +x "$tmp/lines"
ready "Output=file:$tmp/log/%f-%i.log
ExecStartPre=$tmp/lines"
run logs
equal "logs prints the workers' files" "$out" "$(for i in 1 2 3 4 5; do echo "slot 0 line $i"; done)"
run logs -n 2
equal "logs -n 2: the last two lines" "$out" "slot 0 line 4
slot 0 line 5"
run logs -n 0
equal "logs -n 0: none" "$out" ""
run logs --worker 7
expect "logs of a worker that there is not" 64 'workers 0 to 0'
mkfifo "$tmp/follow"
"$rekindle" logs -f -n 1 >"$tmp/follow" 2>&1 &
follower=$!
started[$follower]=
exec 9<"$tmp/follow"
next() {
	IFS= read -r -t 30 -u 9 said || said="nothing was said"
}
next
equal "logs -f begins with the last" "$said" "slot 0 line 5"
echo more >>"$tmp/log/spawn-0.log"
next
equal "and goes on" "$said" more
mv "$tmp/log/spawn-0.log" "$tmp/log/old"
echo late >>"$tmp/log/old"
kill -KILL "$pid"
next
equal "what a file gets that was moved away is not lost" "$said" late
next
equal "the one made in its place is read from its beginning" "$said" "slot 0 line 1"
stop
reap $follower
equal "logs -f ends with the fleet" $? 0
exec 9<&-
exec=$wordcount
launch "Output=file:$tmp/log/%i.log
ExecStartPre=$tmp/lines
Workers=2"
sees "fleet spawn, 2 workers" >/dev/null
run logs -n 1
equal "several files have heads" "$out" "==> $tmp/log/0.log <==
slot 0 line 5

==> $tmp/log/1.log <==
slot 1 line 5"
run logs -n 1 --worker 1
equal "one worker's has none" "$out" "slot 1 line 5"
stop
ready "Output=null"
run logs
expect "logs with Output=null" 0 'thrown away'
stop
ready ""
run logs
expect "logs with Output=inherit says where" 0 "rekindled \(pid $keeper\) goes, "
stop
mkdir "$tmp/bin"
printf '#!/bin/sh\necho "journalctl $*"\n' >"$tmp/bin/journalctl"
chmod +x "$tmp/bin/journalctl"
ready "Output=journal"
run_program env PATH="$tmp/bin:$PATH" "$rekindle" logs -n 3 -f
expect "logs with Output=journal executes journalctl" 0 '^journalctl --lines=3 --follow -t spawn/0$'
stop
run logs
expect "logs without a fleet" 3 'no fleet is running'

# ---- clients ----------------------------------------------------------------------------------

# The only client page, once who had it before has left it; $holder has it until it is killed.
hold() {
	"$probe" ask "$tmp/r/spawn/control" "{\"verb\":\"open\",\"abi\":$abi}" - >"$tmp/held" &
	holder=$!
	started[$holder]=
	until grep -q '"ok"' "$tmp/held" 2>/dev/null; do :; done
	! grep -q '"ok":true' "$tmp/held" || return 0
	kill -KILL $holder
	reap $holder
	return 1
}
ready "MaxClients=1
Slots=4
QuotaPerClient=2"
run_program "$probe" outstanding
expect "QuotaPerClient: the library lets so many calls out" 0 '^2 no free slot$'
until hold; do :; done
run call apple
expect "MaxClients: one more is refused" 1 'all 1 client pages are in use'
kill -KILL $holder
reap $holder
stop

# ---- how the supervisor itself runs, and what an exit means -----------------------------------

# guard_policy: scheduling priority and policy of the thread that watches the workers (1 = SCHED_FIFO)
guard_policy() {
	local thread

	for thread in "/proc/$supervisor/task/"*; do
		[ "$(cat "$thread/comm")" != guard ] || sed 's/.*) //' "$thread/stat" | cut -d' ' -f38,39
	done
}
if [ -z "$is_root" ]; then
	skip "RealTime" "user: needs root"
elif ! chrt -f 1 true 2>/dev/null; then
	skip "RealTime" "realtime: no real-time priority is to be had here"
else
	printf '[Supervisor]\nRealTime=yes\n[Fleet spawn]\nExec=%s\nWorkers=1\n' "$exec" >"$tmp/spawn.conf"
	serve
	sees 'fleet spawn, 1 worker: ' >/dev/null
	pid=${line##* }
	supervisor=$("$rekindle" status | sed -n 's/.*, supervisor \([0-9]*\)$/\1/p')
	equal "RealTime: the guard runs under SCHED_FIFO" "$(guard_policy)" "1 1"
	equal "its memory is locked" "$(awk '/^VmLck:/ { print ($2 > 0) }' "/proc/$supervisor/status")" 1
	equal "workers have none of it" "$(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f38)" 0
	equal "nothing is said of it" "$(grep -c RealTime "$tmp/run.err")" 0
	stop
fi

exec="/bin/sh -c 'exit 3'"
launch "Restart=on-failure
SuccessExitStatus=3"
result "SuccessExitStatus: such an exit is no failure, the worker stays down" \
	"$(timeout 20 tail -n +1 -f "$tmp/run.err" | grep -qm 1 'it ended as it should' || cat "$tmp/run.err")"
stop
exec=$wordcount

finish
