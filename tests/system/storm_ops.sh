#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/system/storm_ops.sh [SECONDS [SEED]]
#
# Goal    while workers and clients are killed and stopped at random, an operator scales the fleet
#         up and down, drains, pauses, stops and restarts workers without a break, so that
#         partitions move all the time; in the end no word is lost and none counted twice. The same
#         while some jobs hang their workers, which OnHang=kill (the default) ends in the middle of
#         all that, and a standby takes over, or is killed: those jobs alone are put aside.
# Method  `rekindle demo --named` over Debian's licence texts, twice, the second time with --poison;
#         the operator's commands are drawn by a seed that is printed. Each begins and is not waited
#         for: a worker that is stopped hands over nothing until it goes on. The last ones bring
#         everybody back before the demo ends.
. "$(dirname "$0")/lib.sh"

seconds=${1:-30}
seed=${2:-$((SRANDOM % 32768))}
RANDOM=$seed
n_workers=6
n_poisons=6
margin=10 # of each demo, for bringing everybody back
echo "# seed $seed"

if [ "$(find /usr/share/common-licenses -maxdepth 1 -type f -size +8k 2>/dev/null | wc -l)" -lt 3 ]; then
	skip "a storm under an operator" "licenses: there are not three texts in /usr/share/common-licenses"
	finish
fi

declare -A n=() done=()
moves=0

# operate COMMAND…: what is refused (it has no process, it is the last one) is no news
operate() {
	n[$1]=$((${n[$1]:-0} + 1))
	run "$@"
	[ "$status" -eq 0 ] || [ "$status" -eq 4 ] && done[$1]=$((${done[$1]:-0} + 1))
}

# operate_until SECOND: of the script's own
operate_until() {
	local worker
	until [ "$SECONDS" -ge "$1" ]; do
		worker=$((RANDOM % n_workers))
		case $((RANDOM % 8)) in
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
		esac
	done
}

# storm SECONDS OPTION…: leaves the demo's verdict in $tmp/out, its last records in $tmp/events
storm() {
	local demo length=$1
	shift
	"$rekindle" demo --named --seconds $((length + margin)) --workers $n_workers --kill-workers=5 --stop-workers=2 \
		--kill-clients=3 --stop-clients=2 "$@" -o json >"$tmp/out" 2>"$tmp/demo.err" </dev/null &
	demo=$!
	started[$demo]=
	until "$rekindle" status --wait=5s >/dev/null 2>&1; do
		kill -0 "$demo" 2>/dev/null || break
	done
	operate_until $((SECONDS + length))
	bring_back run $n_workers
	"$rekindle" events --all -n 100000 >"$tmp/events" 2>&1
	moves=$((moves + $(grep -c 'partitions moved n=' "$tmp/events")))
	reap "$demo"
	status=$?
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
}

storm $(((seconds - margin) * 3 / 5))
result "no word is lost and none is counted twice" "$(verdict)"
storm $(((seconds - margin) * 2 / 5)) --poison=$n_poisons --standby=1 --kill-standbys=1
result "nor while workers hang and are killed for it, and those jobs alone are put aside" \
	"$(verdict '"poison":'$n_poisons '"quarantined":'$n_poisons '"innocents_quarantined":0')"
result "each command was obeyed" "$(for c in scale drain undrain restart pause resume stop; do
	[ "${done[$c]:-0}" -gt 0 ] || echo "$c: ${n[$c]:-0} times asked for"
done)"
result "partitions moved" "$([ "$moves" -gt 0 ] || echo "never")"
for c in "${!done[@]}"; do echo "# $c: ${done[$c]} of ${n[$c]}"; done
echo "# moves told by the recorder's last records: $moves"
result "nothing is left in the runtime directory" "$(ls -A "$tmp/r" 2>/dev/null)"
finish
