#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    a fleet as a service of a real systemd: it starts, tells, reloads and stops as the README and
#         doc/systemd.md say, a stop leaves nothing whatever has died before, and each line of the units
#         is seen to act.
# Method  a container with a systemd of its own (box.sh), in which `make install` has put the project;
#         one for all tests, and a second one with control groups of version 1.
. "$(dirname "$0")/service.sh"

install -D -t "$files/usr/local/bin" "$build/tests/system/holder" "$build/tests/system/probe" "$root/tests/system/inherited"
install -D "$build/tests/system/fake_rekindled" "$files/usr/local/bin/hangs" # is what it is called

if ! box_up "$files" unified; then
	skip "a fleet under systemd" "systemd: $box_reason"
	finish
fi

# ---- helpers ----

# becomes UNIT STATE…: waits, 10 s at most, until it is in one of these states
becomes() {
	local end=$((SECONDS + 10)) state
	while state=$(show ActiveState "$1"); [[ " ${*:2} " != *" $state "* ]]; do
		[ $SECONDS -lt $end ] || { echo "$1 is $state"; return 1; }
	done
}

# swept [NAME]: stops the fleet, and waits for the end of its companion
swept() {
	box systemctl stop "rekindle@${1-demo}"
	becomes "rekindle-sweep@${1-demo}" inactive failed
}

# left_living: the processes that there still are of the fleet, and what else may not outlive it
left_living() {
	left | grep -v '/run/rekindle/demo\(/flight\)\?$\|is failed$'
}

# left: what there still is of the fleet
left() {
	box pgrep -a -u rekindle
	box find /run/rekindle /dev/shm -mindepth 1
	# An empty group may stay until the next start: systemd 252 hears of it no more.
	box find $groups -path '*/rekindle@demo.service*' -name cgroup.procs -exec grep -H . {} +
	[ "$(show ActiveState)" = inactive ] || echo "$unit is $(show ActiveState)"
	[ "$(show ActiveState rekindle-sweep@demo)" = inactive ] || echo "the sweep is $(show ActiveState rekindle-sweep@demo)"
}

# leave: puts a stopped process into a group below the unit's that is nobody's child, as workers are
# when keeper is dead. Sets left_pid.
leave() {
	left_pid=$(box sh -c 'setsid sleep 1000 </dev/null >/dev/null 2>&1 &
		for g in "$@"; do
			g=$g/system.slice/system-rekindle.slice/rekindle@demo.service
			[ ! -d "$g" ] || { mkdir -p "$g/left" && echo $! >"$g/left/cgroup.procs"; }
		done
		until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done
		kill -STOP $!; echo $!' - $groups $groups/systemd)
}

# ---- as the README says ----

equal "the container is up, with nothing failed" "$(box systemctl is-system-running --wait)" running
equal "systemd finds no fault with the units" \
	"$(box systemd-analyze verify --man=no $unit.service rekindle-sweep@demo.service 2>&1 | grep rekindle)" ""
in_box systemctl start $unit
expect "the documented example starts" 0 '^'
in_box rekindle status demo --wait
expect "and all its workers get ready" 0 '^demo +4 of 4 ready'
in_box rekindle call apple
expect "they answer" 0 '^1$'
in_box systemctl status --no-pager $unit
expect "status shows it running, with its workers" 0 'Active: active \(running\)'
worker=$(workers | head -1)
box kill -KILL "$worker"
box rekindle --name demo status --wait >/dev/null
in_box journalctl -q --no-pager -u $unit -o cat
expect "the journal tells of a worker's death" 0 "worker died.*pid=$worker|pid $worker"

# ---- what workers inherit ----

main=$(show MainPID)
worker=$(workers | head -1)
status_of() {
	box sed -n "s/^$1:[[:space:]]*//p" "/proc/$2/status"
}
uid=$(box id -u rekindle)
equal "User: keeper and workers are rekindle" "$(status_of Uid "$main" | cut -f1) $(status_of Uid "$worker" | cut -f1)" "$uid $uid"
equal "CapabilityBoundingSet: workers can have no capability" "$(status_of 'CapBnd' "$worker")" 0000000000000000
equal "NoNewPrivileges" "$(status_of NoNewPrivs "$worker")" 1
equal "UMask" "$(status_of Umask "$worker")" 0077
equal "Delegate: each worker has a control group of its own below the unit's" \
	"$(box sed 's,rekindle-demo-[0-9]*,KEEPER,; s,[0-9.]*$,SLOT,' "/proc/$worker/cgroup" | grep '^0::')" \
	"0::/system.slice/system-rekindle.slice/rekindle@demo.service/KEEPER/demo/SLOT"
equal "LimitNOFILE: 1,024 for who uses select(), 65,536, or what the container may have, for who asks" \
	"$(box awk '/^Max open files/ { print $4, $5 }' "/proc/$worker/limits")" \
	"1024 $(box awk '/^Max open files/ { print ($5 < 65536 ? $5 : 65536) }' /proc/1/limits)"
equal "OOMPolicy: one that is killed for its memory is no reason to stop the others" "$(show OOMPolicy)" continue
for ns in mnt uts; do
	result "$ns: workers have a namespace of keeper's" \
		"$([ "$(box readlink "/proc/$worker/ns/$ns")" = "$(box readlink "/proc/$main/ns/$ns")" ] || echo "not keeper's"
		[ "$(box readlink "/proc/$worker/ns/$ns")" != "$(box readlink "/proc/1/ns/$ns")" ] || echo "systemd's")"
