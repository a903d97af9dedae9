#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    enable takes no configuration that is wrong, claims nothing that systemd has not done, and
#         says what is missing with the exit status that fits; disable takes any. (What a real
#         systemd makes of both is tested in systemd.sh.)
# Method  systemctl itself on the root of a machine that does not run; and, in a mount namespace with
#         a /run of its own where the configuration is, a systemctl that writes down what it is asked
#         and answers as it is told.
. "$(dirname "$0")/lib.sh"

good="[Fleet words]
Exec=$wordcount
Workers=2"
unit=rekindle@words.service

# ---- the command line -------------------------------------------------------------------------

run enable
expect "enable without a name" 64 'enable needs the NAME of a configuration'
run disable a b
expect "two names" 64 'b'
run enable ./words.conf
expect "a file is no name" 64 "name './words\.conf': use 1 to 63"
run disable a/b
expect "nor is the fleet of one" 64 "name 'a/b'"
run enable words --now --root "$tmp/root"
expect "nothing is started on a machine that does not run" 64 '\-\-now is for this machine'
run autostart words
expect "who calls it something else is told" 64 "did you mean 'enable'"
run enable nosuch
expect "a configuration that is not there" 78 'there is no nosuch\.conf in /etc/rekindle'

# ---- another root, with the real one ----------------------------------------------------------

# links: what is enabled there
links() {
	(cd "$tmp/root" && find etc -type l | sort)
}

if ! command -v systemctl >/dev/null; then
	skip "the root of a machine that does not run" "systemctl: systemctl is not installed"
else
	mkdir -p "$tmp/root/etc/rekindle" "$tmp/root/etc/systemd/system" "$tmp/root/usr/lib/systemd/system"
	echo "$good" >"$tmp/root/etc/rekindle/words.conf"
	run enable words --root "$tmp/root"
	expect "without its unit nothing can be enabled" 77 'rekindle@\.service is not installed'
	printf '[Service]\nExecStart=/bin/true\n' >"$tmp/root/usr/lib/systemd/system/rekindle@.service"
	run enable words --root "$tmp/root"
	expect "with one that cannot be, it is not said to be" 1 "$unit was not enabled: .* calls it static"
	printf '[Install]\nWantedBy=multi-user.target\n' >>"$tmp/root/usr/lib/systemd/system/rekindle@.service"
	echo 'Wrokers=2' >>"$tmp/root/etc/rekindle/words.conf"
	run enable words --root "$tmp/root"
	expect "a wrong configuration is not enabled" 78 'words\.conf:4: .*did you mean .Workers'
	result "and says what was not done" "$(grep -q "$unit was not enabled" <<<"$err" || echo "$err"; links)"
	echo "$good" >"$tmp/root/etc/rekindle/words.conf"
	run enable words --root "$tmp/root"
	expect "a good one is" 0 "^$unit is enabled: systemd starts it with the machine$"
	result "and says nothing else" "$err"
	result "and it is" "$([ "$(links)" = etc/systemd/system/multi-user.target.wants/$unit ] || links)"
	run enable words --root "$tmp/root"
	expect "once more" 0 "^$unit was enabled already"
	rm "$tmp/root/etc/rekindle/words.conf"
	run disable words --root "$tmp/root"
	expect "what has lost its configuration is disabled all the same" 0 "^$unit is disabled: systemd does not start it"
	result "and is" "$(links)"
	run disable words --root "$tmp/root"
	expect "once more: nothing has this name any more" 1 "there is no words\.conf in $tmp/root/etc/rekindle, and $unit is not enabled: there is nothing to disable"
	run disable nosuch --root "$tmp/root"
	expect "as with one that nothing ever had" 1 "there is no nosuch\.conf in .*, and rekindle@nosuch\.service is not enabled"
	result "which is not called disabled" "$out"
	echo "$good" >"$tmp/root/etc/rekindle/words.conf"
	run disable words --root "$tmp/root"
	expect "one with a configuration was not enabled" 0 "^$unit was not enabled"
fi

# ---- this machine, with one that does as it is told -------------------------------------------

mkdir "$tmp/bin"
cat >"$tmp/bin/systemctl" <<'TXT'
#!/bin/sh
echo "$@" >>"$FAKE/asked"
case "$*" in is-*) echo "nobody needs to read this" >&2 ;; esac
case "$*" in
is-system-running) echo "$RUNNING" ;;
"is-enabled "*) cat "$FAKE/state" ;;
"is-active "*) echo "$ACTIVE"; [ "$ACTIVE" = active ] ;;
"--quiet enable "*) [ "$DOES" = 0 ] && echo enabled >"$FAKE/state"; exit "$DOES" ;;
"--quiet disable "*) exit "$DOES" ;;
"--quiet start "*|"--quiet stop "*) [ "$STARTS" != kill ] || kill -KILL $$; exit "$STARTS" ;;
*) echo "what is $*?" >&2; exit 99 ;;
esac
TXT
chmod +x "$tmp/bin/systemctl"
export FAKE=$tmp RUNNING=running ACTIVE=inactive DOES=0 STARTS=0

