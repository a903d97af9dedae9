#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    the roles of the control socket: who may be a client, operate, or neither, for each of its
#         verbs and for each segment, with supervisor, worker and client of three different users.
# Method  real fleets of wordcount with the programs of $BUILD and processes of other users that ask
#         for what is not theirs. The verbs are those of the supervisor's tables. Needs root.
. "$(dirname "$0")/serve.sh"

if [ -z "$is_root" ]; then
	skip "roles" "user: needs root"
	finish
fi
if ! as_other test -x "$wordcount"; then
	skip "roles" "user: others cannot enter the build directory"
	finish
fi

# verbs ROLE: what the product has for it
verbs() {
	cat supervisor/*.c | grep -oE "\\{ \"[a-z-]+\", RK_VERB_$1, verb_" | cut -d'"' -f2
}
use_verbs=$(verbs USE)
admin_verbs=$(verbs ADMIN)
equal "what is for clients" "$(sort <<<"$use_verbs" | xargs)" "address close open ping read"
equal "every verb has a role" "$(wc -w <<<"$use_verbs $admin_verbs")" "$(cat supervisor/*.c | grep -cE '^static int verb_[a-z_]+\(struct rk_(verb|control)_request \*q, struct rk_err \*err\)$')"

# request VERB: with arguments that would do
request() {
	echo "{\"verb\":\"$1\",\"abi\":$abi,\"worker\":0,\"workers\":1,\"kind\":\"kill\"}"
}

export REKINDLE_NAME=spawn
socket=$tmp/r/spawn/control
as_group() {
	setpriv --reuid=65533 --regid=65533 --groups=1 --inh-caps=-all "$@"
}
as_foreign() {
	setpriv --reuid=65532 --regid=65532 --clear-groups --inh-caps=-all "$@"
}

ready ""
run_program as_other "$rekindle" call apple
expect "without ClientUser nobody else gets at the socket" 77 '[Pp]ermission denied'
equal "its directory is ours alone" "$(stat -c %a "$tmp/r/spawn")" 700
stop

ready "ClientUser=65534
ClientGroup=daemon
SocketMode=0666"
equal "SocketMode" "$(stat -c '%a' "$socket")" 666
equal "the socket belongs to ClientUser and ClientGroup" "$(stat -c '%u %g' "$socket")" "65534 1"
result "directories can be passed, not listed" "$([ "$(stat -c %a "$tmp/r/spawn") $(stat -c %a "$tmp/r")" = "711 711" ] ||
	stat -c %a "$tmp/r/spawn" "$tmp/r")"
for who in as_other as_group; do
	run_program $who "$rekindle" call apple
	expect "$who: may call" 0 '^[0-9]+$'
	run_program $who "$rekindle" stop
	expect "$who: may not stop" 77 "is for root and the owner"
	run_program $who "$rekindle" logs
	expect "$who: may not see the logs" 77 "is for root and the owner"
	run_program $who "$rekindle" status
	expect "$who: may not see what workers do" 77 "you are a client"
	run_program $who "$probe" ask "$socket" '{"verb":"ping"}'
	expect "$who: may ping" 0 '"ok":true'
	run_program $who "$probe" ask "$socket" "{\"verb\":\"read\",\"abi\":$abi}"
	expect "$who: reads the board, and gets no other segment" 0 '"ok":true.* 2$'
	run_program $who "$rekindle" key apple
	expect "$who: may see who owns a key" 0 '^apple +[0-9]+ +0 +[0-9]+  ready'
	run_program $who "$probe" ask "$socket" "{\"verb\":\"open\",\"abi\":$abi}"
	expect "$who: opens with what a client needs" 0 '"ok":true.* 4$'
done
for verb in $admin_verbs; do
	run_program as_other "$probe" ask "$socket" "$(request "$verb")"
	expect "a client may not operate: $verb" 0 "^\\{\"ok\":false,\"code\":\"EPERM\".*'$verb' is for root and the owner.* 0\$"
done
for verb in $use_verbs $admin_verbs nonsense; do
	run_program as_foreign "$probe" ask "$socket" "$(request "$verb")"
	expect "a foreign uid is refused: $verb" 0 '^(cut off|\{"ok":false,"code":"EPERM".* 0)$'
done
run status --check
expect "none of that harmed the fleet" 0 ''
stop
rm -rf "$tmp/r"

ready "ClientGroup=daemon
SocketMode=0660"
equal "ClientGroup alone: the directory is the group's to pass" "$(stat -c '%a %g' "$tmp/r/spawn")" "710 1"
run_program as_group "$rekindle" call apple
expect "a member may call" 0 '^1$'
run_program as_foreign "$rekindle" call apple
expect "nobody else gets at the socket" 77 '[Pp]ermission denied'
stop
rm -rf "$tmp/r"

printf '[Fleet a]\nExec=%s\nWorkers=1\nClientUser=65534\n[Fleet b]\nExec=%s\nWorkers=1\n' \
	"$wordcount" "$wordcount" >"$tmp/spawn.conf"
serve
sees "fleet b" >/dev/null
run_program as_other "$rekindle" call --name spawn/a apple
expect "one of two fleets: its client may call" 0 '^1$'
run_program as_other "$rekindle" call --name spawn/b apple
expect "but not the other's workers" 77 "may not use fleet 'b'"
stop
serve_text() { printf '[Fleet a]\nExec=%s\nWorkers=1\n%s\n' "$wordcount" "$1" >"$tmp/spawn.conf"; }
serve_text ""
serve
sees "fleet a" >/dev/null
run_program as_other "$rekindle" call apple
expect "nobody else may call" 77 '[Pp]ermission denied'
serve_text "ClientUser=65534"
run reload
expect "a reload lets ClientUser in" 0 'ClientUser= -> 65534 \(now\)'
run_program as_other "$rekindle" call apple
expect "who may call from then on" 0 '^1$'
serve_text ""
run reload
expect "and another one takes that back" 0 'ClientUser=65534 -> '
run_program as_other "$rekindle" call apple
expect "from those that connect behind it" 77 '[Pp]ermission denied|may not use'
stop
printf '[Fleet a]\nExec=%s\nClientUser=65534\n[Fleet b]\nExec=%s\nClientUser=65533\n' \
	"$wordcount" "$wordcount" >"$tmp/spawn.conf"
run check "$tmp/spawn.conf"
expect "two fleets that disagree about their socket are a mistake" 78 "spawn\.conf:6: ClientUser=65533: fleet 'a' says 65534"

# ---- three users ------------------------------------------------------------------------------

# Root's supervisor, nobody's worker, a client that is neither. From its second process on the
# worker asks for everything before it attaches, with all that it has inherited.
printf '#!/bin/sh\nif [ -e %s ]; then for verb in %s; do\n\t%s ask %s "{\\"verb\\":\\"$verb\\",\\"abi\\":%s,\\"worker\\":0}" 2>&1\ndone >%s\nfi\nexec %s\n' \
	"$tmp/asks" "$(xargs <<<"$use_verbs $admin_verbs")" "$probe" "$socket" "$abi" "$tmp/asked" "$wordcount" >"$tmp/curious"
chmod +x "$tmp/curious"
: >"$tmp/asked"
chmod 666 "$tmp/asked"
exec=$tmp/curious
ready "User=nobody
ClientGroup=daemon
SocketMode=0666"
run_program as_group "$rekindle" call apple
expect "three users: the client may call" 0 '^1$'
supervisor=$("$rekindle" status -o json | sed -n 's/.*"supervisor_pid":\([0-9]*\).*/\1/p')
equal "keeper's, supervisor's, worker's uid" "$(for p in "$keeper" "$supervisor" "$pid"; do stat -c %u "/proc/$p"; done | xargs)" "0 0 65534"
touch "$tmp/asks"
kill -KILL "$pid"
sees 'worker 0 .*SIGKILL: ' >/dev/null
run_program as_group "$rekindle" call apple
expect "and goes on behind the worker's death" 0 '^2$'
equal "the worker has asked for all verbs" "$(grep -c . "$tmp/asked")" "$(wc -w <<<"$use_verbs $admin_verbs")"
equal "and each was refused" "$(grep -vE '^(cut off|\{"ok":false,"code":"EPERM".* 0)$' "$tmp/asked")" ""
for verb in $admin_verbs; do
	run_program as_group "$probe" ask "$socket" "$(request "$verb")"
	expect "three users: the client may not: $verb" 0 "^\\{\"ok\":false,\"code\":\"EPERM\".*'$verb' is for root and the owner.* 0\$"
done
run_program as_group "$probe" segments "$socket" "$(request open)"
equal "a client gets these segments, and cannot get more of them by opening them again" "$(sed 1d <<<"$out")" \
"board read-only
calls read-write
queues read-write
readers read-write"
run_program as_group "$probe" segments "$socket" "$(request read)"
equal "and a reader these" "$(sed 1d <<<"$out")" \
"board read-only
readers read-write"
run_program as_group "$probe" segments "$socket" "$(request address)"
equal "and who asks for addresses this" "$(sed 1d <<<"$out")" "board read-only"
pid=$("$rekindle" get 0 -o json | sed -n 's/.*"pid":\([0-9]*\).*/\1/p')
# opened PREFIX…: how many of the segments that the processes hold can be opened by way of them
opened() {
	"$@" sh -c 'for f; do (: 3<>"$f") 2>/dev/null && echo "$f"; done' sh $descriptors | wc -l
}
descriptors=$(find "/proc/$keeper/fd" "/proc/$supervisor/fd" "/proc/$pid/fd" -lname '/memfd:rekindle-*')
result "root can open segments by way of the processes that hold them" "$([ "$(opened env)" -gt 10 ] || echo "$descriptors")"
equal "the client cannot" "$(opened as_group)" 0
equal "nor can a foreign uid" "$(opened as_foreign)" 0
descriptors=$(find "/proc/$keeper/fd" "/proc/$supervisor/fd" -lname '/memfd:rekindle-*')
equal "nor the worker's user by way of those of root" "$(opened as_other)" 0
run status --check
expect "none of that harmed the fleet" 0 '1 of 1 ready'
stop
exec=$wordcount

finish
