#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    under a real systemd a reload that was told to be done is in force, whoever dies behind it; one that was
#         not is in force wholly or not at all; and a keeper that does not answer lets nothing be half reloaded.
# Method  a fleet as a service in a container (service.sh), whose configuration is reloaded to and fro between two
#         sides: other workers, and a fleet more. Keeper is stopped before a reload, or keeper and supervisor are
#         killed at once while it is asked for; the next ones have nothing but systemd's store.
. "$(dirname "$0")/service.sh"

rounds=${1:-8}
more=/etc/rekindle/demo.conf.d/more.conf

if ! box_up "$files" unified; then
	skip "a reload under systemd" "systemd: $box_reason"
	finish
fi

# write 4|5: the side that the files say, by its workers
write() {
	if [ "$1" = 4 ]; then
		box rm -rf "${more%/*}"
	else
		put $more "[Fleet demo]
Workers=5
[Fleet more]
Exec=$libexec/wordcount
Workers=1"
	fi
}

# side: waits, 10 s at most, until one side holds wholly, and tells which; else what there is
side() {
	local end=$((SECONDS + 10)) said
	until
		said=$(box rekindle --name demo/demo status 2>&1; box rekindle --name demo/more status 2>&1)
		case $said in
		*"4 of 4 ready"*"runs no fleet named 'more'"*) echo 4; return ;;
		*"5 of 5 ready"*"1 of 1 ready"*) echo 5; return ;;
		esac
		[ $SECONDS -ge $end ]
	do :; done
	echo "neither: $said"
}

both_kill() {
	team
	box kill -KILL "$keeper" "$supervisor"
	replaced
}

equal "it starts" "$(up)" ""

# ---- a keeper that is stopped ----

for end in "both are killed" "it goes on" "it goes on, and the supervisor is killed"; do
	team
	write 5
	box kill -STOP "$keeper"
	in_box rekindle --name demo reload --no-wait --remove=more
	expect "a stopped keeper: a reload is refused, and says why and what to do" 69 \
		"keeper .*does not answer.* nothing was reloaded.*kill -CONT $keeper"
	equal "the old side holds" "$(side)" 4
	case $end in
	both*) box kill -KILL "$keeper" "$supervisor"; replaced ;;
	*killed) box kill -CONT "$keeper"; box kill -KILL "$supervisor" ;;
	*) box kill -CONT "$keeper" ;;
	esac
	equal "$end: the old side holds, whole" "$(side)" 4
	equal "by the same workers" "$(workers | xargs)" "$workers"
	in_box rekindle --name demo reload --timeout 20s --remove=more
	expect "the next reload is done" 0 'demo: Workers=4 -> 5'
	equal "and holds" "$(side)" 5
	both_kill
	equal "also when both are killed behind it" "$(side)" 5
	write 4
	in_box systemctl reload $unit
	expect "systemctl reload removes no fleet" 1 'failed'
	in_box journalctl -q --no-pager -u $unit -o cat -n 20
	expect "and says what does" 0 'rekindle reload --name demo --remove=more'
	in_box rekindle --name demo reload --timeout 20s --remove=more
	expect "and back" 0 'more: is gone'
done

# ---- deaths in the middle of one ----

n_old=0 n_new=0 complaint=
for ((i = 0; i < rounds; i++)); do
	was=$(side)
	will=$((9 - was))
	write $will
	team
	lines 5 "$tmp/reload" box timeout 20 rekindle --name demo reload --no-wait --remove=more
	reload=$!
	read -r -t "0.0$(printf %02d $((RANDOM % 16)))" -u "$box_told" # which says nothing
	box kill -KILL "$keeper" "$supervisor"
	replaced
	reap $reload
	code=$?
	is=$(side)
	case $is in
	"$was") n_old=$((n_old + 1)) ;;
	"$will") n_new=$((n_new + 1)) ;;
	*) complaint+="round $i: $is" ;;
	esac
	[ $code -ne 0 ] || [ "$is" = "$will" ] || complaint+="round $i: it was told to be done, and is not. "
done
echo "# $rounds deaths: $n_old times the old side, $n_new times the new one"
result "a reload whose keeper and supervisor are killed is the old side or the new one" "$complaint"

box systemctl stop $unit
finish