done
equal "RuntimeDirectory: the directory of all is root's, the fleet's own" \
	"$(box stat -c '%U %a' /run/rekindle /run/rekindle/demo | xargs)" "root 755 rekindle 700"

# The same program looks around as a worker, before the exec, and beside the service.
put /etc/rekindle/probe.conf "[Fleet probe]
Exec=$libexec/wordcount
ExecStartPre=/usr/local/bin/inherited
Workers=1"
put /etc/systemd/system/rekindle@probe.service.d/test.conf "[Service]
LimitRTPRIO=5"
box sh -c 'mkdir -p /usr/local/share/own /home/own /usr/lib/modules/own && touch /dev/own /tmp/own &&
	chown rekindle /usr/local/share/own && install -d -o rekindle /var/lib/beside /var/log/beside /run/beside'
box systemctl daemon-reload
mapfile -t rtprio < <(box prlimit --rtprio=5 true 2>/dev/null && printf '%s\n' prlimit --rtprio=5)
beside=$(box "${rtprio[@]}" setpriv --reuid=rekindle --regid=rekindle --clear-groups \
	env STATE_DIRECTORY=/var/lib/beside LOGS_DIRECTORY=/var/log/beside RUNTIME_DIRECTORY=/run/beside inherited &&
	box cat /var/lib/beside/found)
equal "the probe fleet starts" "$(up probe)" ""
found=$(box cat /var/lib/rekindle/probe/found)

# seen OPTION WHAT BESIDE INSIDE: what the program finds it can do
seen() {
	local was is
	was=$(sed -n "s/^$2 //p" <<<"$beside")
	is=$(sed -n "s/^$2 //p" <<<"$found")
	if [ "$was" != "$3" ]; then
		skip "$1" "$2: in this container it is '$was' without the unit too"
	else
		equal "$1" "$is" "$4"
	fi
}
seen "StateDirectory" state yes yes
seen "LogsDirectory" logs yes yes
seen "RuntimeDirectory is theirs to write" runtime yes yes
seen "PrivateTmp: there is a /tmp" tmp yes yes
seen "PrivateTmp: it is not that of others" others-tmp yes no
seen "ProtectSystem: what belongs to them elsewhere is read-only" usr yes no
seen "ProtectHome" home yes no
seen "PrivateDevices" device yes no
seen "ProtectKernelTunables" kallsyms yes no
seen "ProtectKernelModules" modules yes no
seen "ProtectKernelLogs" kmsg 400 0
seen "ProtectProc: processes of others cannot be seen" proc yes no
seen "ProtectClock" clock yes no
seen "LockPersonality" personality yes no
seen "RestrictAddressFamilies: netlink is none of them" netlink yes no
seen "RestrictAddressFamilies: the internet's is" internet yes yes
seen "RestrictRealtime" realtime yes no
seen "RestrictSUIDSGID" suid yes no
seen "SystemCallArchitectures" i386 yes no
seen "SystemCallFilter, with an error and no signal" ptrace yes no
swept probe

# And as a start command of the sweep, which is root.
sweeps=/etc/systemd/system/rekindle-sweep@probe.service.d
put $sweeps/test.conf "[Service]
Environment=STATE_DIRECTORY=/run/rekindle LOGS_DIRECTORY=/run/rekindle RUNTIME_DIRECTORY=/run/rekindle
ExecStart=/usr/local/bin/inherited"
box systemctl daemon-reload
files_found='found x i386'
beside=$(box env STATE_DIRECTORY=/run/rekindle LOGS_DIRECTORY=/run/rekindle RUNTIME_DIRECTORY=/run/rekindle inherited
	box cat /run/rekindle/found)
box sh -c "cd /run/rekindle && rm -f $files_found"
box systemctl start rekindle-sweep@probe
found=$(box cat /run/rekindle/found)
box sh -c "cd /run/rekindle && rm -f $files_found"
seen "sweep: ReadWritePaths" state yes yes
seen "sweep: ProtectSystem" usr yes no
seen "sweep: PrivateTmp" others-tmp yes no
seen "sweep: ProtectKernelModules" modules yes no
seen "sweep: ProtectKernelLogs" kmsg 400 0
seen "sweep: ProtectClock" clock yes no
seen "sweep: LockPersonality" personality yes no
seen "sweep: RestrictAddressFamilies: netlink is none of them" netlink yes no
seen "sweep: RestrictAddressFamilies: nor is the internet's" internet yes no
seen "sweep: RestrictRealtime" realtime yes no
seen "sweep: RestrictSUIDSGID" suid yes no
seen "sweep: SystemCallArchitectures" i386 yes no
seen "sweep: SystemCallFilter" ptrace yes no
seen "sweep: MemoryDenyWriteExecute" wx yes no
seen "sweep: RestrictNamespaces" namespace yes no
sees() { sed -n "s/^$1 //p" <<<"$2"; }
equal "sweep: NoNewPrivileges" "$(sees no-new "$found")" 1
equal "sweep: CapabilityBoundingSet: kill, and override what files say" "$(sees bounds "$found")" 0000000000000022
result "sweep: PrivateNetwork" "$([ "$(sees net "$found")" != "$(sees net "$beside")" ] || echo "it is systemd's")"
result "sweep: ProtectHostname" "$([ "$(sees uts "$found")" != "$(sees uts "$beside")" ] || echo "it is systemd's")"
box rm -r $sweeps

