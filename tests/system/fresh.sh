#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    on a Debian 12 with nothing but git and apt, `./run` of a fresh clone installs what it
#         needs, builds, and ends with a true verdict within five minutes.
# Method  debootstrap makes such a system in a directory; ./run is its first command, in namespaces
#         of its own for mounts and processes, which end with it. Needs root and Debian's mirror.
. "$(dirname "$0")/../check/lib.sh"

time_s=300
mirror=${RK_TEST_MIRROR:-http://deb.debian.org/debian}
tmp=$(mktemp -d /tmp/rk-fresh.XXXXXX)
trap 'rm -rf --one-file-system "$tmp"' EXIT
trap 'exit 1' INT TERM HUP

# unable REASON: skips it all
unable() {
	skip "./run on a fresh machine" "$1"
	finish
	exit
}

[ "$(id -u)" -eq 0 ] || unable "root: needed for debootstrap"
command -v debootstrap >/dev/null || unable "debootstrap: not installed"
debootstrap --variant=minbase --include=git,ca-certificates bookworm "$tmp/root" "$mirror" >"$tmp/log" 2>&1 </dev/null ||
	unable "mirror: debootstrap from $mirror failed: $(tail -n 1 "$tmp/log")"

git clone -q --no-hardlinks "$root" "$tmp/root/rekindle" 2>"$tmp/log"
result "a clone of what is committed" "$([ -f "$tmp/root/rekindle/run" ] || cat "$tmp/log")"
cat >"$tmp/root/go" <<'GO'
set -eu
mount -t proc proc /proc
mount -t tmpfs tmpfs /dev/shm
cd /rekindle
exec ./run
GO
mount_dev='mkdir -p "$0/dev/shm" && for f in null zero full random urandom tty; do touch "$0/dev/$f" && mount --bind "/dev/$f" "$0/dev/$f" || exit; done && exec chroot "$0" /bin/bash /go'
start=$SECONDS
unshare --mount --pid --fork --kill-child --uts --ipc bash -c "$mount_dev" "$tmp/root" >"$tmp/out" 2>"$tmp/err" </dev/null
status=$?
took=$((SECONDS - start))
result "./run exits 0" "$([ $status -eq 0 ] || { echo "exit status $status"; tail -n 20 "$tmp/err"; })"
result "it took $took s, of $time_s" "$([ $took -le $time_s ] || echo too long)"
result "it installed what it needed" "$(grep -q '^installing.* gcc' "$tmp/err" || head -n 5 "$tmp/err")"
result "it ends with a true verdict and three things to try" "$(grep -q 'nothing lost, nothing counted twice, every living client got all its answers' "$tmp/out" &&
	grep -q '^Try next:' "$tmp/out" || tail -n 30 "$tmp/out")"
result "no mount is left" "$(grep -F "$tmp" /proc/self/mounts)"
grep -A1 '^Verdict' "$tmp/out" | sed 's/^/# /'
finish
