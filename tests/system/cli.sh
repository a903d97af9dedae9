#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    every command of rekindle does what its help says, as text and as JSON, and every error
#         has its exit status and a sentence that says what to do.
# Method  real fleets of wordcount in a runtime directory of their own, with the programs of
#         $BUILD. Nothing waits by the clock: the fleet's own event lines and its status tell.
. "$(dirname "$0")/lib.sh"

# member JSON-PATH: of what run printed, as jq writes it
member() {
	printf '%s' "$out" | jq -r "$1" 2>/dev/null
}

have_jq=
command -v jq >/dev/null && have_jq=1

# json NAME EXPRESSION: what run printed is one JSON object for which EXPRESSION is true
json() {
	if [ -z "$have_jq" ]; then
		skip "$1" "jq: jq is not installed"
	elif [ "$(printf '%s' "$out" | jq -s 'length' 2>&1)" != 1 ]; then
		result "$1" "not one JSON object"
	else
		result "$1" "$([ "$(member "$2")" = true ] || echo "not so: $2")"
	fi
}

# documented COMMAND: every member of what run printed stands in the command's help
documented() {
	if [ -z "$have_jq" ]; then
		skip "$1: every member of its JSON is documented" "jq: jq is not installed"
		return
	fi
	"$rekindle" help "$1" | sed -n '/^-o json/,$s/^  \([a-z][^ ]*\).*/\1/p' | sort -u >"$tmp/documented"
	member 'paths | map(if type == "number" then "[]" else . end) | join(".") | gsub("\\.\\[\\]"; "[]")' |
		grep -v '\[\]$' | sort -u >"$tmp/printed"
	result "$1: every member of its JSON is documented" "$(comm -13 "$tmp/documented" "$tmp/printed")"
}

# documented_whole COMMAND: as documented, and the other way round: nothing more stands in the help
documented_whole() {
	documented "$1"
	[ -z "$have_jq" ] || result "$1: and nothing that it does not print" \
		"$(comm -23 "$tmp/documented" "$tmp/printed")"
}

# until_status EXPRESSION: looks at the status until EXPRESSION is true of it
until_status() {
	local i
	for i in $(seq 2000); do
		run status --name one -o json
		[ "$(member "$1")" != true ] || return 0
	done
	return 1
}

# stand_still PID: stops a process; the signal is on its way for a while
stand_still() {
	kill -STOP "$1"
	until [[ $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null || echo T) == T* ]]; do :; done
}

# ---- without a fleet --------------------------------------------------------------------------

