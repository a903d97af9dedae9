#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    a program that does not keep to lines harms the jobs that it spoils and nobody else: what happened is said
#         with the worker's name and a remedy, a job that ends its program again and again is put aside and its
#         caller told so, other workers go on meanwhile, starts in vain get slower, `stop` stops, nothing is left.
# Method  fleets of two workers of one configuration, all at once. Their program answers each line with itself, and
#         does to the line "bad" what its fleet is called. Programs that cannot even start have fleets of their own.
. "$(dirname "$0")/lib.sh"

cat >"$tmp/filter" <<'SH'
#!/bin/sh
while IFS= read -r line; do
	[ "$line" = bad ] || { printf '%s\n' "$line"; continue; }
	case $1 in
	exits) echo 'I do not like it' >&2; exit 3 ;;
	crashes) kill -SEGV $$ ;;
	open) printf 'no newline' ;;
	late) sleep 4; echo late ;;
	twice) printf 'one\ntwo\n' ;;
	binary) printf '\000\001\377\n' ;;
	long) printf '%03000d\n' 7 ;;
	floods) head -c 8000000 /dev/zero | tr '\0' x >&2; echo flooded ;;
	closes) exec >&- ;;
	daemon) sleep 987 & exit 0 ;;
	disk) exec dd if=/dev/zero of="$0.$$" bs=128k count=1 2>/dev/null ;;
	garbage) echo 'no netstring' ;;
	esac
done
SH
printf '#!/bin/sh\nexit 7\n' >"$tmp/broken"
cat >"$tmp/netstrings" <<'SH'
#!/bin/sh
while head=$(dd bs=1 count=1 2>/dev/null) && [ -n "$head" ]; do
	[ "$head" = 3 ] || exit 9
	[ "$(dd bs=1 count=5 2>/dev/null)" != ':bad,' ] || { echo 'no netstring'; continue; }
	printf 2:ok,
done
SH
chmod +x "$tmp/filter" "$tmp/broken" "$tmp/netstrings"
cp "$tmp/filter" "$tmp/fleeting"

all='exits crashes open late twice binary long floods closes daemon disk garbage'
fleet() {
	printf '[Fleet %s]\nExec=%s %s\nKind=lines\nWorkers=2\nRestartBackoffMax=400ms\nLimitCORE=0\n' "$1" "${2:-$tmp/filter}" "$1"
	case $1 in
	open | late) echo HangAfter=250ms ;;
	disk) echo LimitFSIZE=64K ;;
	floods) echo "Output=file:$tmp/flood.log" ;;
	garbage) echo Framing=netstring ;;
	esac
}
{
	for f in $all; do fleet "$f"; done
	fleet broken "$tmp/broken"
	fleet fleeting "$tmp/fleeting"
} | sed '/^Exec=.* garbage$/s,=.*,='"$tmp/netstrings"',' >"$tmp/bad.conf"

lines 7 "$tmp/said" "$rekindle" run --config "$tmp/bad.conf"
keeper=$!
cat <&7 >"$tmp/events" &
started[$!]=
for f in $all fleeting; do "$rekindle" status --name "bad/$f" --wait=10s >/dev/null || exit 1; done

# ask FLEET KEY LINE [TIME]: the answer, or how it was refused, and the exit status
ask() {
	timeout 20 "$rekindle" call --name "bad/$1" --timeout "${4:-8s}" "$2" "$3" 2>&1
	echo " $?"
}

# restarts FLEET [SLOT]: how often its slots got another process
restarts() {
	"$rekindle" status --name "bad/$1" -o json | grep -oE '"slot":[0-9]+|"restarts":[0-9]+' | paste - - |
		sed 's/[^0-9\t]//g' | awk -v want="${2-}" 'want == "" || $1 == want { n += $2 } END { print n + 0 }'
}

# key_of FLEET SLOT: a key that this slot owns
key_of() {
	local k
	for k in {a..z}; do
		[ "$("$rekindle" key --name "bad/$1" "$k" | awk 'NR == 2 { print $3 }')" != "$2" ] || { echo "$k"; return; }
	done
}

declare -A bad=() good=()
for f in $all; do
	bad[$f]=$(key_of "$f" 0)
	good[$f]=$(key_of "$f" 1)
	[ -n "${bad[$f]}" ] && [ -n "${good[$f]}" ] || exit 1
done

pids=()
# ---- what one job does to its program ----

