#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/system/storm_supervisor.sh [SECONDS [SEED]]
#
# Goal    the supervisor is killed ten times a second, now and then the next one in the middle of its adoption,
#         or the present one right behind a command, while workers, standbys and clients are killed and an
#         operator scales, drains, pauses, stops, restarts, reloads and upgrades without a break. In the end no
#         word is lost and none counted twice, no transfer is lost or half done, each slot has one process and is
#         as it shall be, there is no process that nobody knows, and nothing is left.
# Method  `rekindle demo --named` over Debian's licence texts, once as it is, once with jobs that hang their
#         workers and a standby; then a configuration file with the example bank, where two clients make rounds of
#         transfers that count when `put` has said that all of a round was done, and with a fleet that counts words
#         and is taken out of the file and put in again, each life with a ledger of its own. regicide.c kills the
#         supervisors. Everything is drawn by a seed that is printed.
#         In SECONDS (40) there are three parts of about the same length, with all that is waited for.
. "$(dirname "$0")/lib.sh"

seconds=${1:-40}
seed=${2:-$((SRANDOM % 32768))}
RANDOM=$seed
n_workers=6
n_poisons=6
margin=4 # of each demo, for bringing everybody back
length=$((seconds / 3 - margin))
[ "$length" -ge 4 ] || length=4
n_transfers=1000 # of a round
echo "# seed $seed"

if [ "$(find /usr/share/common-licenses -maxdepth 1 -type f -size +8k 2>/dev/null | wc -l)" -lt 3 ]; then
	skip "a storm over supervisors" "licenses: there are not three texts in /usr/share/common-licenses"
	finish
fi

mkfifo "$tmp/bell" "$tmp/nap"
exec 8<>"$tmp/bell" # rung before each command
declare -A asked=() obeyed=()
n_killed=0 n_in_row=0 n_behind=0 n_due=0
conf=
wrong=

# ---- the operator ----

# operate COMMAND…: what is refused (it has no process, it is the last one), or was asked of a supervisor
# that did not live to answer, is no news
operate() {
	asked[$1]=$((${asked[$1]:-0} + 1))
	printf . >&8
	run "$@"
	case $status in
	0 | 4) obeyed[$1]=$((${obeyed[$1]:-0} + 1)) ;;
	1 | 2 | 64 | 69) ;;
	*) wrong+="$* ended with $status: $err"$'\n' ;;
	esac
}

# operate_until SECOND: of the script's own
operate_until() {
	local worker
	until [ "$SECONDS" -ge "$1" ]; do
		worker=$((RANDOM % n_workers))
		case $((RANDOM % 10)) in
		0 | 1) operate scale $((2 + RANDOM % 8)) --no-wait ;;
		2) operate drain $worker --no-wait ;;
		3) operate undrain $worker --no-wait ;;
		4)
			operate restart --max-unavailable=$((RANDOM % 4)) --no-wait
			[ "$status" -eq 0 ] || run restart --cancel --no-wait # it is held: a successor was killed, too
			;;
		5) operate pause $worker ;;
		6) operate resume $worker ;;
		7) operate stop $worker --timeout 1ms ;;
		8) operate upgrade --timeout 200ms ;;
		9) [ -z "$conf" ] || reload_more ;;
		esac
	done
}

# look: notes how the fleet is, should it never become what it shall be
look() {
	{ "$rekindle" status; "$rekindle" events --all -n 200; } >"$tmp/late" 2>&1
}

# persist COMMAND…: until there is an answer
persist() {
	local i
	for ((i = 0; i < 40; i++)); do
		printf . >&8
		run "$@"
		[ "$status" -ne 4 ] || look
		[ "$status" -eq 69 ] || return 0
	done
}

# ---- death ----

# begin_regicide KEEPER
begin_regicide() {
	"$build/tests/system/regicide" -b "$tmp/bell" "$1" 100000 "$per_s" $RANDOM >"$tmp/kills" &
	regicide=$!
	started[$regicide]=
	killing_since=$SECONDS
}

end_regicide() {
	local killed=0 row=0 behind=0
	kill -TERM $regicide 2>/dev/null
	reap $regicide || wrong+="keeper is gone"$'\n'
	read -r killed row behind <"$tmp/kills"
	n_killed=$((n_killed + killed))
	n_in_row=$((n_in_row + row))
	n_behind=$((n_behind + behind))
	n_due=$((n_due + per_s * (SECONDS - killing_since)))
}

# ---- what is there ----

number() {
	sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" <<<"$out"
}