run
expect "without a command it shows its usage" 64 "usage: rekindle COMMAND"
run help
expect "help lists the commands" 0 "^  status +show"
for c in $("$rekindle" help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
	run help "$c"
	one=$out
	run "$c" --help
	result "help $c and $c --help say the same" "$([ "$status$one" = "0$out" ] || echo "they differ")"
done
run --version
expect "--version" 0 "^rekindle [0-9]+\.[0-9]+"
run version -o json
json "version as JSON" '(.release | type) == "string" and .abi > 0'
documented_whole version

run stat
expect "a misspelt command: the nearest is named" 64 "did you mean 'status'"
run frobnicate
expect "an unknown command points to help" 64 "rekindle help"
run --timeout 5s stop
expect "options before the command are explained" 64 "behind the command"
run --name x
expect "an option and no command" 64 "there is no command"
run help status --man
expect "help prints one thing" 64 "help prints one thing"
run status --internal
expect "a misspelt option: the nearest is named" 64 "did you mean '--internals'"
run status -z
expect "an unknown letter" 64 "has no option '-z'"
run list extra
expect "one argument too many" 64 "'extra' is one argument too many"
run status -o yaml
expect "an unknown format names the formats" 64 "text\|json"
run call
expect "call without KEY" 64 "call needs a KEY"
run call ''
expect "an empty KEY" 64 "KEY is empty"
run call k --timeout 5
expect "a time without its unit" 64 "--timeout: '5' is not a duration; give a unit: 5s or 5ms"
run call k --timeout
expect "an option without its value" 64 "--timeout needs a value"
run status --name 'a b'
expect "a name that is none" 64 "use 1 to 63 letters"
run run
expect "run without a command" 64 "behind '--'"
run run --worker 3 -- /bin/true
expect "run: a misspelt option" 64 "did you mean '--workers'"
run run -- '/bin/[bad name]'
expect "run: a command whose name cannot be a fleet's" 64 "choose one with --name"
run run --workers 0 -- "$wordcount"
expect "run: what only rekindled can judge" 64 "--workers: 0: must be 1..4095"
run run -n -1 -- "$wordcount"
expect "run: a negative number" 64 "--workers: -1: must be 1..4095"
run run --partitions 100 -- "$wordcount"
expect "run: no power of two" 64 "--partitions: 100: must be a power of two, 1..16384"
run run --max-clients 65536 --slots 1024 -- "$wordcount"
expect "run: what no fleet can be" 64 "clients times cells"
for c in "status" "key k" "call k" "put k" "stop"; do
	# shellcheck disable=SC2086 # several words are meant
	run $c
	expect "${c%% *} without a fleet" 3 "no fleet is running: start one with 'rekindle run"
done
run status nobody
expect "a fleet may be named without --name" 3 "no fleet named 'nobody' is running"
run --name nobody status
expect "or in front of the command" 3 "no fleet named 'nobody' is running"
run status --name nobody somebody
expect "but not twice" 64 "two fleets are named"
run status --wait=20ms
expect "status --wait: no fleet comes" 3 "no fleet is running"
run status --check
expect "status --check without a fleet" 3 "no fleet is running"
run status --name nobody
expect "a fleet that does not run" 3 "no fleet named 'nobody' is running"
run list
expect "list without a fleet is no error" 0 "^$"
run list -o json
json "list without a fleet as JSON" '.fleets == [] and .left == []'
cp "$rekindle" "$tmp/rekindle"
if command -v rekindled >/dev/null || [ -x /usr/local/sbin/rekindled ]; then
	skip "run without rekindled" "installed: rekindled is installed on this machine"
else
	out=$("$tmp/rekindle" run -- "$wordcount" 2>"$tmp/err")
	status=$?
	err=$(cat "$tmp/err")
	expect "run without rekindled" 77 "cannot find rekindled"
fi
# --key and --unordered are for lines of standard input, which run takes itself.
result "run has no other option that rekindled has not" "$(comm -23 \
	<("$rekindle" run --help | grep -oE '^ +(-., )?--[a-z-]+' | tr -d ' ' | grep -vE 'help|^--key|^--unordered' | sort) \
	<("$build/rekindled" --help </dev/null | grep -oE '^ +(-., )?--[a-z-]+' | tr -d ' ' | grep -v help | sort))"
if make -s -C "$build" install DESTDIR="$tmp/root" >"$tmp/install" 2>&1; then
	result "the completion for bash and the examples are installed" "$(for f in \
		bash-completion/completions/rekindle$ libexec/rekindle/{bank,bank_client,wordcount,wordcount_client}$; do
		find "$tmp/root" -type f | grep -q "/$f" || echo "no $f"
	done)"
else
	result "the completion for bash and the examples are installed" "$(tail "$tmp/install")"
fi
result "nothing was started by all that" "$(ls -A "$REKINDLE_RUNTIME_DIR" 2>/dev/null)"

# ---- one fleet --------------------------------------------------------------------------------

start old 1 9
old=$keeper
kill -KILL "$old"
reap "$old"
run list
expect "a fleet whose keeper was killed is named, with what to do" 0 \
	"^old  does not run: its keeper \(pid $old\) is gone .*last event 20.* ago\): 'rekindle events old' .* replaces $REKINDLE_RUNTIME_DIR/old,"
run status
expect "nor is status silent about it" 3 "no fleet is running: start one .*'old' has ended without a stop, see 'rekindle list'"
run call k --name old
expect "whoever names it is told, too" 3 "no fleet named 'old' is running: it ended without a stop, 'rekindle events old'"
run events old
expect "its events are there" 0 "keeper=$old"
# As under systemd, whose store keeps the lock: keeper is gone and its memory is not.
if command -v flock >/dev/null; then
	exec 5<"$REKINDLE_RUNTIME_DIR/old"
	flock -x 5
	run list
	expect "where systemd holds its memory the next keeper is on its way" 0 "^old  keeper is gone, and systemd is to start the next one: see 'systemctl status rekindle@old'"
	run list -o json
	json "also as JSON" '.fleets[0].keeper == "gone" and .fleets[0].keeper_pid == null and .left == []'
	run call k --name old --timeout 200ms
	expect "and 69 says so" 69 "keeper is gone, and systemd is to start the next one"
	exec 5<&-