put /etc/systemd/system/rekindle@probe.service.d/test.conf "[Service]
FileDescriptorStoreMax=4"
box systemctl daemon-reload
equal "FileDescriptorStoreMax: so many of the fleet's descriptors are held and no more" \
	"$(up probe; show NFileDescriptorStore rekindle@probe)" 4
swept probe

score() {
	box systemd-analyze security --no-pager "$1.service" | sed -n 's/.*level for [^:]*: \([0-9.]*\).*/\1/p'
}
page=$root/doc/systemd.md
equal "the hardening scores as doc/systemd.md says" "$(score $unit), $(score rekindle-sweep@demo)" \
	"$(sed -n 's/^Exposure (.*): \([0-9.]*\); the sweep: \([0-9.]*\);.*/\1, \2/p' "$page")"
result "and at most 2.5" "$(awk '$1 > 2.5' <<<"$(score $unit)")"

# ---- reload ----

equal "it runs" "$(up)" ""
main=$(show MainPID)
put /etc/rekindle/demo.conf.d/more.conf "[Fleet demo]
Workers=5"
in_box systemctl reload $unit
expect "ExecReload: returns when it is done" 0 '^'
in_box rekindle status demo
expect "and what was changed holds" 0 '5 of 5 ready'
put /etc/rekindle/demo.conf.d/more.conf "[Fleet demo]
Wrokers=5"
in_box systemctl reload $unit
expect "a reload of what is wrong fails" 1 'failed'
in_box journalctl -q --no-pager -u $unit -o cat -n 20
expect "the journal says what and where" 0 "more.conf:2: unknown key 'Wrokers'"
equal "and the fleet goes on" "$(show ActiveState) $(show MainPID)" "active $main"
box rm -r /etc/rekindle/demo.conf.d
box systemctl reload $unit

# ---- stop ----

in_box systemctl stop $unit
expect "stop" 0 '^'
in_box systemctl is-active $unit
expect "it is inactive, not failed" 3 '^inactive$'
swept
equal "a stop leaves nothing: no process, directory, shared memory, control group" \
	"$(left; box find $groups -type d -name 'rekindle@demo*')" ""
in_box journalctl -q --no-pager -u rekindle-sweep@demo -o cat
result "and the sweep had nothing to do" "$(grep -E 'killed|error' <<<"$out")"

dropin "RestartSec=60"
equal "it starts again" "$(up)" ""
leave
crash
becomes $unit activating
equal "RestartSec: it waits for its restart" "$(show ActiveState) $(show SubState)" "activating auto-restart"
in_box rekindle list
expect "list says so" 0 "^demo  keeper is gone, and systemd is to start the next one: see 'systemctl status rekindle@demo'$"
in_box rekindle call apple --timeout 300ms
expect "and who finds nobody that answers" 69 "keeper is gone, and systemd is to start the next one"
equal "the companion is there meanwhile" "$(show ActiveState rekindle-sweep@demo)" active
equal "so is the runtime directory" "$(box ls /run/rekindle/demo | xargs)" "board control flight"
result "and who lives in the group" "$(box kill -0 "$left_pid" 2>&1)"
swept
equal "a stop while it waits leaves nothing" "$(left)" ""
in_box journalctl -q --no-pager -u rekindle-sweep@demo -o cat -n 20
expect "the journal tells how many were killed" 0 'had left were killed name=demo n=[1-9]'

equal "it starts again" "$(up)" ""
leave
crash
box systemctl stop $unit
equal "a start right behind such a stop is a new fleet" "$(up) $(workers | wc -l)" " 4"
result "with nobody of the old one" "$(box kill -0 "$left_pid" 2>/dev/null && echo "$left_pid lives")"

dropin "TimeoutStopSec=1"
equal "it starts again" "$(up)" ""
leave
box kill -STOP "$(show MainPID)"
swept
equal "a stop of a keeper that was stopped leaves nothing" "$(left)" ""
equal "it starts again" "$(up)" ""
leave
lines 4 "$tmp/holder" box holder "$(show MainPID)"
holder=$!
await 4 held
swept
reap "$holder"
result "a stop of a keeper that hangs leaves nobody" "$(left_living)"
equal "and tells that it failed" "$(show ActiveState) $(show Result)" "failed timeout"
equal "the flight recorder stays for 'why'" "$(box ls /run/rekindle/demo)" flight
box systemctl reset-failed $unit
dropin ""

