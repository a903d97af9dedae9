#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    a fleet whose turn has not come (After=) has no worker, whatever an operator asks for meanwhile, and
#         starts as it was asked for when it comes.
# Method  one that waits for a fleet which gets ready only when a file is there.
. "$(dirname "$0")/lib.sh"

mkdir -p "$tmp/root/etc/rekindle"
conf=$tmp/root/etc/rekindle/turns.conf
gate=$build/tests/system/test_worker
cat >"$tmp/gate" <<IN
#!/bin/sh
until [ -e "$tmp/open" ]; do read -r _ <"$tmp/never" || :; done
exec "$gate"
IN
chmod +x "$tmp/gate"
mkfifo "$tmp/never"
exec 8<>"$tmp/never"

# write MORE: what the file says, with MORE of the fleet that waits
write() {
	echo "[Fleet gate]
Exec=$tmp/gate
StartTimeout=1h
Workers=1
[Fleet late]
Exec=$wordcount
Workers=1
After=gate
$1" >"$conf"
}

# late: the processes of the fleet that waits
late() {
	pgrep -P "$keeper" -f "^$wordcount\$"
}

write ""
lines 4 "$tmp/run" "$rekindle" run --config turns --root "$tmp/root"
keeper=$!
until "$rekindle" events --all 2>/dev/null | grep -q 'worker started'; do :; done

run scale --name turns/late 3 --no-wait
expect "a fleet that waits for its turn can be scaled" 0 ''
run restart --name turns/late
expect "but not restarted" 1 'late does not run: it waits for its turn'
write "Environment=A=1"
run reload turns --no-wait
expect "a reload says so, and who gets the new values" 0 'late: gets the new values when it starts'
result "none of this starts a worker of it" "$(late)"

: >"$tmp/open"
echo >&8
run status --name turns/late --wait=20s
expect "its turn comes, and it has as many as were asked for" 0 '3 of 3 ready'
result "with the new values" "$([ "$(for pid in $(late); do tr '\0' '\n' <"/proc/$pid/environ" | grep -x A=1; done | wc -l)" = 3 ] || late)"
run stop turns
expect "and stops" 0 'stopped turns'
finish
