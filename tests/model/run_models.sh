#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    the protocols of shm/ hold in every interleaving of doc/models, within the bounds given
#         here, and the models have teeth.
# Method  spin -a, cc, pan: each model is searched to the end for violated assertions and ends that
#         are none; where it says "no cycle", for runs without end too. Each variant with a
#         safeguard taken out must be caught. Two at a time.
# Usage   run_models.sh [MODEL]; "# figures" of each search go to its line.
. "$(dirname "$0")/../check/lib.sh"

cc=${CC:-cc}
only=${1-}

# model | what is asked: holds, no cycle, caught | bounds and safeguards taken out
table='
queue_commit    | holds    | -DA=2 -DB=2 -DKILLS=1
queue_commit    | holds    | -DA=2 -DB=1 -DKILLS=2
queue_commit    | no cycle | -DA=2 -DB=1 -DKILLS=1
queue_commit    | caught   | -DA=2 -DB=1 -DKILLS=1 -DBREAK_HELP
queue_commit    | caught   | -DA=2 -DB=1 -DKILLS=1 -DBREAK_LAP
queue_commit    | caught   | -DA=2 -DB=1 -DKILLS=1 -DBREAK_FREED
queue_commit    | caught   | -DA=2 -DB=1 -DKILLS=1 -DBREAK_RECYCLE
queue_commit    | caught   | -DA=2 -DB=1 -DKILLS=1 -DBREAK_UNDO
queue_commit    | caught   | -DA=2 -DB=1 -DKILLS=1 -DBREAK_TOMB
queue_commit    | caught   | -DA=2 -DB=1 -DKILLS=1 -DBREAK_LOGWORD
deliver_timeout | holds    | -DCALLS=1 -DKILLS=1 -DEVICTIONS=1 -DTIMEOUTS=1 -DAGAINS=1 -DFORGET=0
deliver_timeout | holds    | -DCALLS=1 -DKILLS=1 -DEVICTIONS=1 -DTIMEOUTS=1 -DAGAINS=0
deliver_timeout | holds    | -DCALLS=1 -DKILLS=1 -DEVICTIONS=0 -DTIMEOUTS=2 -DAGAINS=1
deliver_timeout | holds    | -DCALLS=1 -DKILLS=0 -DEVICTIONS=1 -DTIMEOUTS=2 -DAGAINS=1
deliver_timeout | holds    | -DCALLS=2 -DKILLS=1 -DEVICTIONS=0 -DTIMEOUTS=1 -DAGAINS=1
deliver_timeout | holds    | -DCALLS=2 -DKILLS=0 -DEVICTIONS=1 -DTIMEOUTS=1 -DAGAINS=0
deliver_timeout | caught   | -DCALLS=1 -DTIMEOUTS=1 -DBREAK_TOMB2
deliver_timeout | caught   | -DCALLS=1 -DTIMEOUTS=1 -DBREAK_WRITING
deliver_timeout | caught   | -DCALLS=1 -DTIMEOUTS=1 -DBREAK_DEDUP
deliver_timeout | caught   | -DCALLS=1 -DTIMEOUTS=1 -DBREAK_RECYCLE
deliver_timeout | caught   | -DCALLS=1 -DTIMEOUTS=1 -DBREAK_NOINC
deliver_timeout | caught   | -DCALLS=1 -DKILLS=0 -DTIMEOUTS=1 -DBREAK_ELSEWHERE
deliver_timeout | caught   | -DCALLS=2 -DKILLS=0 -DTIMEOUTS=0 -DAGAINS=0 -DBREAK_GATESTORE
evict           | holds    | -DJOBS=2 -DEVICTIONS=1 -DASKS=1 -DKILLS=0
evict           | holds    | -DJOBS=1 -DEVICTIONS=2 -DASKS=0 -DKILLS=1
evict           | holds    | -DJOBS=1 -DEVICTIONS=1 -DASKS=2 -DKILLS=0
evict           | holds    | -DJOBS=1 -DEVICTIONS=1 -DASKS=2 -DUNASKS=1 -DKILLS=0
evict           | caught   | -DJOBS=2 -DEVICTIONS=2 -DASKS=1 -DKILLS=0 -DBREAK_EVICTLOG
evict           | caught   | -DJOBS=2 -DEVICTIONS=2 -DASKS=1 -DKILLS=0 -DBREAK_EVICTROLL
evict           | caught   | -DJOBS=2 -DEVICTIONS=2 -DASKS=1 -DKILLS=0 -DBREAK_NOINC
evict           | caught   | -DJOBS=1 -DEVICTIONS=2 -DASKS=1 -DKILLS=0 -DBREAK_KEPT
evict           | caught   | -DJOBS=2 -DEVICTIONS=2 -DASKS=1 -DKILLS=0 -DBREAK_STORE
evict           | caught   | -DJOBS=2 -DEVICTIONS=2 -DASKS=1 -DKILLS=0 -DBREAK_ROUTE
dead            | holds    | -DFULL=2 -DEVICTIONS=1 -DKILLS=1
dead            | holds    | -DFULL=2 -DEVICTIONS=2 -DKILLS=0
dead            | holds    | -DFULL=1 -DEVICTIONS=1 -DKILLS=2
dead            | caught   | -DFULL=2 -DEVICTIONS=1 -DKILLS=1 -DBREAK_DEADTWICE
dead            | caught   | -DFULL=2 -DEVICTIONS=1 -DKILLS=1 -DBREAK_DEADLOOK
dead            | caught   | -DFULL=2 -DEVICTIONS=1 -DKILLS=1 -DBREAK_CHARGETWICE
dead            | caught   | -DFULL=2 -DEVICTIONS=1 -DKILLS=1 -DBREAK_RING
dead            | caught   | -DFULL=2 -DEVICTIONS=1 -DKILLS=1 -DBREAK_LOOK
bell            | holds    | -DJOBS=2
bell            | no cycle | -DJOBS=1
bell            | caught   | -DBREAK_PENDING
bell            | caught   | -DBREAK_ADD
bell            | caught   | -DBREAK_LOOK
bell            | caught   | -DBREAK_CLEAR
bell            | caught   | -DBREAK_ROUTE
pause           | holds    | -DJOBS=2 -DPAUSES=1 -DASKS=1 -DKILLS=1
pause           | holds    | -DJOBS=1 -DPAUSES=2 -DASKS=1 -DKILLS=1
pause           | holds    | -DJOBS=3 -DPAUSES=1 -DASKS=0 -DKILLS=0
pause           | no cycle | -DJOBS=1 -DPAUSES=1
pause           | caught   | -DBREAK_RING
pause           | caught   | -DBREAK_STALE
pause           | caught   | -DBREAK_ASKED
pause           | caught   | -DJOBS=3 -DPAUSES=1 -DASKS=0 -DBREAK_CLEAR
pause           | caught   | -DKILLS=1 -DBREAK_WISH
space_bell      | holds    | -DROOM=2 -DJOBS=2
space_bell      | holds    | -DROOM=1 -DJOBS=2 -DKILLS=2
space_bell      | no cycle | -DROOM=1 -DJOBS=1
space_bell      | caught   | -DBREAK_CLEAR
space_bell      | caught   | -DBREAK_OPEN
space_bell      | caught   | -DBREAK_OPENWAKE
vigil           | holds    | -DPRODUCERS=2 -DJOBS=1
vigil           | holds    | -DPRODUCERS=1 -DJOBS=2 -DSPURIOUS=2
vigil           | caught   | -DBREAK_RINGER
vigil           | caught   | -DBREAK_ROUSE
vigil           | caught   | -DBREAK_ORDER
vigil           | caught   | -DBREAK_LOOK
vigil           | caught   | -DBREAK_WORK
vigil           | caught   | -DBREAK_PENDING
'

