#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A real systemd as PID 1 in a throw-away container: systemd-nspawn over an overlay of "/", so it
# needs no image. Network: loopback. Sourced by tests; run by itself it is the guard below.
#
#	box_up FILES [unified|legacy|hybrid]	boots; FILES is a tree that is laid over "/". Returns 1 where
#			this machine cannot, with the reason in $box_reason
#	box COMMAND…	runs a command in it, as root
#	box_down	ends it
#
# Nothing is left behind, also when the test is killed. All lives in a mount and a pid namespace that
# end with their first process, below control groups of their own. A guard, in a session of its own,
# ends that process and removes the groups when the test tells it to or is gone (PDEATHSIG); should
# the guard be killed too, PDEATHSIG ends the rest, and the next box removes the groups.
box_self=${BASH_SOURCE[0]}
box_reason=
box_leader= # pid of the container's PID 1
box_guard=  # pid
box_dir=    # of the test, for what it and the guard share

# What this machine lacks, if anything.
box_lacks() {
	local c
	[ "$(id -u)" -eq 0 ] || { echo "needs root"; return; }
	for c in systemd-nspawn setpriv unshare nsenter setsid; do
		command -v $c >/dev/null || { echo "$c is not installed"; return; }
	done
	[ -x /usr/lib/systemd/systemd ] || [ -x /lib/systemd/systemd ] || { echo "systemd is not installed"; return; }
	grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || echo "the kernel has no overlayfs"
}

box_up() {
	local word=''
	box_reason=$(box_lacks)
	[ -z "$box_reason" ] || return 1
	box_dir=$(mktemp -d /tmp/rk-box.XXXXXX) || return 1
	mkfifo "$box_dir/told"
	: >"$box_dir/log"
	exec {box_told}<>"$box_dir/told"
	setsid setpriv --pdeathsig TERM bash "$box_self" guard "$box_dir" "$1" "${2:-unified}" $$ \
		</dev/null >>"$box_dir/log" 2>&1 {box_told}<&- &
	box_guard=$!
	read -r -t 60 word <&$box_told
	[ "$word" != ready ] || box_find && return
	box_reason="the container does not boot: ${word:-nothing is said for 60 s}; $(tr '\n' ' ' <"$box_dir/log" | tail -c 300)"
	box_down
	return 1
}

box_down() {
	[ -n "$box_guard" ] || return 0
	kill -TERM $box_guard 2>/dev/null
	wait $box_guard 2>/dev/null
	exec {box_told}<&-
	box_guard=
	box_leader=
}

box() {
	nsenter -t "$box_leader" -m -u -i -n -p -C -r -w -- env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin \
		TERM=dumb LC_ALL=C.UTF-8 SYSTEMD_PAGER= "$@"
}

# box_booted: waits until it has booted again
box_booted() {
	local word=''
	read -r -t 60 word <&$box_told
	[ "$word" = ready ] && box_find
}

# box_find: sets box_leader. The guard's child is unshare, which has made the namespaces' init, which
# has started systemd-nspawn, which has started, in a pid namespace below, the container's PID 1.
box_find() {
	local pid=$box_guard p
	for _ in unshare init nspawn; do pid=$(box_children "$pid"); done
	box_leader=
	for p in $(box_children "$pid"); do
		[ "$(readlink "/proc/$p/ns/pid")" = "$(readlink "/proc/$pid/ns/pid")" ] || box_leader=$p
	done
	[ -n "$box_leader" ]
}

# box_children PID
box_children() {
	local list
	read -r list 2>/dev/null <"/proc/$1/task/$1/children"
	echo "${list% }"
}

# ---- the guard ----

# groups: our control group in each hierarchy that systemd uses, "DIR" a line
groups() {
	local at type options path
	while read -r _ at type options _; do
		case $type,$options, in
		cgroup2,*) path=$(sed -n 's/^0:://p' /proc/self/cgroup) ;;
		cgroup,*,name=systemd,*) path=$(sed -n 's/^[0-9]*:name=systemd://p' /proc/self/cgroup) ;;
		*) continue ;;
		esac
		echo "$at${path%/}"
	done </proc/self/mounts
}

