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
	printf '[Fleet spawn]\nExec=%s\nWorkers=1\n%s\n' "$wordcount" "$1" >"$tmp/spawn.conf"
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

echo "1..$n"
exit "$failed"
