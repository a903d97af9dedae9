#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    every key that says what a worker starts with, what runs beside it and who may be its
#         client does what rekindle.conf(5) says.
# Method  real fleets of wordcount with the programs of $BUILD; what a worker became is read from
#         /proc. Nothing waits by the clock: event lines and the hooks' own FIFOs tell. What needs
#         root, a delegated control group or journald is skipped where there is none.
set -u
cd "$(dirname "$0")/../.." || exit 1

build=$(cd "${BUILD:-build}" && pwd) || exit 1
rekindle=$build/rekindle
wordcount=$build/workers/examples/wordcount
exec=$wordcount # what launch() runs
tmp=$(mktemp -d /tmp/rk-spawn.XXXXXX)
chmod 755 "$tmp"
export REKINDLE_RUNTIME_DIR=$tmp/r
unset REKINDLE_NAME
n=0
failed=0
out=
err=
status=0
keeper=
cleanup() {
	[ -z "$keeper" ] || kill -KILL "$keeper" 2>/dev/null
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
		printf '%s\n' "$2" "status $status" "stdout: $out" "stderr: $err" "fleet: $(cat "$tmp/run.err" 2>/dev/null)" |
			head -40 | sed 's/^/# /'
		failed=1
	fi
}

skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

# run COMMAND…
run() {
	out=$("$@" 2>"$tmp/err" </dev/null)
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

# equal NAME HAVE WANT
equal() {
	result "$1" "$([ "$2" = "$3" ] || echo "'$2' instead of '$3'")"
}

# await PATTERN: reads event lines until one fits (ERE), which is left in line
await() {
	while IFS= read -r -t 30 -u 7 line; do
		[[ ! $line =~ $1 ]] || return 0
	done
	echo "no line /$1/"
	return 1
}

# launch CONFIGURATION-LINES: a fleet "spawn" of one worker; its event lines come on descriptor 7
launch() {
	printf '[Fleet spawn]\nExec=%s\nWorkers=1\n%s\n' "$exec" "$1" >"$tmp/spawn.conf"
	rm -f "$tmp/events"
	mkfifo "$tmp/events"
	"$rekindle" run --config "$tmp/spawn.conf" >"$tmp/events" 2>"$tmp/run.err" </dev/null &
	keeper=$!
	exec 7<"$tmp/events"
}

# start LINES: the same, and until it is ready; pid is the worker's
start() {
	launch "$1"
	await '^(spawn )?.*fleet spawn, 1 worker: ' || return 1
	pid=${line##* }
}

finish() {
	[ -n "$keeper" ] || return 0
	"$rekindle" stop >/dev/null 2>&1
	wait "$keeper" 2>/dev/null
	keeper=
}

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

root=
[ "$(id -u)" -ne 0 ] || root=1
as_other() {
	setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "$@"
}

# ---- what a worker starts with ----------------------------------------------------------------

cat >"$tmp/file.env" <<'TXT'
# a comment
; and another
PLAIN=two  words	
QUOTED="a \"b\" c"
BOTH=file
TXT
start "Environment=DIRECT=1 'BLANKS=x y' BOTH=key
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
run "$rekindle" call apple
expect "such a worker works" 0 '^1$'

# The file is read at each start.
echo 'BOTH=again' >"$tmp/file.env"
kill -KILL "$pid"
await "worker 0 .*SIGKILL: [0-9]+ ready" >"$tmp/await" || true
pid=${line##*: } pid=${pid%% *}
equal "EnvironmentFile is read at each start" "$(cat "$tmp/await")$(variable BOTH)" again
echo 'this is no assignment' >"$tmp/file.env"
kill -KILL "$pid"
result "a bad one fails the start and says where" "$(await "did not start \(EnvironmentFile $tmp/file.env:1: 'this is no assignment'")"
echo 'BOTH=good' >"$tmp/file.env"
result "and the next start is good again" "$("$rekindle" status --wait=20s --check 2>&1 >/dev/null)"
run "$rekindle" events --kind=spawn
expect "the flight recorder has it" 0 "worker not started, .*file\.env:1"
finish

mkdir "$tmp/gone"
start "WorkingDirectory=$tmp/gone"
rmdir "$tmp/gone"
kill -KILL "$pid"
result "one that goes missing fails the start and names the step" \
	"$(await "did not start \(chdir to '$tmp/gone': No such file or directory\)")"
finish

# ---- users ------------------------------------------------------------------------------------

if [ -z "$root" ]; then
	skip "User and Group" "user: needs root"
elif ! as_other test -x "$wordcount"; then
	skip "User and Group" "user: others cannot enter the build directory"
else
	start "User=nobody"
	equal "User: uid, in all four places" "$(of Uid)" "65534	65534	65534	65534"
	equal "User: its own group" "$(of Gid)" "$(printf '%s\t%s\t%s\t%s' $(for _ in 1 2 3 4; do id -g nobody; done))"
	equal "User: no group of ours is left" "$(of Groups | tr -d ' ')" "$(id -G nobody | tr -d ' ')"
	equal "User: no capability is left" "$(of CapEff)" 0000000000000000
	equal "User: HOME is its own" "$(variable HOME)" "$(getent passwd nobody | cut -d: -f6)"
	equal "User: and its name" "$(variable USER)" nobody
	run "$rekindle" call apple
	expect "a worker of another user works" 0 '^1$'
	kill -KILL "$pid"
	result "and is replaced" "$(await "worker 0 .*SIGKILL: ")"
	run "$rekindle" call apple
	expect "and its successor knows its state" 0 '^2$'
	pid=$("$rekindle" get 0 -o json | sed -n 's/.*"pid":\([0-9]*\).*/\1/p')
	kill -KILL "$keeper"
	wait "$keeper" 2>/dev/null
	keeper=
	result "it dies with keeper, whatever its user" "$([ -n "$pid" ] || echo "no pid"; lives "$pid")"

	start "Group=daemon"
	equal "Group alone: the group" "$(of Gid)" "$(printf '1\t1\t1\t1')"
	equal "Group alone: the user stays" "$(of Uid)" "0	0	0	0"
	finish

	mkdir -m 700 "$tmp/private"
	launch "WorkingDirectory=$tmp/private
User=nobody"
	result "the directory is entered as the user" "$(await "did not start \(chdir to '$tmp/private': Permission denied\)")"
	finish
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

start "Environment=WORD=w
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
run "$rekindle" status --wait=20s --check
result "and the worker is there" "$([ $status -eq 0 ] || echo "status $status")"
finish

launch "ExecStartPre=$tmp/tell pre 3
ExecStartPre=$tmp/tell never
OnFailure=$tmp/tell failed
RestartBackoff=1ms
RestartBackoffMax=20ms"
result "a failing ExecStartPre fails the start" "$(await "worker 0 \(pid [0-9]+\) did not start \(ExecStartPre '$tmp/tell': exited 3\)")"
while told; [ "${said%% *}" = pre ]; do :; done
equal "OnFailure runs when that goes on, and knows why" "$said" \
	"failed slot=0 fleet=spawn cause=did not start (ExecStartPre '$tmp/tell': exited 3) word= uid=$uid worker=."
run "$rekindle" stop
expect "such a fleet stops" 0 stopped
wait "$keeper" 2>/dev/null
keeper=

launch "ExecStartPre=$tmp/wait
StartTimeout=50ms"
told
hook=${said#* }
result "ExecStartPre has StartTimeout" "$(await "ExecStartPre '$tmp/wait': killed, it took longer than StartTimeout")"
result "then it is killed" "$(lives "$hook")"
finish
launch "ExecStartPre=$tmp/wait"
told
hook=${said#* }
run "$rekindle" status -o json
expect "the supervisor answers while it runs" 0 '"state":"starting"'
run "$rekindle" stop
expect "and can be stopped meanwhile" 0 'stopped spawn'
wait "$keeper" 2>/dev/null
keeper=
result "which ends it" "$(lives "$hook")"
launch "ExecStartPre=$tmp/wait"
told
kill -KILL "$keeper"
wait "$keeper" 2>/dev/null
keeper=
result "it dies with keeper" "$(lives "${said#* }")"

start "ExecStartPost=$tmp/wait
OnFailure=$tmp/wait"
told
hook=${said#* }
run "$rekindle" call apple
expect "a long ExecStartPost holds nobody up" 0 '^1$'
finish
result "and does not outlive the fleet" "$(lives "$hook")"

start "Restart=no
OnFailure=$tmp/tell failed"
kill -KILL "$pid"
told
equal "OnFailure runs when a worker stays down" "${said%% word*}" "failed slot=0 fleet=spawn cause=SIGKILL"
finish
printf '#!/bin/sh\nexit 5\n' >"$tmp/dies"
chmod +x "$tmp/dies"
printf '[Fleet spawn]\nExec=%s\nWorkers=1\nRestartBurst=2\nOnFailure=%s failed\n' "$tmp/dies" "$tmp/tell" >"$tmp/spawn.conf"
"$rekindle" run --config "$tmp/spawn.conf" >/dev/null 2>"$tmp/run.err" </dev/null &
keeper=$!
told
equal "and when RestartBurst is used up" "${said%% word*}" "failed slot=0 fleet=spawn cause=exited 5"
finish
if [ -n "$root" ]; then
	start "User=nobody
ExecStartPre=$tmp/tell pre"
	told
	equal "hooks run as the fleet's user" "$(sed 's/.*\(uid=[0-9]*\).*/\1/' <<<"$said")" uid=65534
	finish
else
	skip "hooks run as the fleet's user" "user: needs root"
fi

# ---- output -----------------------------------------------------------------------------------

mkdir "$tmp/log"
start "Output=file:$tmp/log/%f-%i.log
ExecStartPre=/bin/echo a line"
equal "Output=file: the worker's standard error" "$(readlink "/proc/$pid/fd/2")" "$tmp/log/spawn-0.log"
equal "and standard output" "$(readlink "/proc/$pid/fd/1")" "$tmp/log/spawn-0.log"
equal "hooks write there too" "$(cat "$tmp/log/spawn-0.log")" "a line"
equal "the file's mode" "$(stat -c %a "$tmp/log/spawn-0.log")" 640
mv "$tmp/log/spawn-0.log" "$tmp/log/old"
kill -KILL "$pid"
await "worker 0 .*SIGKILL: " >/dev/null
equal "it is opened anew at each start" "$(cat "$tmp/log/spawn-0.log")" "a line"
finish
launch "Output=file:$tmp/nowhere/x.log"
result "one that cannot be opened fails the start" "$(await "did not start \(Output=file:$tmp/nowhere/x.log: No such file")"
finish
mkfifo "$tmp/log/fifo"
launch "Output=file:$tmp/log/fifo"
result "a FIFO holds nobody up" "$(await 'did not start \(Output=file:.*fifo: ')"
finish
start "Output=null"
equal "Output=null" "$(readlink "/proc/$pid/fd/1")" /dev/null
finish
start ""
equal "Output=inherit" "$(readlink "/proc/$pid/fd/2")" "$tmp/run.err"
finish
if [ -S /run/systemd/journal/stdout ]; then
	start "Output=journal"
	result "Output=journal: a socket of its own" "$([[ $(readlink "/proc/$pid/fd/1") == socket:* ]] || readlink "/proc/$pid/fd/1")"
else
	start "Output=journal"
	equal "Output=journal without a journal: where ours goes" "$(readlink "/proc/$pid/fd/2")" "$tmp/run.err"
	result "and that is logged once" "$(grep -q 'the journal cannot be reached' "$tmp/run.err" || echo silent)"
fi
finish

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
start ""
exec=$wordcount
told
left=${said#* }
group=$(group_of "$pid")
if [[ $group != *rekindle-spawn-* ]]; then
	skip "control groups" "cgroup: no control group (version 2) is delegated"
	kill -KILL "$left"
	finish
else
	equal "a worker has a control group of its own" "${group##*/rekindle-spawn-"$keeper"}" /spawn/0.0
	equal "whatever it starts is in it" "$(group_of "$left")" "$group"
	kill -KILL "$pid"
	result "and is killed with it" "$(lives "$left")"
	told
	left=${said#* }
	equal "its successor has the next one" "$(basename "$(group_of "$left")")" 0.1
	run "$rekindle" call apple
	expect "and works" 0 '^1$'
	directory=$mount${group%/spawn/*}
	finish
	result "a stop ends what the worker left" "$(lives "$left")"
	result "and removes the groups" "$([ ! -e "$directory" ] || find "$directory" -type d)"
	start ""
	kill -KILL "$keeper"
	wait "$keeper" 2>/dev/null
	result "workers are gone" "$(lives "$pid")"
	start ""
	result "what a killed keeper left is removed by the next" "$(find "$mount" -path '*rekindle-spawn-*' -type d |
		grep -v -- "-$keeper")"
	finish
	controllers=$(cat "$mount/cgroup.controllers")
	if [[ " $controllers " == *" memory "* && " $controllers " == *" pids "* ]]; then
		start "MemoryHigh=100M
MemoryMax=200M
TasksMax=50"
		directory=$mount$(dirname "$(group_of "$pid")")
		equal "MemoryHigh" "$(cat "$directory/memory.high")" 104857600
		equal "MemoryMax" "$(cat "$directory/memory.max")" 209715200
		equal "TasksMax" "$(cat "$directory/pids.max")" 50
		finish
	else
		skip "MemoryHigh, MemoryMax, CPUWeight, TasksMax" "cgroup: no controller memory or pids in version 2"
	fi
fi
start "MemoryMax=1G
TasksMax=1000"
limited=$(cat "$mount$(dirname "$(group_of "$pid")")/pids.max" 2>/dev/null)
result "limits hold, or one line says how many do not" "$([ "$limited" = 1000 ] ||
	[ "$(grep -c 'limits of the fleet do not hold n=2 why=' "$tmp/run.err")" = 1 ] || echo silent)"
run "$rekindle" call apple
expect "and everything else works" 0 '^1$'
finish

# ---- rekindle logs ----------------------------------------------------------------------------

rm -f "$tmp/log/"*
printf '#!/bin/sh\nfor i in 1 2 3 4 5; do echo "slot $REKINDLE_WORKER_SLOT line $i"; done\n' >"$tmp/lines"
chmod +x "$tmp/lines"
start "Output=file:$tmp/log/%f-%i.log
ExecStartPre=$tmp/lines"
run "$rekindle" logs
equal "logs prints the workers' files" "$out" "$(for i in 1 2 3 4 5; do echo "slot 0 line $i"; done)"
run "$rekindle" logs -n 2
equal "logs -n 2: the last two lines" "$out" "slot 0 line 4
slot 0 line 5"
run "$rekindle" logs -n 0
equal "logs -n 0: none" "$out" ""
run "$rekindle" logs --worker 7
expect "logs of a worker that there is not" 64 'workers 0 to 0'
mkfifo "$tmp/follow"
"$rekindle" logs -f -n 1 >"$tmp/follow" 2>&1 &
follower=$!
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
finish
wait $follower
equal "logs -f ends with the fleet" $? 0
exec 9<&-
exec=$wordcount
launch "Output=file:$tmp/log/%i.log
ExecStartPre=$tmp/lines
Workers=2"
await "fleet spawn, 2 workers" >/dev/null
run "$rekindle" logs -n 1
equal "several files have heads" "$out" "==> $tmp/log/0.log <==
slot 0 line 5

==> $tmp/log/1.log <==
slot 1 line 5"
run "$rekindle" logs -n 1 --worker 1
equal "one worker's has none" "$out" "slot 1 line 5"
finish
start "Output=null"
run "$rekindle" logs
expect "logs with Output=null" 0 'thrown away'
finish
start ""
run "$rekindle" logs
expect "logs with Output=inherit says where" 0 "rekindled \(pid $keeper\) goes, "
finish
mkdir "$tmp/bin"
printf '#!/bin/sh\necho "journalctl $*"\n' >"$tmp/bin/journalctl"
chmod +x "$tmp/bin/journalctl"
start "Output=journal"
run env PATH="$tmp/bin:$PATH" "$rekindle" logs -n 3 -f
expect "logs with Output=journal executes journalctl" 0 '^journalctl --lines=3 --follow -t spawn/0$'
finish
run "$rekindle" logs
expect "logs without a fleet" 3 'no fleet is running'

# ---- clients ----------------------------------------------------------------------------------

probe=$build/tests/system/probe
abi=$("$rekindle" version -o json | sed 's/.*"abi":\([0-9]*\).*/\1/')
if [ -z "$root" ]; then
	skip "roles" "user: needs root"
elif ! as_other test -x "$wordcount"; then
	skip "roles" "user: others cannot enter the build directory"
else
	export REKINDLE_NAME=spawn
	socket=$tmp/r/spawn/control
	as_group() {
		setpriv --reuid=65533 --regid=65533 --groups=1 --inh-caps=-all "$@"
	}
	as_foreign() {
		setpriv --reuid=65532 --regid=65532 --clear-groups --inh-caps=-all "$@"
	}

	start ""
	run as_other "$rekindle" call apple
	expect "without ClientUser nobody else gets at the socket" 77 '[Pp]ermission denied'
	equal "its directory is ours alone" "$(stat -c %a "$tmp/r/spawn")" 700
	finish

	start "ClientUser=65534
ClientGroup=daemon
SocketMode=0666"
	equal "SocketMode" "$(stat -c '%a' "$socket")" 666
	equal "the socket belongs to ClientUser and ClientGroup" "$(stat -c '%u %g' "$socket")" "65534 1"
	result "directories can be passed, not listed" "$([ "$(stat -c %a "$tmp/r/spawn") $(stat -c %a "$tmp/r")" = "711 711" ] ||
		stat -c %a "$tmp/r/spawn" "$tmp/r")"
	for who in as_other as_group; do
		run $who "$rekindle" call apple
		expect "$who: may call" 0 '^[0-9]+$'
		run $who "$rekindle" stop
		expect "$who: may not stop" 77 "is for root and the owner"
		run $who "$rekindle" logs
		expect "$who: may not see the logs" 77 "is for root and the owner"
		run $who "$rekindle" status
		expect "$who: may not see what workers do" 77 "you are a client"
		run $who "$probe" ask "$socket" '{"verb":"ping"}'
		expect "$who: may ping" 0 '"ok":true'
		run $who "$probe" ask "$socket" "{\"verb\":\"read\",\"abi\":$abi}"
		expect "$who: reads the board, and gets no other segment" 0 '"ok":true.* 2$'
		run $who "$probe" ask "$socket" "{\"verb\":\"open\",\"abi\":$abi}"
		expect "$who: opens with what a client needs" 0 '"ok":true.* 4$'
	done
	for verb in open read ping stop output nonsense; do
		run as_foreign "$probe" ask "$socket" "{\"verb\":\"$verb\",\"abi\":$abi}"
		expect "a foreign uid is refused: $verb" 0 '^(cut off|\{"ok":false,"code":"EPERM".* 0)$'
	done
	run "$rekindle" status --check
	expect "none of that harmed the fleet" 0 ''
	finish
	rm -rf "$tmp/r"

	start "ClientGroup=daemon
SocketMode=0660"
	equal "ClientGroup alone: the directory is the group's to pass" "$(stat -c '%a %g' "$tmp/r/spawn")" "710 1"
	run as_group "$rekindle" call apple
	expect "a member may call" 0 '^1$'
	run as_foreign "$rekindle" call apple
	expect "nobody else gets at the socket" 77 '[Pp]ermission denied'
	finish
	rm -rf "$tmp/r"

	printf '[Fleet a]\nExec=%s\nWorkers=1\nClientUser=65534\n[Fleet b]\nExec=%s\nWorkers=1\n' \
		"$wordcount" "$wordcount" >"$tmp/spawn.conf"
	rm -f "$tmp/events"
	mkfifo "$tmp/events"
	"$rekindle" run --config "$tmp/spawn.conf" >"$tmp/events" 2>"$tmp/run.err" </dev/null &
	keeper=$!
	exec 7<"$tmp/events"
	await "fleet b" >/dev/null
	run as_other "$rekindle" call --name spawn/a apple
	expect "one of two fleets: its client may call" 0 '^1$'
	run as_other "$rekindle" call --name spawn/b apple
	expect "but not the other's workers" 77 "may not use fleet 'b'"
	finish
	printf '[Fleet a]\nExec=%s\nClientUser=65534\n[Fleet b]\nExec=%s\nClientUser=65533\n' \
		"$wordcount" "$wordcount" >"$tmp/spawn.conf"
	run "$rekindle" check "$tmp/spawn.conf"
	expect "two fleets that disagree about their socket are a mistake" 78 "spawn\.conf:6: ClientUser=65533: fleet 'a' says 65534"
fi

start "MaxClients=1
Slots=4
QuotaPerClient=2"
run "$probe" outstanding
expect "QuotaPerClient: the library lets so many calls out" 0 '^2 no free slot$'
"$probe" ask "$tmp/r/spawn/control" "{\"verb\":\"open\",\"abi\":$abi}" - >"$tmp/held" &
holder=$!
until grep -q ok "$tmp/held" 2>/dev/null; do :; done
run "$rekindle" call apple
expect "MaxClients: one more is refused" 1 'all 1 client pages are in use'
kill -KILL $holder
wait $holder 2>/dev/null
finish

echo "1..$n"
exit "$failed"