# here STATE COMMAND…: rekindle with /run/rekindle/words.conf and is-enabled's answer STATE
here() {
	: >"$tmp/asked"
	echo "$1" >"$tmp/state"
	shift
	# shellcheck disable=SC2016 # for the shell within
	run_program "${in_namespace[@]}" sh -c 'mount -t tmpfs none /run && mkdir /run/rekindle && cp "$0" /run/rekindle/words.conf &&
		exec "$@"' "$tmp/words.conf" env PATH="$tmp/bin:$PATH" "$rekindle" "$@"
}

# asked NAME LINE…: what systemctl was asked
asked() {
	local name=$1
	shift
	result "$name" "$(printf '%s\n' "$@" | diff - "$tmp/asked")"
}

echo "$good" >"$tmp/words.conf"
in_namespace=(unshare -m)
"${in_namespace[@]}" true 2>/dev/null || in_namespace=(unshare -rm)
if ! "${in_namespace[@]}" mount -t tmpfs none /run 2>/dev/null; then
	skip "this machine" "namespace: no mount namespaces for us"
	finish
fi

here disabled enable words
expect "enable" 0 "^$unit is enabled"
result "and shows nothing else" "$err"
asked "asks for that and no more" is-system-running "is-enabled $unit" "--quiet enable $unit" "is-enabled $unit"
here enabled enable words --now
expect "enable --now starts it" 0 "^$unit runs$"
asked "behind that" is-system-running "is-enabled $unit" "--quiet enable $unit" "is-enabled $unit" "--quiet start $unit"
STARTS=1 here disabled enable words --now
expect "what does not start is enabled" 1 "^$unit is enabled"
result "and where to look is said" "$(grep -q "has not been started: 'journalctl -xeu $unit'" <<<"$err" || echo "$err")"
STARTS=4 here disabled enable words --now
expect "who may not start it" 77 "has not been started"
STARTS='kill' here disabled enable words --now
expect "a systemctl that is killed has started nothing" 1 "has not been started"
DOES=1 here disabled enable words
case $(id -u) in
0) expect "a failure of root's is one" 1 "^rekindle: $unit was not enabled$" ;;
*) expect "others lack rights" 77 "$unit was not enabled: it takes root's rights" ;;
esac
RUNNING=offline here disabled enable words
expect "without a systemd that runs" 69 "systemd does not run here, .*'rekindle run --config words'"
asked "nothing is tried" is-system-running
RUNNING=degraded here disabled enable words
expect "one with failed units is good enough" 0 "^$unit is enabled"
here "" enable words
expect "a unit that is not there, as systemd 252 says it" 77 'rekindle@\.service is not installed'
here not-found enable words
expect "and as newer ones do" 77 'rekindle@\.service is not installed'
echo 'Wrokers=2' >>"$tmp/words.conf"
here disabled enable words --now
expect "a wrong configuration" 78 "words\.conf:4: .*did you mean"
result "is told without systemd" "$(cat "$tmp/asked")"

here enabled disable words
expect "and disabled" 0 "^$unit is disabled"
asked "asks for that, and whether it runs" is-system-running "is-enabled $unit" "--quiet disable $unit" "is-active $unit"
here disabled disable nosuch
expect "a name that nothing has" 1 "there is no nosuch\.conf in /etc/rekindle, and rekindle@nosuch\.service is not enabled"
asked "is not disabled" is-system-running "is-enabled rekindle@nosuch.service" "is-active rekindle@nosuch.service"
ACTIVE=active here disabled disable nosuch --now
expect "one that runs, though its file is gone, is ended" 0 "^rekindle@nosuch\.service does not run$"
ACTIVE=active here enabled disable words
expect "one that runs does so until it is stopped" 0 "^$unit runs on until 'systemctl stop $unit'$"
here enabled disable words --now
expect "disable --now stops it" 0 "^$unit does not run$"
asked "behind that" is-system-running "is-enabled $unit" "--quiet disable $unit" "--quiet stop $unit"
STARTS=1 here enabled disable words --now
expect "what does not stop" 1 "it is disabled, but has not been stopped: 'systemctl status $unit'"
RUNNING=offline here enabled disable words
expect "without a systemd that runs" 69 "systemd does not run here"

echo "$good" >"$tmp/words.conf"
run_program "${in_namespace[@]}" sh -c 'mount -t tmpfs none /run && mkdir /run/rekindle && cp "$0" /run/rekindle/words.conf &&
	exec env PATH=/nowhere "$@"' "$tmp/words.conf" "$rekindle" enable words
expect "without systemctl" 77 "systemctl is not installed: .*'rekindle run --config words'"
finish
