#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    daemons that say by sd_notify(3) when they are ready, redis, gunicorn and haproxy, are ready then and not
#         before, from whichever process of the tree it comes; who is killed has a successor that is ready again,
#         with nobody left of the old tree; who falls silent with WATCHDOG=1 is found.
# Method  Kind=notify over the presets. A shell with systemd-notify's datagrams, where that is installed, says what
#         no daemon says. Waiting is for events.
. "$(dirname "$0")/wrap.sh"

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$((port + $1))") 2>/dev/null; }

# notify OPTION… -- COMMAND…: a fleet that is ready by what it says alone
notify() {
	choose 1
	launch 1 --set Kind=notify --set Send= --set Expect= "$@"
	is_up 1
}

redis() {
	notify -- redis-server --port %p --supervised systemd --loglevel warning --save ""
	survive "SIGKILL of the program" kill_program
	survive "SIGKILL of the bridge" kill_bridge
	planned
	ended 1
}

gunicorn() {
	mkdir -p "$tmp/app"
	printf '%s\n' 'def app(environ, start_response):' '    start_response("200 OK", [])' '    return [b"hello"]' >"$tmp/app/app.py"
	notify -- gunicorn --chdir "$tmp/app" --log-level warning app:app
	survive "SIGKILL of the program" kill_program
	planned
	ended 1
}

haproxy() {
	printf '%s\n' defaults '  mode http' '  timeout client 5s' '  timeout connect 5s' '  timeout server 5s' \
		'frontend web' '  bind fd@3' >"$tmp/haproxy.cfg"
	notify --set Listen=127.0.0.1:%p -- haproxy -Ws -f "$tmp/haproxy.cfg"
	survive "SIGKILL of the master" kill_program
	survive "SIGKILL of the bridge" kill_bridge
	ended 1
}

# A shell that says what a daemon might: ready from a child, signs of life until the file is there, then nothing.
shell() {
	local quiet=$tmp/quiet gate=$tmp/gate
	package=notify
	cat >"$tmp/program" <<-'IN'
		read -r _ <"$1"
		(systemd-notify --ready --status="warming up")
		until [ -e "$2" ]; do systemd-notify WATCHDOG=1 WATCHDOG_USEC=500000; read -r -t 0.05 _ <>"$3"; done
		read -r _ <>"$3"
	IN
	mkfifo "$gate" "$tmp/never"
	answers() { :; }
	choose 1
	lines 7 "$tmp/run.$package" "$rekindle" run --name "$package" -n 1 --set Kind=notify --set StartTimeout=20s \
		-- bash "$tmp/program" "$gate" "$quiet" "$tmp/never"
	keeper=$!
	becomes has_begun
	run status --check "$package"
	expect "notify: who has not said READY=1 is not ready" 1 ''
	echo >"$gate"
	await 7 ": fleet $package, "
	result "notify: READY=1 of a child of the program is heard" "$([ -n "$line" ] || echo "not ready")"
	result "notify: and its STATUS= told" "$(becomes grep -q 'warming up' "$tmp/run.$package" || echo "not told")"
	forget
	look 0
	: >"$quiet"
	# Its successor waits at the gate.
	await 7 "hung"
	rm "$quiet"
	echo >"$gate"
	run status --wait=20s "$package"
	expect "notify: who falls silent after WATCHDOG=1 is replaced" 0 '1 of 1 ready'
	result "notify: and nobody of it is left" "$(left)"
	ended 1
}

has_begun() { "$rekindle" events --all "$package" 2>/dev/null | grep -q 'worker started'; }

! has redis redis-server || redis
! has gunicorn gunicorn || gunicorn
! has haproxy haproxy || haproxy
! has systemd systemd-notify || shell
finish
