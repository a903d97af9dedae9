#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/system/systemd_storm.sh [SECONDS [SEED]]
#
# Goal    under a real systemd, the supervisor, keeper, and both at once are SIGKILLed ten times per second,
#         each for so many seconds (20), while clients put jobs, workers and other clients are killed, and an
#         operator scales, drains, restarts, reloads and upgrades: every job that was put counts once, every worker
#         is one, and a stop leaves nothing. Some deaths follow each other in the middle of adoptions, some come
#         right behind a command, and once systemd's descriptor store is empty when both die.
# Method  a fleet as a service in a container with a systemd of its own (box.sh); two clients put files of
#         words, round by round, and each round is a line of the ledger only when `put` has said that all of it
#         was answered. In the end each word is asked for. A third client, with words of its own, is killed all
#         the time. regicide.c kills supervisor and keeper. What is done when is drawn by a seed that is printed.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/box.sh"

trap 'box_down; cleanup' EXIT
unset REKINDLE_RUNTIME_DIR
seconds=${1:-20}
seed=${2:-$((SRANDOM % 32768))}
files=$tmp/files
unit=rekindle@demo
group=/sys/fs/cgroup/system.slice/system-rekindle.slice/$unit.service
per_s=10
echo "# seed $seed"

make -s -C "$build" install DESTDIR="$files" >"$tmp/log" 2>&1 || { result "make install" "$(cat "$tmp/log")"; finish; }
docs=$(find "$files" -path '*/examples/demo.conf' | head -n 1)
install -D -t "$files/etc/rekindle" -m 644 "$docs"

# In the container. put_rounds N: puts its words until the file "end" is there, then how many rounds
# were answered, or what failed.
mkdir -p "$files/storm"
cat >"$files/storm/clients" <<'IN'
#!/bin/bash
n=0
until [ -e /storm/end ]; do
	said=$(rekindle --name demo put --timeout 60s - </storm/words 2>&1) || { echo "round $n: $said" >>/storm/wrong; break; }
	n=$((n + 1))
done
echo $n >"/storm/rounds.$1"
IN
# mortals SEED: clients that are killed, one after the other, until the file "calm" is there; then how many
cat >"$files/storm/mortals" <<'IN'
#!/bin/bash
RANDOM=$1
exec 9<>/storm/nap
n=0
until [ -e /storm/calm ]; do
	rekindle --name demo put --timeout 20s - </storm/others >/dev/null 2>&1 &
	pid=$!
	read -rt "0.$(printf %03d $((RANDOM % 300 + 1)))" -u 9
	kill -KILL $pid && n=$((n + 1))
	wait $pid
done 2>/dev/null
echo $n
IN
# assassin SEED GROUP: kills workers, some two a second, until the file "calm" is there; then how many
cat >"$files/storm/assassin" <<'IN'
#!/bin/bash
RANDOM=$1
exec 9<>/storm/nap
n=0
until [ -e /storm/calm ]; do
	read -rt "0.$(printf %03d $((RANDOM % 700 + 100)))" -u 9
	groups=("$2"/*/demo/*/cgroup.procs)
	read -r pid <"${groups[RANDOM % ${#groups[@]}]}" && kill -KILL "$pid" && n=$((n + 1))
	pid=
done 2>/dev/null
echo $n
IN
# empty SECONDS SEED: within that time, all memory that systemd's store holds is taken out of it in keeper's name, and
# both are killed at once; until a successor tells that it had to ask the workers. Then how often that was. (What
# keeper puts in anew meanwhile is the part that is given up then.)
cat >"$files/storm/empty" <<'IN'
#!/bin/bash
RANDOM=$2
exec 9<>/storm/nap
n=0 end=$((SECONDS + $1))
read -rt $((RANDOM % ($1 / 2) + 1)) -u 9
for ((i = 0; i < 9 && n == 0 && SECONDS < end; i++)); do
	main=$(systemctl show -P MainPID rekindle@demo)
	[ "$main" -gt 0 ] || continue
	for name in 0.configuration 1.{board,beats,calls,queues,parts,readers,state,journal,dead,news}; do
		NOTIFY_SOCKET=/run/systemd/notify systemd-notify --no-block --pid=$main FDSTOREREMOVE=1 FDNAME=$name
	done
	kill -KILL "$main" $(pgrep -P "$main" rekindled)
	read -rt 0.3 -u 9
	n=$(journalctl -q --no-pager -o cat -u rekindle@demo | grep -c 'nobody else had kept the memory, it is collected')
done
echo $n
IN
# operate SEED: what an operator may ask for, until the file "calm" is there
cat >"$files/storm/operate" <<'IN'
#!/bin/bash
RANDOM=$1
exec 8<>/storm/bell
until [ -e /storm/calm ]; do
	case $((RANDOM % 7)) in
	0 | 1) set -- scale $((RANDOM % 4 + 2)) ;;
	2) set -- drain $((RANDOM % 4)) ;;
	3) set -- undrain $((RANDOM % 4)) ;;
	4) set -- restart ;;
	5) set -- upgrade ;;
	6) set -- reload ;;
	esac
	printf . >&8
	rekindle --name demo "$@" --timeout 200ms >>/storm/asked 2>&1