else
	skip "where systemd holds its memory" "flock: flock is not installed"
fi

start one 3 7
one=$keeper
result "run says that the fleet is there" "$([[ ${line-} == *"fleet one, 3 workers"* ]] || echo "said: ${line-}")"

run status
expect "status" 0 "^one  3 of 3 ready, up .*keeper $one, supervisor [0-9]+$"
expect "and how long its supervisor has been there" 0 "^supervisor up [0-9.]+ m?s, the first one$"
result "no line of it is wider than 100 columns" "$(grep -E '.{101}' <<<"$out")"
pid=$(sed -n 's/.* supervisor \([0-9]*\)$/\1/p' <<<"$out")
result "ps tells keeper and supervisor apart" "$([ "$(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -d' ' -f1-2)" = "rekindled-supervisor --name=one" ] &&
	[ "$(cat "/proc/$pid/comm" "/proc/$one/comm" | xargs)" = "rekindled-sup rekindled" ] || tr '\0' ' ' <"/proc/$pid/cmdline")"
run status one --check --wait -o json
json "status as JSON" ".ready_workers == 3 and .name == \"one\" and .keeper_pid == $one and .partitions == 256 and (.workers | length) == 3"
json "and how often it was replaced" '.supervisor_replaced == 0 and .supervisor_deaths == 0 and .supervisor_uptime_ms >= 0 and .supervisor_uptime_ms <= .uptime_ms'
json "its partitions are all owned" '([.workers[].partitions] | add) == 256'
json "no death so far" 'all(.workers[]; .last_death == null and .restarts == 0)'
json "nothing internal without --internals" 'has("internals") | not'
documented status
run list
expect "list" 0 "^one  keeper $one$"
run list -o json
json "what is left of others stands apart" ".left == [{name: \"old\", keeper_pid: $old, last_event: .left[0].last_event, directory: \"$REKINDLE_RUNTIME_DIR/old\"}] and (.left[0].last_event | test(\"^20.*Z$\"))"
json "whose keeper runs" '.fleets[0].keeper == "runs"'
documented_whole list
rm -r "$REKINDLE_RUNTIME_DIR/old"

run call hello
expect "call prints the reply" 0 "^1$"
run call --timeout 2s hello --retry
expect "options may stand anywhere" 0 "^2$"
run call hello '?' -o json
json "call as JSON" '.outcome == "done" and .reply == "2" and .reply_encoding == "utf-8" and .error == null and .sequence > 0'
documented call
run --name one call hello '?'
expect "the fleet may be named first" 0 "^2$"
run call hello - <<<'?'
expect "a body from standard input" 0 "^2$"
run call -- --strange
expect "a key that looks like an option, behind --" 0 "^1$"
long=$(printf 'x%.0s' {1..100})
run call "$long" -o json
json "a handler's error as JSON" '.outcome == "failed" and .error == "ENAMETOOLONG" and .reply == "" and (.message | test("too long"))'
run call "$long"
expect "a handler's error" 1 "the worker refused: ENAMETOOLONG \(File name too long\)"
run call "$long$long$long$long$long$long$long$long$long$long$long"
expect "a request that is too large" 1 "longer than the fleet's --max-request"

run key hello other
expect "key" 0 "^hello +[0-9]+ +[0-9] +[0-9]+ +ready"
run key hello $'\xff' -o json
json "key as JSON, also of what is no UTF-8" '.keys[0].key == "hello" and .keys[1].key == "/w==" and .keys[1].key_encoding == "base64"'
documented_whole key
json "key says the same of a worker as status" '.keys[0] | .state == "ready" and (.declared | type) == "string" and .suspended == false'
run key $'\e[31mred'
result "control characters do not reach the terminal" "$(printf '%s' "$out" | grep -q $'\e' && echo "ESC came through")"