complaint=
for ms in 0 1 2 3 5 8 12 15; do
	complaint+=$(up)
	leave
	crash
	read -r -t "0.0$(printf '%02d' $ms)" <&"$box_told" # which says nothing
	swept
	complaint+=$(left_living)
done
equal "a stop within 15 ms of keeper's death leaves nobody" "$complaint" ""
box systemctl reset-failed $unit

# ---- whose death is a non-event ----

n_calls=0
equal "READY: a start returns when the workers are ready" \
	"$(box systemctl start $unit 2>&1; box rekindle --name demo status --check >/dev/null; echo $?)" 0
in_box systemctl show -P StatusText $unit
expect "STATUS: systemctl status says how they are" 0 '4 of 4'
team
kept "the first call counts one"
n_stored=$(show NFileDescriptorStore)
result "FileDescriptorStoreMax: systemd holds the memory too" "$([ "$n_stored" -ge 10 ] || echo "of it $n_stored descriptors")"

mkfifo "$tmp/words"
box "$libexec/wordcount_client" <"$tmp/words" >"$tmp/client" 2>&1 &
started[$!]=
client=$!
exec 6>"$tmp/words"
echo pear >&6
mkfifo "$tmp/line"
box probe reopen demo gateway <"$tmp/line" >"$tmp/reopen" 2>&1 6>&- &
started[$!]=
gateway=$!
exec 7>"$tmp/line"
until [ -s "$tmp/reopen" ]; do :; done
box kill -KILL "$supervisor"
kept "the supervisor's"
equal "with the same keeper" "$(show MainPID)" "$keeper"
crash
kept "keeper's"
equal "with all its descriptors" "$(replaced; show NFileDescriptorStore)" "$n_stored"
replaced
equal "workers have the /tmp that new ones have" \
	"$(box nsenter -t "${workers%% *}" -m stat -c '%d %i' /tmp)" "$(box nsenter -t "$(show MainPID)" -m stat -c '%d %i' /tmp)"
team
box kill -KILL "$keeper" "$supervisor"
kept "both at once"
echo pear >&6
exec 6>&-
reap "$client"
equal "a client that was there before has not noticed" "$? $(sed 's/seen .*/seen/' "$tmp/client")" "0 2 words; 'pear' was seen"
echo >&7
exec 7>&-
reap "$gateway"
equal "one that closes its place may open it again" "$? $(xargs <"$tmp/reopen")" "0 open open"

box systemctl restart $unit
kept "RestartKillSignal: a restart keeps the workers"
equal "SuccessExitStatus: keeper has made way" "$(box journalctl -q --no-pager -u $unit -n 30 -o cat | grep -c 'status=75\|Failed')" 0
box systemctl kill --kill-whom=main -s USR1 $unit
kept "so does a SIGUSR1 by hand"
replaced

release=$(box rekindle version | cut -d' ' -f2)
other=${release%?}a
sbin=$(setting sbindir)
box sh -c 'LC_ALL=C sed "s/$1/$2/g" "$3/rekindled" >"$3/rekindled.new" && chmod +x "$3/rekindled.new" && cp "$3/rekindled.new" /root' \
	- "$release" "$other" "$sbin"
team
n_restarts=$(show NRestarts)
in_box rekindle --name demo upgrade --binary /root/rekindled.new
expect "upgrade: a binary that the sandbox hides is refused" 78 'nothing was changed: .*/root/rekindled.new'
in_box rekindle --name demo upgrade --binary "$sbin/rekindled.new"
expect "another release takes the fleet over" 0 "release $other supervises and is keeper"
kept "upgrade"
equal "systemd has noticed nothing" "$(show MainPID) $(show ActiveState) $(show NRestarts) $(show NFileDescriptorStore)" \
	"$keeper active $n_restarts $n_stored"
