#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    nginx, gunicorn, haproxy and node, as they are installed, are kept alive by their presets, with the socket
#         held: who is killed, as master, child or bridge, or hangs, has a successor that answers, and leaves nobody;
#         of four clients that connect all the time none is refused by a restart or a kill, nor left without an
#         answer by a restart.
# Method  fleets on free ports of this machine; processes are known by number and start. Waiting is for events.
. "$(dirname "$0")/wrap.sh"

# answers SLOT: whether it is ours that answers
answers() { fetch $((port + $1)) && [[ $head == *" 200 "* ]]; }

# fetch PORT: its first line is left in head; 1: refused, 2: no answer
fetch() {
	head=
	{ exec 9<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return 1
	printf 'GET / HTTP/1.0\r\n\r\n' >&9 2>/dev/null
	IFS= read -r -t 10 head <&9 2>/dev/null
	exec 9<&-
	[ -n "$head" ] || return 2
}

# client FILE: connects until FILE.end is there, and writes how often it was answered, refused and cut
client() {
	local n=(0 0 0)
	trap '' PIPE
	until [ -e "$tmp/end" ]; do
		fetch "$port"
		n[$?]=$((n[$?] + 1))
	done
	echo "${n[*]}" >"$1"
}

# under_clients COMMAND…: runs it while four connect; answered, refused and cut are left there
under_clients() {
	local i pids=() a r c
	rm -f "$tmp/end"
	for i in 1 2 3 4; do
		client "$tmp/client.$i" 7<&- &
		pids+=($!)
		started[$!]=
	done
	"$@"
	: >"$tmp/end"
	for i in "${pids[@]}"; do reap "$i"; done
	answered=0 refused=0 cut=0
	for i in 1 2 3 4; do
		read -r a r c <"$tmp/client.$i"
		answered=$((answered + a)) refused=$((refused + r)) cut=$((cut + c))
	done
}

# child: a process of the tree that is neither the bridge nor its program
child() {
	set -- $tree
	[ $# -gt 1 ] || echo "$package has no child" >&2
	kid=$2
}

kill_child() {
	child
	kill -KILL "$kid"
}

stop_all() {
	kill -STOP $tree
}

# held: no connection is refused
held() {
	under_clients planned
	result "$package: none of $answered connections is refused during a restart" \
		"$([ "$refused" = 0 ] && [ "$answered" -ge 4 ] || echo "$refused refused, $cut cut")"
	result "$package: and each is answered" "$([ "$cut" = 0 ] || echo "$cut cut")"
	under_clients survive "SIGKILL of the bridge" kill_bridge
	result "$package: none of $answered is refused during SIGKILL of the bridge" \
		"$([ "$refused" = 0 ] && [ "$answered" -ge 4 ] || echo "$refused refused, $cut cut")"
}

# replaced: a child that is killed is its master's to replace
replaced() {
	forget
	look 0
	child
	seen=(["$kid:$(start_of "$kid")"]=)
	kill -KILL "$kid"
	becomes has_another
	result "$package: SIGKILL of a child: it is gone, the master's other one answers" \
		"$(left; answers 0 || echo "it does not answer")"
	equal "$package: without a restart" "$(restarts 0)" "$1"
}

has_another() {
	[ "$(below "$(bridge 0)" | wc -l)" -ge 2 ] && [ -z "$(left)" ]
}

nginx_() {
	local conf=$tmp/nginx.conf user=
	[ "$(id -u)" -ne 0 ] || user='user root;'
	choose 1
	mkdir -p "$tmp/nginx"
	cat >"$conf" <<-IN
		$user
		worker_processes 2;
		error_log stderr;
		pid $tmp/nginx/pid;
		events { worker_connections 64; }
		http {
			access_log off;
			client_body_temp_path $tmp/nginx/body;
			proxy_temp_path $tmp/nginx/proxy;
			fastcgi_temp_path $tmp/nginx/fastcgi;
			uwsgi_temp_path $tmp/nginx/uwsgi;
			scgi_temp_path $tmp/nginx/scgi;
			server { listen 127.0.0.1:$port; location / { return 200 "hello"; } }
		}
	IN
	launch 1 --set Listen=127.0.0.1:%p -- nginx -e stderr -c "$conf" -g 'daemon off;'
	is_up 1
	replaced 0
	survive "SIGKILL of the program" kill_program
	hang stop_all
	held
	ended 1
}

gunicorn_() {
	mkdir -p "$tmp/app"
	cat >"$tmp/app/app.py" <<-'IN'
		def app(environ, start_response):
		    start_response("200 OK", [("Content-Length", "5")])
		    return [b"hello"]
	IN
	wrap 1 -- gunicorn --chdir "$tmp/app" --workers 2 --log-level warning app:app
	replaced 0
	survive "SIGKILL of the program" kill_program
	hang stop_all
	held
	ended 1
}

haproxy_() {
	local conf=$tmp/haproxy.cfg
	cat >"$conf" <<-'IN'
		global
		    maxconn 100
		defaults
		    mode http
		    timeout client 5s
		    timeout connect 5s
		    timeout server 5s
		frontend web
		    bind fd@3
		    http-request return status 200 content-type text/plain string hello
	IN
	wrap 1 --set Listen=127.0.0.1:%p -- haproxy -db -f "$conf"
	survive "SIGKILL of the program" kill_program
	hang stop_all
	held
	ended 1
	wrap 1 --set Listen=127.0.0.1:%p -- haproxy -Ws -f "$conf"
	survive "SIGKILL of a child" kill_child
	survive "SIGKILL of the master" kill_program
	ended 1
}

node_() {
	cat >"$tmp/server.js" <<-'IN'
		const server = require("http").createServer((request, response) => response.end("hello"));
		server.listen({ fd: 3 });
		process.on("SIGTERM", () => server.close(() => process.exit(0)));
	IN
	wrap 1 --set Listen=127.0.0.1:%p -- node "$tmp/server.js"
	survive "SIGKILL of the program" kill_program
	hang stop_all
	held
	ended 1
}

! has nginx nginx || nginx_
! has gunicorn gunicorn || gunicorn_
! has haproxy haproxy || haproxy_
! has node node || node_
finish
