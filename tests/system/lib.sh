# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # who sources this uses the rest
# What the scripts over real fleets share: the programs of $BUILD, a runtime directory of their
# own, the last command's outcome, and fleets that do not outlive the test. Sourced, not run.
. "$(dirname "${BASH_SOURCE[0]}")/../check/lib.sh"
cd "$root" || exit 1

build=$(cd "${BUILD:-$root/build}" && pwd) || exit 1
rekindle=$build/rekindle
rekindled=$build/rekindled
wordcount=$build/workers/examples/wordcount
tmp=$(mktemp -d "/tmp/rk-$(basename "$0" .sh).XXXXXX") || exit 1
export REKINDLE_RUNTIME_DIR=$tmp/r
unset REKINDLE_NAME
out=
err=
status=
keeper=
declare -A started=() # pids of what was started and not reaped

cleanup() {
	local pid
	for pid in "${!started[@]}"; do kill -KILL "$pid" 2>/dev/null; done
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

# What a failed test tells besides its complaint.
details() {
	[ -z "$status" ] || printf '%s\n' "status $status" "stdout: $out" "stderr: $err"
}

# run_program PROGRAM ARGUMENT…: leaves its outcome in out, err and status; standard input is this
# function's.
run_program() {
	out=$("$@" 2>"$tmp/err")
	status=$?
	err=$(cat "$tmp/err")
}

# run ARGUMENT…: the same with rekindle
run() {
	run_program "$rekindle" "$@"
}

# expect NAME STATUS PATTERN: what run left. PATTERN (ERE) is looked for in stdout and stderr.
expect() {
	local complaint=
	[ "$status" -eq "$2" ] || complaint="expected status $2"
	printf '%s\n%s\n' "$out" "$err" | grep -qE -e "$3" || complaint="$complaint, expected /$3/"
	result "$1" "$complaint"
}

# lines FD FILE COMMAND…: runs it beside the test, its lines on descriptor FD, its errors behind
# those in FILE; its pid is $! and a key of started.
lines() {
	local fd=$1 file=$2
	shift 2
	rm -f "$tmp/lines.$fd"
	mkfifo "$tmp/lines.$fd"
	"$@" >"$tmp/lines.$fd" 2>>"$file" </dev/null &
	started[$!]=
	eval "exec $fd<\"$tmp/lines.$fd\""
}

# reap PID: waits for one of them and returns its status
reap() {
	local code=0
	{ wait "$1" || code=$?; } 2>/dev/null # the shell tells of kills there
	unset "started[$1]"
	return $code
}

# start NAME WORKERS FD [OPTION…]: a fleet whose event lines come on descriptor FD; its keeper is
# $keeper, its errors are in $tmp/run.NAME
start() {
	lines "$3" "$tmp/run.$1" "$rekindle" run --name "$1" -n "$2" "${@:4}" -- "$wordcount"
	keeper=$!
	await "$3" "fleet $1"
}

# await FD TEXT: reads lines until one contains TEXT, which is left in line
await() {
	while IFS= read -r -t 30 -u "$1" line; do
		[[ $line != *"$2"* ]] || return 0
	done
	line=
	return 1
}

# bring_back RUN N: a fleet of N slots, and some that it was scaled to, is as it was started; RUN is run, or what
# asks until somebody answers
bring_back() {
	local ask=$1 n=$2 w
	$ask restart --cancel
	for ((w = 0; w < n + 4; w++)); do $ask resume $w; done
	$ask scale "$n" --timeout 8s
	for ((w = 0; w < n; w++)); do $ask start $w --timeout 5s; done
}