lines 7 "$tmp/upgrade" box timeout 30 rekindle --name demo upgrade --binary /usr/local/bin/hangs
upgrade=$!
await 7 "upgrade begins"
box sh -c 'until pgrep -P "$1" -x hangs; do :; done' - "$keeper" >/dev/null
crash
kept "keeper's death in the middle of an upgrade"
reap "$upgrade"
equal "whoever waits is told that it is over" "$? $(grep -c 'keeper died before the upgrade was over' "$tmp/upgrade")" "69 1"
replaced
box rekindle --name demo upgrade --binary "$sbin/rekindled.new" >/dev/null
team
crash
kept "keeper's death behind an upgrade"
replaced
equal "the next keeper is of the release that is installed" \
	"$(box rekindle list -o json | grep -o '"release":"[^"]*"')" "\"release\":\"$release\""

dropin "RestartSec=1"
box systemctl restart $unit
team
crash
box kill -KILL "${workers%% *}"
up >/dev/null
n_calls=$((n_calls + 1))
equal "a worker that dies while there is no keeper is replaced, and nothing lost" \
	"$(box rekindle --name demo call apple) $(workers | wc -l) $(workers | grep -cxF "${workers// /$'\n'}")" "$n_calls 4 3"

# store_forget NAME…: takes descriptors out of systemd's store, in keeper's name
store_forget() {
	local name
	for name; do
		box env NOTIFY_SOCKET=/run/systemd/notify systemd-notify --no-block --pid="$keeper" FDSTOREREMOVE=1 "FDNAME=$name"
	done
}

store_empty() {
	store_forget 0.{lock,control,configuration} 1.{board,beats,calls,queues,parts,readers,state,journal,dead,news}
}

# slay N: the next keeper's first supervisors, each as soon as it is there
slay() {
	box timeout 20 probe slay "$groups$(show ControlGroup)/cgroup.procs" "$keeper" "$1"
}

# rescaled NAME: partitions move at once, so what the workers tell is heard
rescaled() {
	equal "$1" "$(box rekindle --name demo scale 3 --timeout 4s >/dev/null 2>&1; echo $?
		box rekindle --name demo scale 4 --timeout 4s >/dev/null 2>&1; echo $?)" $'0\n0'
}

dropin ""
box systemctl restart $unit
team
store_empty
equal "systemd's store is emptied" "$(show NFileDescriptorStore)" 0
box kill -KILL "$keeper" "$supervisor"
replaced # until then nobody tells that there is a fleet: the lock was in the store
kept "when both are dead then, the memory comes from the workers"
equal "and into the store again" "$(show NFileDescriptorStore)" "$n_stored"
rescaled "who has collected it hears the workers"
team
store_empty
box kill -KILL "$keeper" "$supervisor"
slay 3
replaced
kept "the supervisors that begin with it may be killed"
for name in 1.journal 1.news; do
	team
	store_forget $name
	box kill -KILL "$keeper" "$supervisor"
	slay 2
	replaced
	kept "those that find $name gone, too"
done
team
for name in 1.journal 1.state 0.lock; do
	team
	store_forget $name
	equal "of the store $name is lost" "$(show NFileDescriptorStore)" $((n_stored - 1))
	box kill -KILL "$keeper" "$supervisor"
	replaced
	kept "which changes nothing"
done

team
one=${workers%% *}
store_empty
box sh -c 'echo $1 >/sys/fs/cgroup/init.scope/cgroup.procs' - "$one" # where nobody looks for it
box kill -KILL "$keeper" "$supervisor" ${workers#* }
replaced
equal "with nobody in the unit the fleet begins anew" "$(up; box rekindle --name demo call apple)" 1
team
box sh -c 'echo $1 >$2/cgroup.procs' - "$one" "$groups$(show ControlGroup)"
store_empty
box kill -KILL "$keeper" "$supervisor"
replaced
equal "of two memories of one fleet one is given up" "$(box rekindle --name demo call apple) $(box rekindle list | grep -c demo
	box kill -0 "$one" 2>/dev/null && echo "$one lives")" "2 1"
n_calls=2
team

team
store_forget 0.configuration
box sed -i 's/^\[Fleet .*/[Fleet other]/' /etc/rekindle/demo.conf
box kill -KILL "$keeper" "$supervisor"
replaced
equal "workers of a fleet that no configuration has any more end" "$(up; box rekindle --name demo call apple)
$(for pid in $workers; do box kill -0 "$pid" 2>/dev/null && echo "$pid lives"; done)" "1
"
box systemctl stop $unit
box sed -i 's/^\[Fleet .*/[Fleet demo]/' /etc/rekindle/demo.conf
n_calls=0
equal "it starts again" "$(up)" ""

dropin "WatchdogSec=1"
box systemctl restart $unit
team
box kill -STOP "$supervisor"
kept "WatchdogSec: a supervisor that hangs is replaced"
result "by keeper" "$([ "$(show MainPID)" = "$keeper" ] || echo "which is another one"
	box kill -0 "$supervisor" 2>/dev/null && echo "it lives")"
box kill -STOP "$keeper"
replaced
kept "a keeper that hangs is replaced by systemd"
result "as one that had not answered its watchdog" "$(box journalctl -q --no-pager -u $unit -n 50 -o cat | grep -q 'Watchdog timeout' || echo "the journal knows of none")"
dropin ""
swept
equal "and a stop behind all that leaves nothing" "$(left)" ""

# ---- what ends a fleet, and what does not ----

equal "it starts again" "$(up)" ""
complaint=
for _ in {1..8}; do
	crash
	complaint+=$(up)
done
equal "Restart, StartLimitIntervalSec: it comes back from eight deaths in a row" \
	"$complaint$(show ActiveState) $(show NRestarts)" "active 8"
put "$dropins/test.conf" "[Unit]
StartLimitIntervalSec=1h
StartLimitBurst=1"
box systemctl daemon-reload
box systemctl restart $unit
crash
becomes $unit failed
becomes rekindle-sweep@demo inactive
equal "a start limit, where somebody sets one, ends the fleet with all its processes" "$(show ActiveState) $(workers | wc -l)" "failed 0"
box systemctl reset-failed $unit
dropin ""
equal "and it can be started anew" "$(up)" ""
in_box rekindle stop demo
expect "rekindle stop" 0 '^'
swept
equal "RestartPreventExitStatus: it does not come back from that" "$(left)" ""
put /etc/rekindle/wrong.conf "[Fleet wrong]
Exec=/nonsense"
in_box systemctl start rekindle@wrong
becomes rekindle@wrong failed
equal "nor from a configuration that is wrong" "$(show ActiveState rekindle@wrong) $(show ExecMainStatus rekindle@wrong) $(show NRestarts rekindle@wrong)" \
	"failed 78 0"