run put hello
expect "put" 0 "^put 1 job$"
run put hello '?' '?' ''
expect "put with several bodies" 0 "^put 3 jobs$"
run call hello '?'
expect "what was put is applied" 0 "^4$"
text=/usr/share/common-licenses/GPL-3
[ -f $text ] || text=tests/system/cli.sh
tr -cs a-z '\n' <$text | grep . >"$tmp/words"
run put - -o json <"$tmp/words"
json "put lines as JSON" ".submitted == $(wc -l <"$tmp/words") and .applied == .submitted and .refused == 0 and .finished"
documented_whole put
run call the '?'
expect "every line was counted once" 0 "^$(grep -cx the "$tmp/words")$"
run put - <<<"good
$long
tabbed	?"
expect "put where some are refused" 2 "put 3 jobs, 1 refused"
run put - < <(printf 'good\tx\n\tno key\n%2000s\ngood\n' x)
expect "put leaves out bad lines and goes on" 2 "put 2 jobs"
expect "naming them" 2 "line 2: the KEY is empty"
expect "each" 2 "line 3: key .*--max-request"
run put "$long"
expect "put where all are refused" 1 "1 of 1 job was refused"

# Where the commands' words go wrong: neither a full disk nor a closed pipe is success.
out=$("$rekindle" status 2>"$tmp/err" >/dev/full)
status=$?
err=$(cat "$tmp/err")
expect "a full disk is an error" 1 "cannot write to standard output"
if command -v script >/dev/null; then
	out=$(TERM=xterm NO_COLOR='' script -qec "$rekindle status" /dev/null </dev/null)
	result "colored on a terminal" "$(grep -q $'\e\[32m' <<<"$out" || echo "no color")"
	out=$(TERM=xterm NO_COLOR=1 script -qec "$rekindle status" /dev/null </dev/null)
	result "not with NO_COLOR" "$(grep $'\e' <<<"$out")"
else
	skip "colored on a terminal" "script: script is not installed"
fi

# ---- deaths, stops ----------------------------------------------------------------------------

owner() { # pid of the worker that owns KEY
	"$rekindle" key --name one "$1" | awk 'NR == 2 { print $4 }'
}

victim=$(owner hello)
kill -KILL "$victim"
run call hello
expect "a killed worker's successor goes on counting" 0 "^5$"
await 7 "pid $victim"
result "run tells of the death" "$([[ ${line-} == *SIGKILL* ]] || echo "said: ${line-}")"
run status
expect "status shows the death" 0 "SIGKILL [0-9ms]+ ago \(pid $victim\)$"
result "and is still no wider than 105 columns" "$(grep -E '.{106}' <<<"$out")"
run status -o json
json "status as JSON shows it" "any(.workers[]; .restarts == 1 and .last_death.pid == $victim and .last_death.signal == \"SIGKILL\" and .last_death.cause == \"signal\")"
documented status

