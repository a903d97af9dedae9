#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/system/storm.sh [SECONDS]
#
# Goal    workers, standbys, named clients and readers of the board are killed and stopped at random in real
#         fleets, and in the end every word of several texts has been answered and counted as
#         often as `tr | sort | uniq -c` finds it; a reader never sees a view change.
# Method  `rekindle demo --named` over Debian's licence texts, several times each, once with a
#         commit per job and a standby and once in batches and without, in turn until the time is up; each run has a seed.
. "$(dirname "$0")/lib.sh"

seconds=${1:-30}
n_words=50000 # at least so many in a run: some ten seconds

mapfile -t texts < <(find /usr/share/common-licenses -maxdepth 1 -type f -size +8k 2>/dev/null | LC_ALL=C sort | head -n 8)
if [ "${#texts[@]}" -lt 3 ]; then
	skip "a storm over several texts" "licenses: there are not three texts in /usr/share/common-licenses"
	finish
fi

# words FILE…: one a line, without those that are too long for wordcount
words() {
	cat "$@" | LC_ALL=C tr -cs 'A-Za-z0-9' '\n' | awk 'length > 0 && length <= 55'
}

once=$(words "${texts[@]}" | wc -l)
all=()
for ((i = 0; i * once < n_words; i++)); do all+=("${texts[@]}"); done
words "${all[@]}" | LC_ALL=C sort | uniq -c | awk '{ print $1, $2 }' >"$tmp/want"
echo "# ${#texts[@]} texts of $once words, $i times"

# figure NAME [OBJECT]: a number of the verdict
figure() {
	sed -n "s/.*${2:+\"$2\":{[^\}]*}\"$1\":\([0-9]*\).*/\1/p" "$tmp/out"
}

declare -A sum=()
for ((run = 1; SECONDS < seconds; run++)); do
	[ $((run % 2)) -eq 1 ] && batch=1 || batch=16
	[ $((run % 2)) -eq 1 ] && standbys='--standby=1 --kill-standbys=5' || standbys=
	# shellcheck disable=SC2086 # two words are meant
	"$build/rekindle" demo --named --text "${all[@]}" --batch $batch --kill-workers=15 --stop-workers=4 \
		--kill-clients=10 --stop-clients=4 --kill-readers=10 $standbys --counts "$tmp/counts" -o json >"$tmp/out" 2>"$tmp/err"
	status=$?
	awk '{ print $1, $2 }' "$tmp/counts" | LC_ALL=C sort -k 2 >"$tmp/have"
	result "run $run, batch $batch, seed $(figure seed): every word is answered and counted as uniq -c does" \
		"$([ $status -eq 0 ] || echo "exit status $status: $(cat "$tmp/err")"
		grep -q '"ok":true' "$tmp/out" || cat "$tmp/out"
		for name in sent acknowledged applied; do
			[ "$(figure $name)" = $((i * once)) ] || echo "$name: $(figure $name) of $((i * once))"
		done
		for name in unanswered unresolved refused readers_failed; do
			[ "$(figure $name)" = 0 ] || echo "$name: $(figure $name)"
		done
		LC_ALL=C sort -k 2 "$tmp/want" | diff - "$tmp/have" | head -n 20)"
	for what in "workers kills" "clients kills" "readers kills" "workers stops" "clients stops" "readers stops" \
		"standbys kills"; do
		# shellcheck disable=SC2086 # two words are meant
		sum[$what]=$((${sum[$what]:-0} + $(figure $what)))
	done
	rm -f "$tmp/counts"
done
result "all of them were killed and stopped" "$(for what in "${!sum[@]}"; do
	[ "${sum[$what]}" -gt 0 ] || echo "no $what"
done)"
for what in "${!sum[@]}"; do echo "# $what: ${sum[$what]}"; done
result "nothing is left in the runtime directory" "$(ls -A "$tmp/r" 2>/dev/null)"
finish