in_box journalctl -q --no-pager -u rekindle@wrong -o cat
expect "which the journal names" 0 "wrong.conf:2: Exec="

# ---- a socket of systemd's ----

in_box systemctl start $unit.socket
equal "a socket unit starts no fleet by itself" "$(show ActiveState) $(box stat -c '%U %a' /run/rekindle/demo/control)" "inactive rekindle 600"
in_box rekindle --name demo call apple
expect "but the first who asks does, and is answered" 0 '^1$'
team
n_calls=1
crash
kept "keeper's death is none there either"
box kill -KILL "$supervisor"
kept "nor the supervisor's"
in_box rekindle stop demo
becomes rekindle-sweep@demo inactive
equal "a stop leaves the socket, and nothing else" "$(show ActiveState) $(box ls /run/rekindle/demo)" "inactive control"
in_box rekindle --name demo call apple
expect "which starts it again" 0 '^1$'
box systemctl stop $unit.socket
swept
equal "when both are stopped nothing is left" "$(left)" ""

# ---- the sweep by itself ----

in_box rekindled --sweep /
expect "it refuses /" 64 "is not swept"
in_box rekindled --sweep -.slice
expect "and every unit that is not ours" 64 "is not swept"
equal "it starts again" "$(up)" ""
in_box rekindled --sweep $unit.service
expect "a unit that runs is left alone" 0 'not swept.*runs'
equal "whose workers live" "$(workers | wc -l)" 4
in_box sh -c "echo \$\$ >$groups/system.slice/system-rekindle.slice/$unit.service/cgroup.procs; systemctl stop $unit; exec rekindled --sweep $unit.service"
expect "and a group that it is in itself" 1 'our own control group'

# ---- a fleet of that name by hand ----

swept
box rekindle run --name demo -n 2 -- "$libexec/wordcount" >/dev/null 2>"$tmp/by-hand" &
by_hand=$!
started[$by_hand]=
box env REKINDLE_RUNTIME_DIR=/run/rekindle rekindle --name demo status --wait >/dev/null
box systemctl start --no-block $unit
in_box timeout 20 sh -c "journalctl -f -n 50 -q -o cat -u $unit | grep -m1 \"'demo' is running already\""
expect "the service does not start beside it, and says why" 0 'running already'
swept
in_box rekindle --name demo call apple
expect "and its stop leaves that fleet alone" 0 '^1$'
in_box rekindle stop demo
expect "which is stopped by hand" 0 'stopped'
reap $by_hand

# ---- users and rights ----

equal "it starts again" "$(up)" ""
in_box setpriv --reuid=65534 --regid=65534 --clear-groups env REKINDLE_RUNTIME_DIR=/run/rekindle rekindle --name demo call apple
expect "nobody else may call" 77 'ermission denied'
put /etc/rekindle/other.conf "[Fleet other]
Exec=$libexec/wordcount
Workers=2
User=nobody
Nice=-5
ClientGroup=daemon
SocketMode=0660
[Supervisor]
RealTime=yes"
box sh -c "mkdir -p /etc/systemd/system/rekindle@other.service.d && cp $examples/privileged.conf /etc/systemd/system/rekindle@other.service.d/ && systemctl daemon-reload"
equal "privileged.conf: a fleet of another user starts beside it" "$(up other)" ""
worker=$(box pgrep -u nobody | head -1)
equal "User: its workers are nobody, without a capability" "$(status_of Uid "$worker" | cut -f1) $(status_of CapEff "$worker")" "65534 0000000000000000"
equal "Nice: above ours" "$(box cut -d' ' -f19 "/proc/$worker/stat")" -5
equal "RealTime: there is a thread in real time" "$(box ps -L -o cls= -p "$(box pgrep -P "$(show MainPID rekindle@other)" | head -1)" | grep -c FF)" 1
result "and its memory is locked" "$(box journalctl -q --no-pager -u rekindle@other -o cat | grep "not permitted")"
in_box setpriv --reuid=65533 --regid=65533 --groups=1 env REKINDLE_RUNTIME_DIR=/run/rekindle rekindle --name other call apple
expect "ClientGroup: members may call" 0 '^1$'
equal "and it scores as doc/systemd.md says" "$(score rekindle@other)" "$(sed -n 's/.*; with privileged.conf: \([0-9.]*[0-9]\).*/\1/p' "$page")"
swept other
equal "stopping one leaves the other" "$(show ActiveState) $(workers | wc -l)" "active 4"
swept
dropin "RestrictNamespaces=yes"
equal "RestrictNamespaces: a sandbox without clone3 is no obstacle" "$(up)" ""
worker=$(workers | head -1)
equal "even to their groups" \
	"$(box sed 's,rekindle-demo-[0-9]*,KEEPER,; s,[0-9.]*$,SLOT,' "/proc/$worker/cgroup" | grep '^0::')" \
	"0::/system.slice/system-rekindle.slice/rekindle@demo.service/KEEPER/demo/SLOT"