# processes: of the fleet that status told of, standbys too
processes() {
	sed 's/"last_death":{[^}]*}//g' <<<"$out" | grep -o '"pid":[0-9][0-9]*' | tr -dc '0-9\n'
}

# whole KEEPER STANDBYS [FLEET…]: what is wrong with a fleet that should be as it shall be, or several of a
# configuration, whose first one has the standbys
whole() {
	local keeper=$1 standbys=$2 f pids= children deadline=$((SECONDS + 20))
	shift 2
	for f in "${@:-}"; do
		run status --wait=10s --check ${f:+--name "$f"}
		[ "$status" -eq 0 ] || echo "status --check ends with $status: $out$err"
		# The next supervisor makes its standbys anew: until they are there.
		until run status -o json ${f:+--name "$f"} &&
			[ "$(sed 's/.*"standbys"://' <<<"$out" | grep -o '"pid"' | wc -l)" -eq "$standbys" ]; do
			[ "$SECONDS" -lt "$deadline" ] || { echo "there are not $standbys standbys: $out"; return; }
		done
		standbys=0
		[ "$(number keeper_pid)" = "$keeper" ] || echo "keeper was $keeper: $out"
		[ "$(number queued_jobs)" = 0 ] || echo "jobs are queued: $out"
		pids+=$(processes)$'\n'
	done
	pids=$({ number supervisor_pid; echo "$pids"; } | grep . | sort -n | xargs)
	children=$(ps -o pid= --ppid "$keeper" | sort -n | xargs)
	[ "$pids" = "$children" ] ||
		{ echo "keeper's children are $children, the fleet's processes $pids"; ps -o pid,ppid,stat,comm --ppid "$keeper"; }
}

# living: what there is of our fleets and their clients
living() {
	local file
	for file in $(grep -lzsx "REKINDLE_RUNTIME_DIR=$REKINDLE_RUNTIME_DIR" /proc/[0-9]*/environ); do
		ps -o pid=,ppid=,stat=,args= "$(basename "$(dirname "$file")")"
	done
}

# left: of fleets that have ended
left() {
	local deadline=$((SECONDS + 3))
	until [ -z "$(living)" ] || [ "$SECONDS" -ge "$deadline" ]; do :; done
	living
	ls -A "$tmp/r" 2>/dev/null
}

# ---- words ----

# words STANDBYS OPTION…: leaves the demo's verdict in $tmp/out, what is wrong otherwise in wrong. Supervisors
# die until the verdict is there.
words() {
	local demo keeper deadline standbys=$1
	shift
	wrong=
	"$rekindle" demo --named --seconds $((length + margin)) --seed $RANDOM --workers $n_workers --kill-workers=5 \
		--stop-workers=2 --kill-clients=3 --stop-clients=2 --keep --standby="$standbys" "$@" -o json \
		>"$tmp/out" 2>"$tmp/demo.err" </dev/null 8>&- &
	demo=$!
	started[$demo]=
	until "$rekindle" status --wait=5s >/dev/null 2>&1; do
		kill -0 "$demo" 2>/dev/null || break
	done
	run status -o json
	keeper=$(number keeper_pid)
	begin_regicide "$keeper"
	operate_until $((SECONDS + length))
	bring_back persist $n_workers
	deadline=$((SECONDS + 100))
	until grep -q '^and see what came' "$tmp/demo.err" || ! kill -0 "$demo" 2>/dev/null; do
		[ "$SECONDS" -lt "$deadline" ] || { wrong+="there is no verdict"$'\n'; break; }
		look
		read -rt 0.5 <>"$tmp/nap"
	done
	end_regicide
	wrong+=$(whole "$keeper" "$standbys")
	kill -INT "$demo"
	reap "$demo"
	status=$?
	wrong+=$(left)
	out=$(cat "$tmp/out")
	err=$(cat "$tmp/demo.err")
}

# verdict MEMBER…: what is wrong with it
verdict() {
	local member
	[ "$status" -eq 0 ] || echo "exit status $status"
	for member in '"ok":true' '"lost":0' '"doubled":0' '"unanswered":0' '"contradicted":0' "$@"; do
		grep -q "$member" "$tmp/out" || echo "no $member"
	done
	printf '%s' "$wrong"
	[ "$status" -eq 0 ] || cat "$tmp/late" 2>/dev/null
}

# ---- the bank, and a fleet beside it ----

# configure more|"" NUMBER: with the second fleet or without; the number is a change that holds at once
configure() {
	local text="[Fleet accounts]
Exec=$build/workers/examples/bank
Workers=$n_workers
Standby=1
Partitions=16
RestartBurst=$2"
	[ -z "$1" ] || text+="
[Fleet more]
Exec=$wordcount
Workers=2"
	echo "$text" >"$conf.new" && mv "$conf.new" "$conf"
}