# complaint MODEL WHAT FLAGS: nothing if the search ended as asked; its figures go to file descriptor 3
complaint() {
	local model=$1 what=$2 flags=$3 dir out search=-DSAFETY options=
	dir=$(mktemp -d "$work/XXXXXX") && cd "$dir" || return
	[ "$what" != "no cycle" ] || { search=-DNP options=-l; }
	# shellcheck disable=SC2086 # flags are several words
	if ! spin -a $flags "$root/doc/models/$model.pml" >log 2>&1 ||
		! $cc -O2 -w $search -DCOLLAPSE -DMEMLIM=2048 -DVECTORSZ=2048 -o pan pan.c >>log 2>&1; then
		cat log
		return
	fi
	# shellcheck disable=SC2086
	out=$(./pan -m1000000 $options 2>&1)
	rm -rf "$dir"
	sed -nE 's/^ *([0-9.e+]+) states, stored.*/\1 states/p; s/^ *([0-9.]+)\ttotal actual memory usage/\1 MiB/p;
		s/^pan: elapsed time ([0-9.e+-]+) seconds/\1 s/p' <<<"$out" | paste -sd, >&3
	if [ "$what" = caught ]; then
		grep -qE '^pan:1: (assertion violated|invalid end state)' <<<"$out" || echo "$out"
	elif ! grep -q 'errors: 0$' <<<"$out" || grep -qE 'max search depth too small|MEMLIM|truncated' <<<"$out"; then
		echo "$out"
	fi
}

# search N ROW: leaves $work/N.out and $work/N.figures
search() {
	local model what flags
	IFS='|' read -r model what flags <<<"${2//[[:space:]]|/|}"
	complaint "${model// /}" "$(xargs <<<"$what")" "$flags" >"$work/$1.out" 3>"$work/$1.figures"
}
export -f complaint search

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export work root cc
mapfile -t rows < <(grep -E "^${only:-[a-z_]+} *\|" <<<"$table")

if ! command -v spin >/dev/null; then
	for row in "${rows[@]}"; do skip "$(tr -s ' ' <<<"${row//|/}")" "spin: spin is not installed"; done
	finish
fi
for i in "${!rows[@]}"; do printf '%s\0%s\0' "$i" "${rows[$i]}"; done |
	xargs -0 -P2 -n2 bash -c 'search "$1" "$2"' search
for i in "${!rows[@]}"; do
	if [ -f "$work/$i.figures" ]; then
		result "$(tr -s ' ' <<<"${rows[$i]//|/}")" "$(cat "$work/$i.out")"
		echo "# $(cat "$work/$i.figures")"
	else
		result "${rows[$i]}" "the search did not run"
	fi
done
finish
