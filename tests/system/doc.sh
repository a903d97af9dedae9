#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    what doc/supervision.md shows of each strategy, and of the supervisor's death and
#         upgrades, happens as it stands there.
# Method  takes the indented blocks out of the page and runs them as typed, in one shell, but for
#         /tmp/rk-doc, which is a directory of the test's. A block that ends in comments shows what
#         its last command prints: that is asked until it does, 20 s at most, since people type
#         slower than a worker starts. Then the fleet is stopped.
. "$(dirname "$0")/lib.sh"

page=$root/doc/supervision.md

# indented: the indented blocks of standard input, a NUL behind each
indented() {
	awk '
		/^    / { sub(/^    /, ""); print; is_in = 1; next }
		is_in { printf "%c", 0; is_in = 0 }' | sed "s,/tmp/rk-doc,$tmp/r,g"
}

# blocks: those of the page's beginning and of its strategies
blocks() {
	awk '
		/^\*\*Only after|^\*\*Faster|^\*\*In a storm|^\*\*At once/ { is_off = 1 }
		/^\*\*With whom/ { is_off = 0 }
		/^A fleet has failed/ { exit }
		!is_off' "$page" | indented
}

# shown COMMAND EXPECTED: asks until it prints that; what it printed if it does not
shown() {
	local printed end=$((SECONDS + 20))
	until printed=$(eval "$1" 2>&1) && [ "$printed" = "$2" ]; do
		[ $SECONDS -lt $end ] || { echo "$1 prints:" "$printed" "and not:" "$2"; return; }
	done
}

# The last process that the block has put into the background, if any, is to be reaped.
n_shown=0
within= between=
mapfile -d '' -t all_blocks < <(blocks)
for block in "${all_blocks[@]}"; do
	expected=$(sed -n 's/^# //p' <<<"$block")
	commands=$(grep -v '^# ' <<<"$block")
	if [ -z "$expected" ]; then
		eval "$commands"
		export PATH=$build:$PATH # wherever that is
		wordcount=$build/workers/examples/wordcount
		continue
	fi
	last=$(tail -n 1 <<<"$commands")
	eval "$(sed '$d' <<<"$commands")" >"$tmp/said" 2>&1
	keeper=$!
	started[$keeper]=
	strategy=$(grep -oE '(one|rest)-for-(one|all)' <<<"$commands")
	result "$strategy: $(tr '\n' ',' <<<"$expected")" "$(shown "$last" "$expected")"
	n_shown=$((n_shown + 1))
	case $commands in *shop*) between="$between $strategy" ;; *) within="$within $strategy" ;; esac
	run stop
	reap "$keeper"
done
result "every strategy is shown, within a fleet and between fleets" \
	"$(for s in "$within" "$between"; do [ "$s" = " one-for-one one-for-all rest-for-one" ] || echo "shown:$s"; done)"

n_shown=0
mapfile -d '' -t all_blocks < <(sed -n "/^## The supervisor's own death/,/^## What an operator/p" "$page" | indented)
for block in "${all_blocks[@]}"; do
	expected=$(sed -n 's/^# //p' <<<"$block")
	commands=$(grep -v '^# ' <<<"$block")
	if [ -z "$expected" ]; then
		eval "$commands"
		keeper=$!
		started[$keeper]=
		continue
	fi
	eval "$(sed '$d' <<<"$commands")" >"$tmp/said" 2>&1
	result "shown: $(tr '\n' ',' <<<"$commands")" "$(shown "$(tail -n 1 <<<"$commands")" "$expected"; grep -i 'rekindle: ' "$tmp/said" | grep -v 'supervisor was replaced')"
	n_shown=$((n_shown + 1))
done
run stop
reap "$keeper"
result "the supervisor's death and an upgrade are shown" "$([ "$n_shown" = 4 ] || echo "shown: $n_shown")"
result "nothing is left" "$(pgrep -P $$ -f rekindled; ls "$tmp/r" | grep -vx shop.conf)"
finish