groups_remove() {
	find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
}

guard_end() {
	local init g
	trap '' TERM INT HUP
	if [ -n "$child" ]; then
		init=$(box_children "$child")
		kill -KILL "${init:-$child}" 2>/dev/null
		wait "$child" 2>/dev/null
	fi
	for g in "${ours[@]}"; do
		echo 0 >"$g/cgroup.procs"
		groups_remove "$g/rk-box.$$"
	done
	echo "it has ended" 1<>"$dir/told" # a fifo that is open for both blocks nobody
	rm -rf "$dir"
}

# guard DIR FILES MODE TEST
guard() {
	local g stale
	dir=$1
	child=
	mapfile -t ours < <(groups)
	trap guard_end EXIT
	trap 'exit 0' TERM INT HUP
	[ "$PPID" -eq "$4" ] || exit 1 # it ended before it could be waited for
	for g in "${ours[@]}"; do
		for stale in "$g"/rk-box.*; do
			[ -d "/proc/${stale##*.}" ] || groups_remove "$stale"
		done
		mkdir "$g/rk-box.$$" && echo 0 >"$g/rk-box.$$/cgroup.procs" || exit 1
	done
	setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
		bash "$box_self" inside "$dir" "$2" "$3" &
	child=$!
	wait "$child"
	child=
}

# inside DIR FILES MODE: the namespaces' init
inside() {
	local fs=$1/fs files=$2 m=$1/fs/merged unit
	mkdir "$fs" && mount -t tmpfs -o size=1g,mode=755 rk-box "$fs" || exit 1
	mkdir "$fs/upper" "$fs/work" "$m"
	mount -t overlay rk-box -o "lowerdir=/,upperdir=$fs/upper,workdir=$fs/work" "$m" || exit 1
	# Of this machine only what its packages bring starts, and no logins.
	rm -rf "$m/etc/systemd/system" "$m/var/log/journal" "$m/etc/rekindle" "$m/run"
	mkdir -p "$m/etc/systemd/system" "$m/etc/systemd/journald.conf.d" "$m/run"
	: >"$m/etc/machine-id"
	: >"$m/etc/fstab"
	for unit in getty.target systemd-logind.service proc-sys-fs-binfmt_misc.automount; do
		ln -s /dev/null "$m/etc/systemd/system/$unit"
	done
	printf '[Journal]\nStorage=volatile\nRateLimitBurst=0\n' >"$m/etc/systemd/journald.conf.d/rk-box.conf"
	printf '[Unit]\nRequires=multi-user.target\nWants=rk-box.service\nAfter=multi-user.target\nAllowIsolate=yes\n' \
		>"$m/etc/systemd/system/rk-box.target"
	printf "[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo ready >/rk-box'\n" \
		>"$m/etc/systemd/system/rk-box.service"
	cp -a "$files/." "$m/" && ldconfig -r "$m" || exit 1
	mount -t tmpfs -o mode=755 rk-box /run || exit 1 # where nspawn would leave something
	case $3 in
	unified) export UNIFIED_CGROUP_HIERARCHY=1 SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 ;;
	legacy) export UNIFIED_CGROUP_HIERARCHY=0 SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=0 ;;
	*) unset UNIFIED_CGROUP_HIERARCHY SYSTEMD_NSPAWN_UNIFIED_HIERARCHY ;;
	esac
	until # with --keep-unit it leaves a reboot to who has started it
		systemd-nspawn -q -D "$m" -M "rk-box-$$" --private-network --register=no --keep-unit --link-journal=no \
			--capability=CAP_IPC_LOCK --rlimit=NOFILE=1024:524288 --resolv-conf=off --timezone=off --bind="$1/told:/rk-box" --console=pipe \
			-b systemd.unit=rk-box.target systemd.log_target=journal systemd.show_status=0
		[ $? -ne 133 ]
	do :; done
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	set -u
	case ${1-} in
	guard | inside) "$@" ;;
	*)
		echo "sourced by tests; see its head" >&2
		exit 64
		;;
	esac
fi
