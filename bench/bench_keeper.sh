#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Claim   Under systemd, from keeper's SIGKILL to the first answer of the next one's supervisor, which
#         has adopted everything, it is at most 40 ms in the median.
# Method  a fleet as a service, with all of its sandbox, in a container with a systemd of its own
#         (tests/system/box.sh), killed by keeper_kills.c. The floor, in turn with it, is the least
#         program as a service with the same unit. With "without OPTION..." as arguments these are
#         taken out of both units, to see what they cost: bench_keeper.sh without PrivateTmp
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/system/box.sh
build=$(cd "${BUILD:-build}" && pwd) || exit 1
tmp=$(mktemp -d /tmp/rk-bench.XXXXXX) || exit 1
trap 'box_down; rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM HUP
files=$tmp/files

make -s -C "$build" install DESTDIR="$files" >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; exit 1; }
units=$(dirname "$(find "$files" -name rekindle@.service)")
install -D -t "$files/etc/rekindle" -m 644 "$(find "$files" -path '*/examples/demo.conf' | head -n 1)"
install -D -t "$files/usr/local/bin" "$build/bench/keeper_kills"
[ "${1-}" != without ] || for option in "${@:2}"; do sed -i "/^$option=/d" "$units/rekindle@.service"; done
sed -e 's|^Type=.*|Type=exec|; /^ExecStopPost/d; /^ExecReload/d; /^WatchdogSec/d; /rekindle-sweep/d' \
	-e 's|^ExecStart=.*|ExecStart=/usr/local/bin/keeper_kills serve /run/rekindle/%i/socket|' \
	"$units/rekindle@.service" >"$units/floor@.service"
if ! box_up "$files"; then
	printf '{"bench":"keeper","case":"without a keeper, systemd restarts it","skipped":"%s"}\n' "$box_reason"
	exit 0
fi
box systemctl start rekindle@demo floor@floor >&2 || exit 1
box env REKINDLE_RUNTIME_DIR=/run/rekindle ${BENCH_SCALE:+BENCH_SCALE="$BENCH_SCALE"} \
	/usr/local/bin/keeper_kills measure demo /run/rekindle/floor/socket