# reload_more: whatever the file says just now, once with the second fleet and once without
reload_more() {
	operate reload --name bank --no-wait --remove=more
}

# reloaded more|"": the same with what is written now, until it holds
reloaded() {
	local text deadline=$((SECONDS + 30))
	configure "$1" $((RANDOM % 10 + 1))
	while [ "$SECONDS" -lt "$deadline" ]; do
		printf . >&8
		text=$("$rekindle" reload --name bank --remove=more --timeout 5s 2>&1)
		case $? in
		0 | 1 | 2 | 4 | 69) ;;
		*) echo "reload ended with $?: $text"; return 1 ;;
		esac
		text=$("$rekindle" status --name bank/more ${1:+--wait=5s} 2>&1)
		case $?,$1 in
		0,more | 3,) return 0 ;;
		esac
	done
	echo "a reload ${1:+with}${1:-without} the second fleet does not hold: $text"
	return 1
}

# come_and_go: the second fleet, until "calm" is there; a line for each life, or what was wrong with it
come_and_go() {
	local life round rounds have want w
	RANDOM=$1
	for ((life = 1;; life++)); do
		reloaded more || return
		rounds=$((RANDOM % 3 + 1))
		for ((round = 0; round < rounds; round++)); do
			have=$("$rekindle" put --name bank/more --timeout 20s - <"$tmp/words" 2>&1) ||
				{ echo "life $life, round $round: $have"; return; }
		done
		for w in word1 word4; do
			want=$((rounds * $(grep -cx $w "$tmp/words") + 1))
			have=$("$rekindle" call --name bank/more --timeout 20s $w 2>&1)
			[ "$have" = $want ] || echo "life $life: $w counts $have instead of $want"
		done
		[ ! -e "$tmp/calm" ] || break
		reloaded "" || return
	done
	echo "lives $life"
}

# client: makes rounds of transfers until "end" is there; then how many, or what failed
client() {
	local said n=0
	until [ -e "$tmp/end" ]; do
		said=$("$rekindle" put --name bank/accounts --timeout 30s - <"$tmp/transfers" 2>&1) || { echo "round $n: $said"; break; }
		n=$((n + 1))
	done
	echo "rounds $n"
}

# nap MS BELOW: so many milliseconds, and some more that are drawn
nap() {
	local ms=$(($1 + RANDOM % $2))
	read -rt "$((ms / 1000)).$(printf %03d $((ms % 1000)))" <>"$tmp/nap"
}

# mortals SEED: clients that are killed, one after the other, until "calm" is there; then how many
mortals() {
	local n=0 pid
	RANDOM=$1
	until [ -e "$tmp/calm" ]; do
		"$rekindle" put --name bank/accounts --timeout 30s - <"$tmp/others" >/dev/null 2>&1 &
		pid=$!
		nap 1 300
		kill -KILL $pid 2>/dev/null && n=$((n + 1))
		wait $pid
	done 2>/dev/null
	echo "clients $n"
}