swept
dropin ""

# ---- limits ----

# pass_on: gives the container a controller that lets no process into groups that pass it on, down to
# the unit's slice. Prints which; nothing where this machine has none to give.
pass_on() {
	local group above c p
	group=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)$(sed -n 's/^0:://p' "/proc/$box_guard/cgroup")
	above=${group%/*}
	for c in memory pids hugetlb misc; do grep -qw $c "$above/cgroup.controllers" && break; done
	grep -qw $c "$above/cgroup.subtree_control" || echo "-$c $above/cgroup.subtree_control" >"$tmp/undo"
	echo +$c >"$above/cgroup.subtree_control"
	for p in $(cat "$group/cgroup.procs"); do echo "$p" >"$group/supervisor/cgroup.procs"; done
	echo +$c >"$group/cgroup.subtree_control"
	box sh -c 'cd "$2"; for g in . system.slice system.slice/system-rekindle.slice; do echo +$1 >"$g/cgroup.subtree_control"; done
		grep -qw "$1" "system.slice/system-rekindle.slice/$3.service/cgroup.controllers" && echo "$1"' - $c $groups $unit
}

# take_back: undoes that, when the container is gone
take_back() {
	local what file
	[ ! -f "$tmp/undo" ] || { read -r what file <"$tmp/undo" && echo "$what" >"$file"; }
}
trap 'box_down; take_back; cleanup' EXIT

equal "it starts again" "$(up)" ""
controller=$(pass_on 2>/dev/null)
name="ExecStopPost: a fleet whose group passes limits on outlives keeper too"
if [ -z "$controller" ]; then
	skip "$name" "cgroup: this machine has no controller of version 2 to pass on"
else
	# As the supervisor does with MemoryMax= and its like, which need not be among them here.
	box sh -c 'cd "$1/system.slice/system-rekindle.slice/$2.service" && cd rekindle-demo-[0-9]* && mkdir main &&
		for p in $(cat ../cgroup.procs); do echo $p >main/cgroup.procs; done
		echo +$3 >../cgroup.subtree_control; echo +$3 >cgroup.subtree_control' - $groups $unit "$controller"
	team
	n_calls=0
	crash
	kept "$name"
fi
swept

# ---- the journal ----

# told MATCH…: how many entries of ours there are with these fields
told() {
	box journalctl -q --no-pager -o cat --output-fields=PRIORITY "SYSLOG_IDENTIFIER=rekindled" "$@" | grep -c .
}

# tells MATCH…: waits, 10 s at most, until there is one
tells() {
	local end=$((SECONDS + 10))
	until [ "$(told "$@")" -gt 0 ]; do
		[ $SECONDS -lt $end ] || { echo "there is no entry with $*"; return 1; }
	done
}

# ids: each message id that the journal has of ours
ids() {
	box journalctl -q --no-pager -o export SYSLOG_IDENTIFIER=rekindled | sed -n 's/^MESSAGE_ID=//p' | sort -u
}

equal "it starts again" "$(up)" ""
worker=$(workers | head -1)
box kill -KILL "$worker"
box rekindle --name demo status --wait >/dev/null
equal "a death is an entry" "$(tells REKINDLE_EVENT=death REKINDLE_PID="$worker")" ""
in_box journalctl -q --no-pager -o export REKINDLE_EVENT=death REKINDLE_PID="$worker"
slot=$(sed -n 's/^REKINDLE_WORKER=//p' <<<"$out")
result "with its fields" "$(for field in PRIORITY=4 REKINDLE_NAME=demo REKINDLE_FLEET=demo 'REKINDLE_WORKER=[0-3]' \
	'REKINDLE_INCARNATION=[0-9]+' 'REKINDLE_GROUP=[0-9]+' 'MESSAGE_ID=[0-9a-f]{32}' 'MESSAGE=worker died cause="SIGKILL".*' \
	_SYSTEMD_UNIT=$unit.service _TRANSPORT=journal "_UID=$uid"; do
	grep -qxE "$field" <<<"$out" || echo "no $field"
done)"
equal "what came of it is found by the same group" \
	"$(told REKINDLE_EVENT=obituary "REKINDLE_GROUP=$(sed -n 's/^REKINDLE_GROUP=//p' <<<"$out")")" 1
equal "nothing of ours comes by standard output or error" \
	"$(box journalctl -q --no-pager -o cat -u $unit _TRANSPORT=stdout _COMM=rekindled + _TRANSPORT=stdout _COMM=rekindled-sup)" ""
box journalctl --update-catalog
in_box journalctl -q --no-pager -x REKINDLE_EVENT=death REKINDLE_PID="$worker"
expect "journalctl -x explains it" 0 "Worker $slot of demo has died"
expect "and says what to do" 0 "'rekindle why $slot'"
result "as it does every message that there has been ($(ids | wc -l))" \
	"$([ "$(ids | wc -l)" -ge 6 ] || ids; comm -23 <(ids) <(box journalctl --list-catalog | cut -d' ' -f1 | sort))"
put /etc/rekindle/amiss.conf "[Fleet amiss]
Exec=/nonsense"
# Whose an entry is journald asks of a process that has nothing else to live for; a slow one does not
# come to it at once. (It is not waited for longer than half a second, which this machine may take.)
journald=$(show MainPID systemd-journald)
complaint=
for _ in {1..20}; do
	box kill -STOP "$journald"
	box systemctl start --no-block rekindle@amiss
	read -r -t 0.15 -u 4
	box kill -CONT "$journald"
	complaint+=$(becomes rekindle@amiss failed)
	box systemctl reset-failed rekindle@amiss
done
n_told=$(told _SYSTEMD_UNIT=rekindle@amiss.service CONFIG_FILE=/etc/rekindle/amiss.conf CONFIG_LINE=2)
result "a mistake in a configuration has its place in fields, and is its unit's ($n_told of 20)" \
	"$complaint$([ "$n_told" -ge 19 ] || echo "only $n_told of 20 are")"
box rm /etc/rekindle/amiss.conf

# What stands still holds up nobody, and what was told meanwhile is there afterwards.
box kill -STOP "$journald"
worker=$(workers | head -1)
box kill -KILL "$worker"
in_box rekindle --name demo status --wait
box kill -CONT "$journald"
expect "a journald that is stopped holds up no restart" 0 '4 of 4 ready'
equal "and gets to know of it" "$(tells REKINDLE_EVENT=death REKINDLE_PID="$worker")" ""
box kill -KILL "$journald"
becomes systemd-journald active
worker=$(workers | head -1)
box kill -KILL "$worker"
equal "a journald that was killed and is there again, too" "$(tells REKINDLE_EVENT=death REKINDLE_PID="$worker")" ""
swept

# ---- enable, boot, disable ----

put /etc/rekindle/wrong.conf "[Fleet wrong]
Exec=/nonsense"
in_box rekindle enable wrong
expect "rekindle enable: not a configuration that is wrong" 78 'wrong\.conf:2: Exec='
equal "which is not enabled" "$(box systemctl is-enabled rekindle@wrong)" disabled
box rm /etc/rekindle/wrong.conf
in_box setpriv --reuid=65534 --regid=65534 --clear-groups rekindle enable demo
expect "nor for anybody" 77 "$unit.service was not enabled: it takes root's rights"
box systemctl mask --quiet $unit
in_box rekindle enable demo
expect "nor what is masked" 1 "$unit.service was not enabled"
box systemctl unmask --quiet $unit
dropin "ExecStart=
ExecStart=/bin/false
Restart=no"
in_box rekindle enable demo --now
expect "what is enabled and does not start is told" 1 "it is enabled, but has not been started"
expect "with where to look" 1 "'journalctl -xeu $unit.service'"
equal "and is" "$(box systemctl is-enabled $unit) $(show ActiveState)" "enabled failed"
dropin ""
box systemctl reset-failed $unit
in_box rekindle disable demo
expect "rekindle disable" 0 "^$unit.service is disabled"
equal "and it is" "$(box systemctl is-enabled $unit)" disabled
in_box rekindle enable demo --now
expect "rekindle enable --now" 0 "^$unit.service runs$"
equal "and it does, all of it" "$(box systemctl is-enabled $unit) $(box rekindle --name demo status --check >/dev/null; echo $?)" "enabled 0"
put /etc/systemd/system/customer.service "[Unit]
Requires=$unit.service
After=$unit.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=sh -c 'rekindle --name demo call pear >/root/started'
ExecStop=sh -c 'rekindle --name demo call pear >/root/stopped'
[Install]
WantedBy=multi-user.target"
box systemctl enable -q --now customer
box rm /root/started
box systemctl start --no-block reboot.target
box_booted # not in a subshell: it finds the new PID 1
result "the container boots again" "$([ $? -eq 0 ] || echo "it does not"; cat "$box_dir/log")"
equal "and the fleet has started with it" "$(show ActiveState)" active
in_box rekindle status demo --wait
expect "its workers too" 0 '^demo +4 of 4 ready'
equal "who is ordered behind it finds it at its own stop" "$(box cat /root/stopped)" 2
equal "and at its start" "$(box cat /root/started)" 1
in_box rekindle disable demo
expect "rekindle disable: it runs on" 0 "^$unit.service runs on until 'systemctl stop"
equal "until then" "$(box systemctl is-enabled $unit) $(show ActiveState)" "disabled active"
in_box rekindle disable demo --now
expect "rekindle disable --now: it does not" 0 "^$unit.service does not run$"
swept
equal "which leaves nothing" "$(left)" ""
box_down
take_back

# ---- control groups, version 1 ----

for mode in legacy hybrid; do
	if ! box_up "$files" $mode; then
		skip "version 1" "systemd: $box_reason"
		break
	fi
	dropin "RestartSec=60"
	equal "$mode: it starts" "$(up)" ""
	leave
	crash
	becomes $unit activating
	result "$mode: who is left lives on" "$(box kill -0 "$left_pid" 2>&1)"
	swept
	equal "$mode: a stop leaves nothing" "$(left)" ""
	box_down
done
finish
