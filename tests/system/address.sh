#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    of a fleet with addresses, `rekindle key`, the library and the map file say the same of each
#         key: its endpoint stays over restarts and moves only as far as a scaling has to; a worker
#         that is not ready is marked, who waits for it is woken, and the file is never half written.
# Method  real fleets of wordcount, whose addresses are but words: nobody connects. Commands,
#         a client of the library and a map that is followed are asked before and behind kills, stops,
#         scalings, the supervisor's death and the fleet's end. Nothing waits by the clock: what shall
#         come is looked for until it is there.
. "$(dirname "$0")/lib.sh"

locate=$build/tests/system/locate
map=$tmp/map
keys=(k{1..60})

# becomes COMMAND…: tries until it succeeds, 20 s at most
becomes() {
	local end=$((SECONDS + 20))
	until "$@"; do [ $SECONDS -lt $end ] || return 1; done
}

# equal NAME HAVE WANT
equal() {
	result "$1" "$([ "$2" = "$3" ] || echo "'$2' instead of '$3'")"
}

# spread FILE: "PARTITION ENDPOINT" of a map of 256 partitions
spread() {
	local range endpoint first last p
	while read -r range endpoint _; do
		[ "$range" != '#' ] || continue
		first=$((16#${range:0:2})) last=$((16#${range:17:2}))
		for ((p = first; p <= last; p++)); do echo "$p $endpoint"; done
	done <"$1"
}

# states FILE: "ENDPOINT STATE", each once
states() {
	sed '/^#/d;s/^[^ ]* //' "$1" | sort -u | xargs
}

# has_settled WORDS: states of the followed map
has_settled() {
	[ "$(states "$map" 2>/dev/null)" = "$1" ]
}

# key_of WORKER: a key that belongs to it
key_of() {
	"$rekindle" key "${keys[@]}" | awk -v w="$1" '$3 == w { print $1; exit }'
}

pid_of() {
	"$rekindle" get "$1" | awk -v w="$1" '$1 == w { print $3 }'
}

# ---- what is said of a key ----------------------------------------------------------------------

start carts 3 7 --set Port=7000 --set MoveAfter=10min --set OnPaused=report
run status --wait
run key k1
expect "key shows the endpoint" 0 "^k1 +[0-9]+ +[0-2] +[0-9]+  ready.*  127\.0\.0\.1:700[0-2]$"
worker=$(awk 'END { print $3 }' <<<"$out")
equal "in a column behind the others: the fourth is the pid still" "$(awk 'END { print $4 }' <<<"$out")" "$(pid_of "$worker")"
run key --address k1
expect "key --address prints nothing else" 0 "^127\.0\.0\.1:700$worker$"
run key k1 -o json
expect "and JSON has it" 0 "\"endpoint\":\"127.0.0.1:700$worker\",\"endpoint_state\":\"ready\""
before=$("$rekindle" key --address "${keys[@]}")
equal "every worker has some" "$(sort -u <<<"$before" | xargs)" "127.0.0.1:7000 127.0.0.1:7001 127.0.0.1:7002"
equal "the library says the same" "$(printf '%s\n' "${keys[@]}" | "$locate" carts)" \
	"$("$rekindle" key "${keys[@]}" | awk 'NR > 1 { print $6, "ready", $2, $3 }')"

"$rekindle" map >"$tmp/once"
equal "map says how keys are hashed" "$(sed -n '/^#/s/[0-9a-f]\{16\}/SEED/p;/^#/!d' "$tmp/once" | sort -u | xargs)" "# seed SEED"
equal "and whose it is" "$(sed -n 1,3p "$tmp/once" | tr '\n' ,)" "# rekindle map 1,# fleet carts,# hash xxh3-64,"
equal "its lines cover all of 256 partitions" "$(spread "$tmp/once" | wc -l)" 256
equal "and say where they live" "$(spread "$tmp/once" | sort)" \
	"$("$rekindle" key x{1..4000} | awk 'NR > 1 { print $2, $6 }' | sort -u)"

# ---- the followed map, restarts -----------------------------------------------------------------

lines 8 "$tmp/follow.err" "$rekindle" map -f --file "$map"
follower=$!
becomes test -s "$map"
equal "map -f writes the same" "$(cat "$map")" "$(cat "$tmp/once")"

# Reads as fast as it can: a file that is not whole is left in $tmp/torn.
reader() {
	local text n=0
	until [ -e "$tmp/enough" ]; do
		text=$(cat "$map"; echo x)
		[[ $text == "# rekindle map 1"$'\n'*"-ffffffffffffffff 127.0.0.1:"????" "@(ready|wait)$'\nx' ]] ||
			printf '%s\n' "$text" >>"$tmp/torn"
		n=$((n + 1))
	done
	echo "$n" >"$tmp/read"
}
shopt -s extglob
: >"$tmp/torn"
reader &
started[$!]=
reader=$!
coproc HELD { exec "$locate" carts 20000; }
held=$HELD_PID
started[$held]=
eval "exec 9>&${HELD[1]} 6<&${HELD[0]}"
for i in {1..12}; do
	victim=$(pid_of $((i % 3)))
	kill -KILL "$victim"
	becomes test "$(pid_of $((i % 3)))" != "$victim"
	echo "$(key_of 0)" >&9
	read -r -t 30 -u 6 line || line=none
	[[ $line == "127.0.0.1:7000 ready "* ]] || echo "$line" >>"$tmp/held.wrong"
done
run status --wait
becomes has_settled "127.0.0.1:7000 ready 127.0.0.1:7001 ready 127.0.0.1:7002 ready"
equal "keys stay with their endpoint over restarts" "$("$rekindle" key --address "${keys[@]}")" "$before"
equal "and the map says what it did" "$(cat "$map")" "$(cat "$tmp/once")"
result "a handle of the library that was opened before says so, too" "$(cat "$tmp/held.wrong" 2>/dev/null)"

inode=$(stat -c %i "$map")
for i in {1..20}; do "$rekindle" call "c$i" >/dev/null; done # clients that come and go are a view each
equal "what does not change the map does not touch the file" "$(stat -c %i "$map")" "$inode"

# ---- a worker that is stopped -------------------------------------------------------------------

key1=$(key_of 1)
run stop 1
becomes has_settled "127.0.0.1:7000 ready 127.0.0.1:7001 wait 127.0.0.1:7002 ready"
equal "a stopped worker is marked" "$(states "$map")" "127.0.0.1:7000 ready 127.0.0.1:7001 wait 127.0.0.1:7002 ready"
equal "and nothing but the state of its lines has changed" "$(diff "$tmp/once" "$map" | sed -n 's/^[<>] //p' | cut -d' ' -f2- | sort -u | xargs)" \
	"127.0.0.1:7001 ready 127.0.0.1:7001 wait"
equal "a line for each that there was" "$(cut -d' ' -f1,2 "$map")" "$(cut -d' ' -f1,2 "$tmp/once")"
run key "$key1" -o json
expect "key says so, too" 0 '"endpoint":"127.0.0.1:7001","endpoint_state":"wait"'
run key --address "$key1"
expect "and where it will be" 0 "^127\.0\.0\.1:7001$"
run key --address --wait=100ms "$key1"
expect "key --wait: the time is up" 4 "worker 1, which owns the key '$key1', is not ready: stopped"
equal "and it prints no address then" "$out" ""
equal "the library's wait says the same" "$("$locate" carts 50 <<<"$key1" | cut -d' ' -f1-3)" "late 127.0.0.1:7001 wait"
run key --address --wait=10s "$(key_of 0)"
expect "others are not waited for" 0 "^127\.0\.0\.1:7000$"
lines 5 "$tmp/wait.err" "$rekindle" key --address --wait=30s "$key1"
waiter=$!
echo "$key1" >&9
is_asleep() { [[ $(sed 's/.*) //' "/proc/$1/stat") == S* ]]; }
becomes is_asleep "$waiter"
becomes is_asleep "$held"
run start 1
reap "$waiter"
equal "key --wait is woken when it is back" "$? $(cat <&5)" "0 127.0.0.1:7001"
read -r -t 30 -u 6 line || line=none
equal "and so is who waits in the library" "$(cut -d' ' -f1,2 <<<"$line")" "127.0.0.1:7001 ready"
becomes has_settled "127.0.0.1:7000 ready 127.0.0.1:7001 ready 127.0.0.1:7002 ready"
equal "the map is as it was" "$(cat "$map")" "$(cat "$tmp/once")"

# ---- the supervisor's death, scaling --------------------------------------------------------------

supervisor=$("$rekindle" status -o json | sed -n 's/.*"supervisor_pid": *\([0-9]*\).*/\1/p')
kill -KILL "$supervisor"
run status --wait
run scale 4
becomes has_settled "127.0.0.1:7000 ready 127.0.0.1:7001 ready 127.0.0.1:7002 ready 127.0.0.1:7003 ready"
cp "$map" "$tmp/four"
moved=$(diff <(spread "$tmp/once") <(spread "$tmp/four") | sed -n 's/^> //p')
equal "behind the supervisor's death the map goes on; scaling up moves partitions to the new worker alone" \
	"$(cut -d' ' -f2 <<<"$moved" | sort -u)" 127.0.0.1:7003
result "of which it gets its share" "$(n=$(wc -l <<<"$moved"); [ "$n" -ge 48 ] && [ "$n" -le 80 ] || echo "$n of 256")"
run scale 3
becomes has_settled "127.0.0.1:7000 ready 127.0.0.1:7001 ready 127.0.0.1:7002 ready"
equal "scaling down moves its partitions alone" \
	"$(diff <(spread "$tmp/four") <(spread "$map") | sed -n 's/^< //p' | sort)" "$(sort <<<"$moved")"
touch "$tmp/enough"
reap "$reader"
equal "the file was never seen half written" "$(head -c 2000 "$tmp/torn")" ""
result "by a reader that read it often enough" "$([ "$(cat "$tmp/read")" -gt 100 ] || cat "$tmp/read")"

# ---- the lookup in another language ---------------------------------------------------------------

sed -n '/^```python/,/^```$/{/^```/!p}' doc/address.md >"$tmp/lookup.py"
python=
for p in python3 /usr/bin/python3; do ! "$p" -c 'import xxhash' 2>/dev/null || python=$p; done
if [ -z "$python" ]; then
	skip "the lookup of doc/address.md finds the same" "python: python3-xxhash is not installed"
else
	equal "the lookup of doc/address.md finds the same" "$("$python" "$tmp/lookup.py" "$map" "${keys[@]}")" \
		"$("$rekindle" key --address "${keys[@]}" | sed 's/$/ ready/')"
fi

# ---- the end --------------------------------------------------------------------------------------

spread "$map" >"$tmp/last"
run stop
reap "$keeper"
reap "$follower"
equal "map -f ends with the fleet" "$? $(cat "$tmp/follow.err")" "0 "
equal "and marks every line" "$(states "$map")" "127.0.0.1:7000 gone 127.0.0.1:7001 gone 127.0.0.1:7002 gone"
equal "which says who had the keys" "$(spread "$map")" "$(cat "$tmp/last")"
equal "beside it nothing is left" "$(cd "$tmp" && echo map*)" map
echo k1 >&9
read -r -t 30 -u 6 line || line=none
equal "the library says that nobody has them" "$(cut -d' ' -f2 <<<"$line")" none
exec 9>&- 6<&- {HELD[1]}>&- {HELD[0]}<&-
reap "$held"
run map
expect "map without a fleet" 3 "no fleet is running"
run key --wait k1
expect "key --wait without one" 3 "no fleet is running"
run_program "$locate" carts </dev/null
expect "the library's handle without one" 1 "No such file or directory: no fleet"

# ---- other addresses, none ------------------------------------------------------------------------

start sockets 1 7 --set 'Socket=/run/%f-%i.sock'
run key --address --wait k
expect "a socket" 0 "^unix:/run/sockets-0\.sock$"
run stop
reap "$keeper"
start named 1 7 --set Port=7000 --set 'Address=tcp://%f.example:%p/%i%%'
run key --address --wait k
expect "an address of one's own" 0 "^tcp://named\.example:7000/0%$"
run map --file "$tmp"
expect "a map that cannot be written" 1 "cannot write '$tmp': Is a directory"
run map -f
expect "-f wants a file" 64 "name it with --file"
run stop
reap "$keeper"
start plain 1 7
run key k
expect "a fleet without addresses shows none" 0 "  STATE$"
run key --address k
expect "and says what gives it some" 1 "fleet 'plain' has no addresses: Port="
run map
expect "so does map" 1 "has no addresses"
run_program "$locate" plain </dev/null
expect "and the library" 1 "has no addresses"
run stop
reap "$keeper"
finish