# assassin SEED KEEPER: kills workers and standbys of all fleets, five a second, until "calm" is there
assassin() {
	local n=0 pids pid name
	RANDOM=$1
	until [ -e "$tmp/calm" ]; do
		nap 50 300
		read -ra pids <"/proc/$2/task/$2/children"
		pid=${pids[RANDOM % ${#pids[@]}]}
		read -r name <"/proc/$pid/comm"
		case $name in bank | wordcount) kill -KILL "$pid" && n=$((n + 1)) ;; esac
	done 2>/dev/null
	echo "workers $n"
}

# beside FUNCTION ARGUMENT…: runs it beside the test, what it says in $tmp/said.FUNCTION
beside() {
	"$@" >>"$tmp/said.$1" 2>&1 &
	beside+=($!)
	started[$!]=
}

# said FUNCTION WORD: the sum of the numbers that it told
said() {
	awk -v w="$2" '$1 == w { n += $2 } END { print n + 0 }' "$tmp/said.$1"
}

# branches: two keys of each partition, one for the ledger and one for clients that are killed
branches() {
	local k
	for ((k = 0; k < 400; k++)); do echo "branch:$k"; done | xargs "$rekindle" key --name bank/accounts -o json |
		grep -o '"key":"[^}]*"partition":[0-9]*' | sed 's/"key":"\([^"]*\)".*:/\1 /' | sort -uk 2,2n
}

# audit KEY: its money and transfers
audit() {
	"$rekindle" call --name bank/accounts --timeout 20s "$1" total 2>&1
}

bank() {
	local deadline keys pid keeper rounds k beside=()
	wrong=
	conf=$tmp/bank.conf
	configure more 5
	for ((k = 0; k < 2000; k++)); do echo "word$((k * k % 211))"; done >"$tmp/words"
	"$rekindle" run --config "$conf" >"$tmp/bank.out" 2>"$tmp/bank.log" </dev/null 8>&- &
	keeper=$!
	started[$keeper]=
	for k in accounts more; do "$rekindle" status --wait=20s --name bank/$k >/dev/null 2>&1; done
	mapfile -t keys < <(branches | cut -d' ' -f1)
	[ "${#keys[@]}" -eq 16 ] || wrong+="there are ${#keys[@]} branches instead of 16"$'\n'
	for ((k = 0; k < n_transfers; k++)); do # one unit from each account to the next one
		printf '%s\t%s %s 1\n' "${keys[k % 8]}" $k $(((k + 1) % n_transfers))
	done >"$tmp/transfers"
	for ((k = 0; k < 20000; k++)); do
		printf '%s\t%s %s %s\n' "${keys[k % 8 + 8]}" $((k * 7 % 1000)) $((k * 13 % 1000)) $((k % 50))
	done >"$tmp/others"
	export REKINDLE_NAME=bank/accounts
	beside client
	beside client
	beside mortals $RANDOM
	beside assassin $RANDOM "$keeper"
	beside come_and_go $RANDOM
	begin_regicide "$keeper"
	operate_until $((SECONDS + length))
	: >"$tmp/calm"
	bring_back persist $n_workers
	: >"$tmp/end"
	for pid in "${beside[@]}"; do reap "$pid"; done
	end_regicide
	rounds=$(said client rounds)
	wrong+=$(grep -vh '^[a-z]* [0-9]*$' "$tmp"/said.*)
	wrong+=$(whole "$keeper" 1 bank/accounts bank/more)
	for ((k = 0; k < 8; k++)); do
		out=$(audit "${keys[k]}")
		[ "$out" = "100000 after $((rounds * n_transfers / 8)) transfers" ] ||
			wrong+="${keys[k]} has $out instead of 100000 after $((rounds * n_transfers / 8)), in $rounds rounds"$'\n'
		out=$(audit "${keys[k + 8]}")
		[[ $out = "100000 after "* ]] || wrong+="${keys[k + 8]} has $out"$'\n'
	done
	unset REKINDLE_NAME
	run stop bank
	reap "$keeper"
	status=$?
	[ "$status" -eq 0 ] || wrong+="keeper ended with $status"$'\n'
	wrong+=$(left)
	out=$(grep -v "supervisor was replaced" "$tmp/bank.out" | tail -n 20)
	err=$(tail -n 30 "$tmp/bank.log")
}

per_s=10 # few supervisors live for long enough to find a hang; what one has seen the next one goes on with
words 0
result "no word is lost and none is counted twice, and the fleet is whole" "$(verdict)"
words 1 --poison=$n_poisons --kill-standbys=1
result "nor while workers hang and are killed for it, and those jobs alone are put aside" \
	"$(verdict '"poison":'$n_poisons '"quarantined":'$n_poisons '"innocents_quarantined":0')"
bank
result "no transfer is lost or half done, while another fleet comes and goes, and loses no word" "$wrong"
result "there were some ($(said client rounds) rounds, $(said come_and_go lives) lives)" \
	"$([ "$(said client rounds)" -gt 0 ] && [ "$(said come_and_go lives)" -gt 1 ] || cat "$tmp"/said.*)"
result "workers ($(said assassin workers)) and clients ($(said mortals clients)) were killed there" \
	"$([ "$(said assassin workers)" -ge "$length" ] && [ "$(said mortals clients)" -ge "$length" ] || echo "too few")"
result "supervisors died $((n_killed - n_in_row)) times of $n_due that were due, and in rows, and behind commands" \
	"$([ $((n_killed - n_in_row)) -ge $((n_due * 6 / 10)) ] && [ "$n_in_row" -gt 0 ] && [ "$n_behind" -gt 0 ] || echo "too few")"
result "each command was obeyed" "$(for c in scale drain undrain restart pause resume stop reload upgrade; do
	[ "${obeyed[$c]:-0}" -gt 0 ] || echo "$c: ${asked[$c]:-0} times asked for"
done)"
echo "# of the supervisors, in the middle of an adoption: $n_in_row; right behind a command: $n_behind"
for c in "${!obeyed[@]}"; do echo "# $c: ${obeyed[$c]} of ${asked[$c]}"; done
finish