done
IN
chmod +x "$files"/storm/*
mkfifo "$files/storm/bell" "$files/storm/nap"
install -D -t "$files/usr/local/bin" "$build/tests/system/regicide"
for ((i = 0; i < 2000; i++)); do echo "word$((i * i % 211))"; done >"$files/storm/words"
for ((i = 0; i < 20000; i++)); do echo "other$((i * i % 211))"; done >"$files/storm/others"

if ! box_up "$files" unified; then
	skip "storms under systemd" "systemd: $box_reason"
	finish
fi

# What a failed test tells besides: how the memory went from one to the next, and who gave it up.
details() {
	box journalctl -q --no-pager -o short-monotonic -u $unit 2>/dev/null |
		grep -E 'collected|only a part|given up|reserved|refused|damaged|clients=0|workers=0|, [0-9]+ workers:' | tail -n 40
}

wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		read -rt 0.1 <> <(:)
	done
}

box systemctl start $unit || { result "the fleet starts" "$(box journalctl -q --no-pager -n 20)"; finish; }
for c in 1 2; do box /storm/clients $c >"$tmp/clients.$c" 2>&1 & started[$!]=; done
box /storm/operate "$seed" >/dev/null 2>&1 &
operator=$!
started[$operator]=
box /storm/mortals "$seed" >"$tmp/mortals" 2>&1 &
mortals=$!
started[$mortals]=
box /storm/assassin "$seed" "$group" >"$tmp/assassin" 2>&1 &
assassin=$!
started[$assassin]=
n_in_row=0 n_behind=0
least=8 # deaths a second, also where others use both processors
for target in supervisor keeper both; do
	if [ $target = supervisor ]; then # whose storm leaves keeper alone meanwhile
		box /storm/empty "$seconds" "$seed" >"$tmp/empty" 2>"$tmp/empty.err" &
		empty=$!
		started[$empty]=
	fi
	box regicide -t $target -b /storm/bell $group "$seconds" $per_s $((seed + ${#target})) >"$tmp/kills" 2>&1
	read -r kills in_row behind <"$tmp/kills"
	n_in_row=$((n_in_row + in_row))
	n_behind=$((n_behind + behind))
	result "$target: $kills deaths in $seconds s, $in_row in rows, $behind behind commands, and the fleet is there" "$(
		[ "${kills:-0}" -ge $((seconds * least)) ] || echo "too few"
		wait_for 60 box rekindle --name demo status >/dev/null 2>&1 || box systemctl status $unit --no-pager
		box cat /storm/wrong 2>/dev/null)"
	[ $target != supervisor ] || reap $empty
done
result "deaths came in the middle of adoptions ($n_in_row) and right behind commands ($n_behind)" \
	"$([ "$n_in_row" -gt 0 ] && [ "$n_behind" -gt 0 ] || echo "too few")"
result "systemd's store was emptied in the middle of that, and the memory came from the workers" "$([ "$(cat "$tmp/empty")" -gt 0 ] || cat "$tmp/empty" "$tmp/empty.err")"
box touch /storm/calm
reap $operator
reap $mortals
reap $assassin
result "clients ($(cat "$tmp/mortals")) and workers ($(cat "$tmp/assassin")) were killed" \
	"$([ "$(cat "$tmp/mortals")" -ge $((seconds * 3)) ] && [ "$(cat "$tmp/assassin")" -ge "$seconds" ] || echo "too few")"
for w in 0 1 2 3; do box rekindle --name demo undrain $w >/dev/null 2>&1; done
box rekindle --name demo scale 4 --timeout 60s >/dev/null 2>&1
box rekindle --name demo status --wait=60s >/dev/null 2>&1
box touch /storm/end
for pid in "${!started[@]}"; do reap "$pid"; done
rounds=$(box sh -c 'cat /storm/rounds.*' | awk '{ n += $1 } END { print n + 0 }')
echo "# rounds answered: $rounds"
result "every round was answered, and there were some" "$([ "$rounds" -gt 10 ] || echo "$rounds rounds"; box cat /storm/wrong 2>/dev/null)"

# One more call a word tells how often it was counted before.
box bash -c 'sort -u /storm/words | while read -r w; do echo "$(($(rekindle --name demo call "$w") - 1)) $w"; done' |
	LC_ALL=C sort >"$tmp/have"
awk -v n="$rounds" '{ seen[$1] += n } END { for (w in seen) print seen[w], w }' "$files/storm/words" | LC_ALL=C sort >"$tmp/want"
result "every word counts as often as it was put" "$(diff "$tmp/want" "$tmp/have" | head -n 10)"
box rekindle --name demo status --wait=60s >/dev/null 2>&1
result "there are four workers, and no process that nobody knows" "$(
	box rekindle --name demo status >"$tmp/status" 2>&1
	awk '$2 ~ /^ready/ { print $3 }' "$tmp/status" | sort >"$tmp/known"
	[ "$(wc -l <"$tmp/known")" -eq 4 ] || cat "$tmp/status"
	box pgrep -u rekindle -f '/wordcount$' | sort | diff "$tmp/known" -)"
box systemctl stop $unit rekindle-sweep@demo
result "a stop leaves nothing" "$(wait_for 10 box sh -c '! pgrep -u rekindle >/dev/null' || box pgrep -a -u rekindle; box ls -A /run/rekindle)"
finish
