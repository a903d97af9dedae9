#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    an ordinary user, without any capability, gets a green `make check` and a true verdict
#         from ten seconds of demo, in a tree of its own.
# Method  run by root: copies tree and build, which name each other by relative paths, to a
#         directory of nobody's and becomes nobody. Run by anybody else: here, as who we are.
. "$(dirname "$0")/../check/lib.sh"

nobody=65534
tmp=$(mktemp -d /tmp/rk-user.XXXXXX)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM HUP
unset REKINDLE_NAME REKINDLE_RUNTIME_DIR XDG_RUNTIME_DIR
tree=$root
build=$(cd "${BUILD:-$root/build}" && pwd) || exit 1
as=()

# copy FROM TO NAME…: everything in FROM but those names, with its times
copy() {
	local from=$1 to=$2 but=() f
	for f in "${@:3}"; do but+=(! -name "$f"); done
	mkdir "$to" && find "$from" -mindepth 1 -maxdepth 1 "${but[@]}" -exec cp -a -t "$to" {} +
}

if [ "$(id -u)" -eq 0 ]; then
	if ! command -v setpriv >/dev/null; then
		skip "an ordinary user" "setpriv: setpriv is not installed"
		finish
	fi
	as=(setpriv "--reuid=$nobody" "--regid=$nobody" --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs)
	tree=$tmp/tree
	copy "$root" "$tree" .git build && copy "$build" "$tree/build" asan tsan fault test-logs || exit 1
	build=$tree/build
	# An older build may name its sources where they were.
	grep -rqF "$root/" "$build" --include='*.Plo' --include='*.Po' && rm -rf "$build"
	chown -R "$nobody:$nobody" "$tmp"
fi
export HOME=$tmp TMPDIR=$tmp REKINDLE_RUNTIME_DIR=$tmp/r

[ "$tree" = "$root" ] || "${as[@]}" "$tree/scripts/build" --tests "$build" >"$tmp/log" 2>&1 </dev/null
result "the tree builds for it" "$([ $? -eq 0 ] || tail -n 20 "$tmp/log")"

"${as[@]}" make -s -C "$build" -j"$(nproc)" check >"$tmp/log" 2>&1 </dev/null
status=$?
result "make check is green" "$([ $status -eq 0 ] || echo "exit status $status"
grep -qE '^# PASS: +[1-9][0-9]{2,}' "$tmp/log" || tail -n 30 "$tmp/log"
grep -E '^(FAIL|ERROR|XPASS)' "$tmp/log")"
grep -E '^# (PASS|SKIP):' "$tmp/log"

"${as[@]}" "$build/rekindle" demo --seconds 10 -o json >"$tmp/out" 2>"$tmp/err" </dev/null
status=$?
result "ten seconds of demo end with a true verdict" "$([ $status -eq 0 ] || echo "exit status $status: $(cat "$tmp/err")"
for member in '"ok":true' '"lost":0' '"doubled":0' '"unanswered":0' '"acknowledged":[1-9]' '"workers":[1-9]' '"clients":[1-9]'; do
	grep -q "$member" "$tmp/out" || echo "no $member in $(cat "$tmp/out")"
done)"
result "nothing is left in the runtime directory" "$(ls -A "$tmp/r" 2>/dev/null)"
finish