for f in $all; do
	ask "$f" "${bad[$f]}" bad >"$tmp/bad.$f" &
	pids[${#pids[@]}]=$!
	ask "$f" "${good[$f]}" yes >"$tmp/good.$f" &
	pids[${#pids[@]}]=$!
done
wait "${pids[@]}"

# outcome FLEET ANSWER RESTARTS SAID: what the bad job came to; of the events a line
outcome() {
	local answer again good=yes
	[ "$1" != garbage ] || good=ok
	answer=$(tr '\0' '@' <"$tmp/bad.$1")
	again=$(restarts "$1" 0)
	case $answer in $2) ;; *) echo "the answer is: $answer" ;; esac
	[ "$again" -eq "$3" ] || echo "slot 0 was restarted $again times"
	[ "$(restarts "$1" 1)" -eq 0 ] || echo "slot 1 was restarted"
	[ "$(cat "$tmp/good.$1")" = "$good 0" ] || echo "the other worker said: $(cat "$tmp/good.$1")"
	[ -z "$4" ] || "$rekindle" why --name "bad/$1" 0 2>&1 | grep -qE "worker 0 .*$4" || echo "no event of worker 0 says: $4"
	[ "$(ask "$1" "${bad[$1]}" yes)" = "$good 0" ] || echo "it does not go on"
}

aside='*put aside*see*dead list* 1'
result "who exits is asked three times, then the job is put aside" "$(outcome exits "$aside" 3 'exited 3 .*filter ended with exit status 3')"
result "who crashes is asked three times, then the job is put aside" "$(outcome crashes "$aside" 3 'SIGSEGV .*filter was killed by SIGSEGV')"
result "an answer without newline is none: it hangs" "$(outcome open "$aside" 3 'hung in job')"
result "an answer too late is none" "$(outcome late "$aside" 3 'hung in job')"
result "of two answers the second ends the program, which says so" \
	"$(outcome twice 'one 0' 1 'exited 76 .*printed a line that nobody asked for.*AnswerId=')"
result "binary is an answer, byte for byte" "$(outcome binary $'@\001\377 0' 0 "")"
result "an answer that is too long is refused, and the next one is its own" "$(outcome long '*EMSGSIZE* 1' 0 "")"
result "a flood on standard error holds up nobody" "$(outcome floods 'flooded 0' 0 ""; [ "$(stat -c %s "$tmp/flood.log")" -gt 7000000 ] || ls -l "$tmp/flood.log")"
result "who closes its output is ended, the job put aside" "$(outcome closes "$aside" 3 'exited 76 .*closed its standard output')"
result "who goes into the background is ended with what it left there" \
	"$(outcome daemon "$aside" 3 'exited 0 .*put itself into the background: tell it to stay in the foreground'; pgrep -f -x 'sleep 987')"
result "who fills the disk ends by that, the job is put aside" "$(outcome disk "$aside" 3 'SIGXFSZ .*was killed by SIGXFSZ')"
result "what is no netstring ends the program, the job is put aside" "$(outcome garbage "$aside" 3 'exited 76 .*no netstring')"
result "a job with a newline is refused before it goes to the program" \
	"$(ask exits "${bad[exits]}" $'two\nlines' | grep -q EBADMSG || echo "it is not"; [ "$(restarts exits 0)" -eq 3 ] || echo "it got there")"

# ---- programs that do not start ----

ask broken b mended 15s >"$tmp/mended" &
asked=$!
for f in missing notexec; do
	printf 'x\n' >"$tmp/notexec"
	run run --name no -n 1 --set Kind=lines -- "$tmp/$f"
	expect "a command that is $f is told before anything starts" 78 "$tmp/$f.*(No such file|make it an executable)"
done

rm "$tmp/fleeting"
mapfile -t victims < <(pgrep -f "^/bin/sh $tmp/fleeting")
kill -KILL "${victims[@]}"
for ((i = 0; i < 200; i++)); do [ "$(restarts fleeting)" -lt 4 ] || break; read -rt 0.05 <> <(:); done
result "a command that vanished is told" "$(ask fleeting a yes 100ms >/dev/null; "$rekindle" why --name bad/fleeting 0 |
	grep -qE "exited 127 .*cannot execute '$tmp/fleeting': No such file" || "$rekindle" why --name bad/fleeting 0)"
cp "$tmp/filter" "$tmp/fleeting"
result "and runs again when it is there again" "$([ "$(ask fleeting a again)" = 'again 0' ] || echo "it does not")"

starts=$(restarts broken)
result "who exits at once is started slower and slower" "$([ "$starts" -gt 5 ] && [ "$starts" -lt 80 ] || echo "$starts restarts")"
result "and the fleet's log asks whether it works by hand" "$(grep -qE "no worker has ever become ready.*$tmp/broken.*check --try" "$tmp/said" ||
	cat "$tmp/said")"
"$rekindle" dead list --name bad/broken >"$tmp/letters"
cp "$tmp/filter" "$tmp/.filter" && mv "$tmp/.filter" "$tmp/broken" # in one step
wait $asked
result "a job that it never read is not held against it: once mended it answers" "$(cat "$tmp/letters" "$tmp/mended" |
	tr '\n' ' ' | grep -qx 'no dead letters mended 0 ' || cat "$tmp/letters" "$tmp/mended")"

# ---- the end ----

"$rekindle" call --name bad/late --timeout 8s "${bad[late]}" bad >/dev/null 2>&1 &
began=$(date +%s)
"$rekindle" stop --name bad --timeout 20s >"$tmp/out" 2>&1 || result "it stops" "$(cat "$tmp/out")"
reap $keeper
status=$?
result "the end is in order, and in time" "$([ $status -eq 0 ] || echo "status $status: $(cat "$tmp/out")"
	[ $(($(date +%s) - began)) -le 9 ] || echo "it took $(($(date +%s) - began)) s")"
result "nothing is left" "$(pgrep -af "$tmp/(filter|broken|fleeting|netstrings)"; ls -A "$tmp/r")"

finish