stopped=$(owner hello)
stand_still "$stopped"
run status
expect "status says who is stopped" 0 "^ *[0-9]+ suspended +$stopped "
expect "who is not ready then" 0 "^one  2 of 3 ready"
run key hello
expect "and key does" 0 "^hello .* $stopped  suspended$"
run status --check
expect "status --check: some are ready" 2 "2 of 3 ready"
run status --wait=50ms
expect "status --wait: the time is up" 4 "2 of 3 workers are ready"
run status -o json
json "and so it does as JSON" "[.workers[] | select(.suspended) | .pid] == [$stopped]"
run call hello --timeout 200ms -o json
json "a call that no worker takes is withdrawn when its time is up" '(.outcome == "not-applied" or .outcome == "no-worker") and .timed_out and .reply == null'
result "and that is a time-out" "$([ "$status" -eq 4 ] || echo "expected status 4")"
run status -o json
json "a withdrawn call does not count as queued" '.queued_jobs == 0'
run put hello --timeout 200ms
expect "put says what it does not know" 4 "not all jobs were finished in time"
if [ -n "$have_jq" ]; then
	"$rekindle" call hello --named gateway --timeout 60s >/dev/null 2>&1 &
	caller=$!
	until_status '.queued_jobs >= 2'
	json "they wait for the stopped worker" "[.workers[] | select(.queued_jobs > 0) | .pid] == [$stopped] and ([.workers[].queued_jobs] | add) == .queued_jobs"
	run status --internals -o json
	json "status --internals names the client and the busy partition" \
		"(.internals.clients | any(.name == \"gateway\" and .pid == $caller)) and (.internals.busy_partitions | any(.queued_jobs >= 2))"
	documented status
	run status --internals
	expect "status --internals as text" 0 "^gateway +[0-9]+ +$caller"
	run call x --named gateway
	expect "a client's name is one process's" 1 "gateway"
	kill -KILL $caller
	wait $caller 2>/dev/null
	kill -CONT "$stopped"
	until_status '.queued_jobs == 0'
	run status --internals
	expect "status --internals: a client that is gone and left something" 0 "^gateway +[0-9]+ +-  gone; replies wait"
	run status --internals -o json
	json "and as JSON" '.internals.clients | any(.name == "gateway" and .alive == false and .has_calls)'
	documented status
	run call other --named gateway
	expect "the next client of a killed one's name gets its reply" 0 "left call [0-9]+ in partition [0-9]+; its reply: 7$"
	run status --internals
	expect "status --internals: a client that is gone and left nothing" 0 "^gateway +[0-9]+ +-  gone$"
else
	skip "named clients" "jq: jq is not installed"
	kill -CONT "$stopped"
fi

supervisor=$("$rekindle" status | sed -n 's/.*supervisor \([0-9]*\)$/\1/p')
stand_still "$supervisor"
run status
expect "a supervisor that does not answer: keeper shows the board" 0 "^one  3 of 3 ready, .*supervisor $supervisor stopped$"
expect "and what is the matter" 0 "one: the supervisor \(pid $supervisor\) is stopped: .*kill -CONT $supervisor"
for c in "call hello" "put hello" "stop one"; do
	# shellcheck disable=SC2086 # several words are meant
	run $c --timeout 200ms
	expect "${c%% *} --timeout counts then too" 69 "\(pid $supervisor\) has not answered for 0\.[12][0-9] s"
done
run status --wait=200ms
expect "but status --wait waits for one that answers" 4 "^one  3 of 3 ready"
kill -CONT "$supervisor"
run status
expect "and answers again" 0 "^one  3 of 3 ready"
result "and blames nobody who gave up waiting" "$(grep "cut off" "$tmp/run.one")"

stand_still "$one"
run status
expect "a stopped keeper is told" 0 "^one  3 of 3 ready, .*keeper $one stopped, supervisor $supervisor"
expect "with the way on" 0 "one: keeper \(pid $one\) is stopped: .*'kill -CONT $one' lets it go on"
run status --check -o json
json "also as JSON" ".keeper == \"stopped\" and .keeper_pid == $one and .supervisor == \"answers\""
result "and fails --check" "$([ "$status" -eq 2 ] || echo "status $status")"
run list
expect "list tells it" 0 "^one  keeper $one; keeper \(pid $one\) is stopped: 'kill -CONT $one'"
run list -o json
json "and as JSON" '.fleets[0].keeper == "stopped"'
kill -KILL "$supervisor"
run status
expect "without a supervisor nobody waits for what cannot come" 69 "one: nobody supervises: .*keeper \(pid $one\) is stopped: 'kill -CONT $one'"
for c in "call hello" "put hello" "stop one"; do
	# shellcheck disable=SC2086 # several words are meant
	run $c --timeout 200ms
	expect "${c%% *} names the keeper that is stopped" 69 "has not answered for 0\.[12].* keeper \(pid $one\) is stopped: 'kill -CONT $one'"
