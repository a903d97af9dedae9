#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    Kind=http: jobs are requests to a server that knows nothing of it, keyed, several at a time; what the server
#         refuses is told, what it cannot take now is tried again, and kills lose no job.
# Method  a threaded server in a few lines of python that says which process it is and writes down what it gets; calls,
#         asynchronous ones among them, while the server and its bridge are killed.
. "$(dirname "$0")/wrap.sh"

has http python3 || finish
package=http
cat >"$tmp/server.py" <<'EOF'
import http.server, os, sys, threading, time
log = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
busy = {}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def answer(self, status, text, retry=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        if retry: self.send_header("Retry-After", retry)
        self.end_headers()
        self.wfile.write(text.encode())
    def do_GET(self):
        self.answer(200, "well")
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        key = self.headers["X-Rekindle-Key"]
        os.write(log, (key + " " + body + "\n").encode())
        if body == "bad": return self.answer(404, "no such thing")
        if body == "busy" and busy.setdefault(key, 0) < 2:
            busy[key] += 1
            return self.answer(503, "later")
        if body.startswith("slow"): time.sleep(float(body.split()[1]))
        self.answer(200, key + "=" + body)
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
EOF
choose 2
lines 7 "$tmp/said" "$rekindle" run --name http -n 2 --set Kind=http --set Port="$port" --set HealthPath=/health \
	--set ProbeInterval=100ms --set ProbeTimeout=1s --set MaxClients=64 --set Slots=64 -- python3 "$tmp/server.py" %p "$tmp/log"
keeper=$!
await 7 ": fleet http, "
result "it is ready when the server is" "$([ -n "$line" ] || echo "it is not")"

run call --name http user:7 hello
expect "a job is a request, its key in a header" 0 '^user:7=hello$'
run call --name http 'a key/with ü' hello
expect "a key that a header cannot hold is encoded" 0 '^a key/with %C3%BC=hello$'
run call --name http user:7 bad
expect "an error of the server is the caller's" 1 'EREMOTEIO'
run call --name http user:8 busy
expect "503 is tried again" 0 '^user:8=busy$'
result "as often as it takes" "$([ "$(grep -c '^user:8 busy$' "$tmp/log")" = 3 ] || cat "$tmp/log")"
run call --name http --timeout=300ms user:9 'slow 2'
expect "a deadline is kept" 4 ''
run call --name http user:7 again
expect "behind it all goes on" 0 '^user:7=again$'

# Several at a time, of one key too.
callers=()
begun=$(date +%s%N)
for i in 1 2 3 4 5 6; do
	"$rekindle" call --name http same "slow 0.5 $i" >"$tmp/slow.$i" 2>&1 &
	callers+=($!)
	started[$!]=
done
for pid in "${callers[@]}"; do reap "$pid"; done
took=$((($(date +%s%N) - begun) / 1000000))
result "six slow requests of one key are under way at once" \
	"$([ $took -lt 2900 ] && [ "$(sort "$tmp"/slow.? | uniq | grep -c '^same=slow 0.5')" = 6 ] || { echo "$took ms"; cat "$tmp"/slow.?; })"

# Kills, of server and bridge in turn, while requests come and go.
callers=()
for i in $(seq 40); do
	"$rekindle" call --name http --timeout=20s "k$i" "slow 0.1 $i" >"$tmp/k.$i" 2>&1 &
	callers+=($!)
	started[$!]=
done
for round in 1 2 3; do
	forget
	look 0
	if [ $round = 2 ]; then kill_bridge; else kill_program; fi
	await 7 "worker 0 (pid $b)"
	result "kill $round: nobody of the old tree is left" "$(left)"
done
for pid in "${callers[@]}"; do reap "$pid"; done
result "each of the 40 requests has its own answer" \
	"$(for i in $(seq 40); do [ "$(cat "$tmp/k.$i")" = "k$i=slow 0.1 $i" ] || cat "$tmp/k.$i"; done)"
echo "# $(($(grep -c ' slow 0.1 ' "$tmp/log") - 40)) requests were made more than once"

run stop http
expect "it stops" 0 stopped
reap $keeper
result "and leaves nobody" "$(left)"
finish
