#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    programs as they are, as a service of a real systemd: they run in the unit's sandbox, keep their state where
#         the unit keeps it, outlive keeper and supervisor with the sockets that are held for them, and leave nothing.
# Method  a container with a systemd of its own (box.sh), and the real packages in it.
. "$(dirname "$0")/service.sh"

box_up "$files" unified || { skip "programs under systemd" "systemd: $box_reason"; finish; }
for program in redis-server redis-cli jq python3; do
	command -v $program >/dev/null || { skip "programs under systemd" "$program: $program is not installed"; finish; }
done
unit=rekindle@shop
python=/usr/bin/python3 # not one below /root, which no service sees

put /usr/local/libexec/served "import socket, sys
held = socket.socket(fileno=3)
while True:
    connection, _ = held.accept()
    connection.sendall(connection.recv(100))
    connection.close()"
put /etc/rekindle/shop.conf "[Fleet redis]
Preset=redis
Workers=2
Port=7950
Exec=redis-server --port %p
[Fleet filter]
Preset=jq
Workers=1
Exec=jq --unbuffered -c .
[Fleet served]
Kind=tcp
Workers=1
Port=7960
Listen=127.0.0.1:%p
ListenAs=fd
Send=hello
Expect=hello
Exec=$python /usr/local/libexec/served"

# ask: whether each of them answers; what does not
ask() {
	[ "$(box redis-cli -p 7950 ping 2>&1)" = PONG ] || echo "redis 0 does not answer"
	[ "$(box redis-cli -p 7951 ping 2>&1)" = PONG ] || echo "redis 1 does not answer"
	[ "$(box rekindle call --name shop/filter k '{"a": 1}' 2>&1)" = '{"a":1}' ] || echo "the filter does not answer"
	[ "$(box sh -c 'echo hey | nc -N 127.0.0.1 7960' 2>&1)" = hey ] || echo "what is served does not answer"
}

# programs: the pids of all of them
programs() {
	box pgrep -u rekindle -x 'redis-server|jq|python3|rekindle-bridge' | sort -n | xargs
}

ready() {
	for fleet in redis filter served; do box rekindle status "shop/$fleet" --wait=20s 2>&1 >/dev/null; done
}

equal "systemd starts the service" "$(box systemctl start $unit 2>&1)" ""
equal "all get ready" "$(ready)" ""
equal "each answers" "$(ask)" ""
equal "redis keeps its state where the unit keeps it, each worker its own" \
	"$(box redis-cli -p 7950 save; box redis-cli -p 7951 save; box sh -c 'cd /var/lib/rekindle/shop && echo */dump.rdb')" \
	"OK
OK
redis-0/dump.rdb redis-1/dump.rdb"

before=$(programs)
keeper=$(show MainPID)
box systemctl kill --kill-whom=main -s KILL $unit
end=$((SECONDS + 10))
while now=$(show MainPID) && [ "$now" = "$keeper" -o "$now" = 0 ] && [ $SECONDS -lt $end ]; do :; done
equal "keeper is killed: all get ready" "$(ready)" ""
equal "with the same processes" "$(programs)" "$before"
equal "and answer" "$(ask)" ""

# What a bridge has left is a child of systemd's now, which is not keeper.
redis=$(box pgrep -u rekindle -f 'redis-server.*7950')
bridge=$(box sh -c "ps -o ppid= -p $redis" | tr -d ' ')
box kill -KILL "$bridge"
end=$((SECONDS + 15))
until [ "$(box redis-cli -p 7950 ping 2>&1)" = PONG ] && ! box kill -0 "$redis" 2>/dev/null || [ $SECONDS -ge $end ]; do :; done
equal "a bridge is killed behind that: its redis is another one" \
	"$(box pgrep -u rekindle -f 'redis-server.*7950' | wc -l) $(box kill -0 "$redis" 2>&1 | grep -c 'No such')" "1 1"
equal "all get ready again" "$(ready)" ""
equal "and answer again" "$(ask)" ""

equal "a stop" "$(box systemctl stop $unit "rekindle-sweep@shop" 2>&1)" ""
equal "leaves nobody" "$(box pgrep -a -u rekindle)" ""
equal "but what redis has saved" "$(box sh -c 'cd /var/lib/rekindle/shop && echo */dump.rdb')" "redis-0/dump.rdb redis-1/dump.rdb"
finish