done
run list
expect "list names it, too" 0 "^one  keeper $one; keeper \(pid $one\) is stopped: 'kill -CONT $one' lets it go on, no supervisor"
run list -o json
json "with its pid" ".fleets[0].keeper == \"stopped\" and .fleets[0].keeper_pid == $one and .fleets[0].supervisor_pid == null"
kill -CONT "$one"
run status
expect "which goes on, with the next supervisor" 0 "^one  3 of 3 ready, .*keeper $one, supervisor [0-9]+"
expect "whose predecessor's death is counted" 0 "^supervisor up [0-9.]+ m?s, replaced 1 time \(1 death\): see 'rekindle events --kind death,upgrade'$"
supervisor=$("$rekindle" list -o json | sed -n 's/.*"supervisor_pid":\([0-9]*\).*/\1/p')
stand_still "$supervisor"
run call hello --timeout 200ms
expect "and of which it is known, too, when it is stopped" 69 "supervisor \(pid $supervisor\) is stopped: 'kill -CONT $supervisor'"
stand_still "$one"
run call hello --timeout 200ms
expect "or both are" 69 "keeper \(pid $one\) and the supervisor \(pid $supervisor\) are stopped: 'kill -CONT $one $supervisor'"
kill -CONT "$supervisor"
run stop one --timeout 200ms
expect "stop says whose end it waits for in vain" 4 "has not yet: keeper \(pid $one\) is stopped: 'kill -CONT $one'"
kill -CONT "$one"
reap "$one"
start one 3 7
one=$keeper

# ---- two fleets, other users, the end ---------------------------------------------------------

"$rekindle" status two --wait=20s >"$tmp/waited" 2>&1 &
waiter=$!
start two 1 8 --stop-timeout 200ms
two=$keeper
wait $waiter
status=$?
out=$(cat "$tmp/waited")
expect "status --wait waits for a fleet that begins" 0 "^two  1 of 1 ready"
run status
expect "two fleets and no name: both are listed" 64 "2 fleets are running: choose one with --name: one two"
run status --name two
expect "--name chooses" 0 "^two  1 of 1"
REKINDLE_NAME=one run status
expect "\$REKINDLE_NAME chooses" 0 "^one  3 of 3"
REKINDLE_NAME=one run status --name two
expect "--name goes before it" 0 "^two  1 of 1"
REKINDLE_NAME=one run status two
expect "and so does an argument" 0 "^two  1 of 1"
run list
expect "list shows both" 0 "^two  keeper $two$"
run run --name two -- "$wordcount"
expect "a name that is taken" 1 "a fleet named 'two' is running already"

if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	out=$(setpriv --reuid=65534 --regid=65534 --clear-groups "$rekindle" status --name two 2>"$tmp/err")
	status=$?
	err=$(cat "$tmp/err")
	if grep -q 'failed to execute' "$tmp/err"; then
		skip "another user's fleet" "nobody: the build is not readable for others"
	else
		expect "another user's fleet" 77 "Permission denied"
	fi
else
	skip "another user's fleet" "root: needs root to become somebody else"
fi

mapfile -t workers < <("$rekindle" status --name one | awk '$1 ~ /^[0-9]+$/ && $3 ~ /^[0-9]+$/ { print $3 }')
run stop one
expect "stop" 0 "^stopped one: 3 workers$"
result "its workers are gone" "$(for p in "${workers[@]}" "$one"; do
	state=$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$p/status" 2>/dev/null)
	[ -z "$state" ] || [ "$state" = Z ] || echo "pid $p is there: $state"
done)"
stand_still "$("$rekindle" key a | awk 'NR == 2 { print $4 }')"
run status --check
expect "status --check: none is ready" 1 "^two  0 of 1 ready"
run put a '' '' --timeout 50ms
run stop -o json
json "stop as JSON, of the only one left" '.name == "two" and .stopped'
json "it says what had to be killed and what was dropped" '.workers == 1 and .killed == 1 and .dropped_jobs == 2'
documented_whole stop
result "nothing is left" "$(ls -A "$REKINDLE_RUNTIME_DIR")"
for pid in "$one" "$two"; do
	reap "$pid"
	status=$?
	result "run ended well ($pid)" "$([ $status -eq 0 ] || echo "status $status")"
done

start three 3 9 --partitions 2
expect_warning=$(cat "$tmp/run.three")
result "workers that can never own anything are told at the start" \
	"$([[ $expect_warning == *"3 workers share 2 partitions: 1 of them can never own anything"* ]] || echo "said: $expect_warning")"
run stop three
expect "stop with an argument" 0 "^stopped three: 3 workers$"
reap "$keeper"

finish
