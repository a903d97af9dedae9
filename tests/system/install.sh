#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    what `make install` puts down is all that a stranger needs: the README's worker and
#         client, and the examples, compile and link with pkg-config and run under the installed
#         rekindle; nothing but the public functions is exported; uninstall leaves nothing.
# Method  DESTDIR in a temporary directory, which pkg-config takes for its sysroot; every program
#         is built there, out of reach of this tree.
. "$(dirname "$0")/../check/lib.sh"

build=$(cd "${BUILD:-$root/build}" && pwd) || exit 1
tmp=$(mktemp -d /tmp/rk-install.XXXXXX)
dest=$tmp/dest
keeper=
cleanup() {
	[ -z "$keeper" ] || kill -KILL "$keeper" 2>/dev/null
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

# setting NAME: what the build was configured with, such as bindir
setting() {
	printf 'x:\n\t@echo $(%s)\n' "$1" | make -s -C "$build" -f Makefile -f - x
}

# missing FILE…: those of them that are not installed
missing() {
	local f
	for f; do [ -s "$dest$f" ] || echo "$f is not there"; done
}

make -s -C "$build" install DESTDIR="$dest" >"$tmp/log" 2>&1 || { result "make install" "$(cat "$tmp/log")"; finish; }
bin=$(setting bindir) sbin=$(setting sbindir) lib=$(setting libdir) doc=$(setting docdir)
result "programs, library, header, pkg-config file, man pages, units and examples are installed" "$(missing \
	"$bin/rekindle" "$sbin/rekindled" "$(setting libexecdir)"/rekindle/{wordcount,rekindle-bridge} "$lib/librekindle.so" \
	"$(setting datadir)/rekindle/presets/jq.conf" \
	"$lib/librekindle.so.0" "$(setting includedir)/rekindle.h" "$lib/pkgconfig/rekindle.pc" \
	"$(setting mandir)/man1/rekindle.1" "$(setting mandir)/man8/rekindled.8" \
	"$(setting systemdsystemunitdir)"/rekindle{@.service,-sweep@.service,@.socket} "$(setting sysusersdir)/rekindle.conf" \
	"$doc"/examples/{demo,privileged}.conf "$(setting catalogdir)/rekindle.catalog" "$doc/LICENSE" \
	"$doc"/examples/{bank,bank_client,wordcount,wordcount_client}.c)"
result "and no header but the public one" \
	"$(cd "$dest" && find . -name '*.h' ! -path "./$(setting includedir)/rekindle.h" | grep -v "\.$(setting includedir)/rekindle.h")"

result "what is made at install time names the places of this build" "$(cd "$dest" && grep -rn '@[a-z]*dir@' . --include='*.service' --include='*.conf'
	grep -L "=$sbin/rekindled" .$(setting systemdsystemunitdir)/*.service
	grep -L "=$(setting libexecdir)/rekindle/" ".$doc/examples/demo.conf")"

# Each exported function carries its version, and the map's list is all there is.
sed -n 's/^\t\(rk_[a-z_]*\);$/\1@@REKINDLE_0/p' "$root/workers/lib/rekindle.map" | sort >"$tmp/map"
nm -D --defined-only "$dest$lib/librekindle.so" | awk '$2 != "A" { print $3 }' | sort >"$tmp/exported"
result "the library exports the public functions with their versions, and nothing else" \
	"$([ -s "$tmp/map" ] || echo "the map is empty"; diff "$tmp/map" "$tmp/exported")"
grep -oE '^[a-z].*\brk_[a-z_]+\(' "$dest$(setting includedir)/rekindle.h" | grep -v '^typedef' | grep -oE 'rk_[a-z_]+\($' |
	tr -d '(' | sort >"$tmp/declared"
result "and those are what rekindle.h declares" "$(sed 's/@.*//' "$tmp/map" | diff "$tmp/declared" -)"

export PKG_CONFIG_PATH=$dest$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$dest
cat >"$tmp/plus.cc" <<'TXT'
#include <rekindle.h>

int main()
{
	rk_client *client = nullptr;
	rk_client_close(client);
	return rk_outcome_text(RK_DONE)[0] != 'd';
}
TXT
name="the header compiles as C++, and such a program links and runs"
if ! command -v g++ >/dev/null; then
	skip "$name" "g++: g++ is not installed"
else
	# shellcheck disable=SC2046 # several words are meant
	result "$name" "$(g++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -o "$tmp/plus" "$tmp/plus.cc" \
		$(pkg-config --cflags --libs rekindle) 2>&1 &&
		LD_LIBRARY_PATH=$dest$lib "$tmp/plus" || echo "exit status $?")"
fi

# build_with NAME SOURCE: compiles and links it as the README says. Prints what is wrong.
build_with() {
	# shellcheck disable=SC2046 # several words are meant
	cc -Wall -Wextra -Wno-unused-parameter -Werror -o "$tmp/$1" "$2" $(pkg-config --cflags --libs rekindle) 2>&1
}
for i in 1 2; do
	awk -v n=$i '/^```c$/ { k++; inside = k == n; next } /^```/ { inside = 0 } inside' "$root/README.md" >"$tmp/readme$i.c"
	result "program $i of the README compiles and links with pkg-config alone" "$(build_with readme$i "$tmp/readme$i.c")"
done
for i in bank bank_client wordcount wordcount_client; do
	result "the installed example $i does too" "$(build_with $i "$dest$doc/examples/$i.c")"
done

# start COMMAND: a fleet of it by the installed rekindle, which is ready when it says its name
start() {
	local line
	rm -f "$tmp/events"
	mkfifo "$tmp/events"
	"$dest$bin/rekindle" run -n 2 -- "$1" >"$tmp/events" 2>"$tmp/err" </dev/null &
	keeper=$!
	exec 7<"$tmp/events"
	while IFS= read -r -t 30 -u 7 line; do
		[[ $line != *": fleet "* ]] || return 0
	done
	echo "the fleet did not start: $(cat "$tmp/err")"
}

# stop: ends it. Prints what is wrong; not for a subshell, whose child it is not.
stop() {
	"$dest$bin/rekindle" stop >/dev/null 2>&1 || echo "stop failed"
	wait "$keeper" || echo "rekindle run ended with $?"
	keeper=
	ls -A "$tmp/r"
}

export REKINDLE_RUNTIME_DIR=$tmp/r LD_LIBRARY_PATH=$dest$lib PATH=$dest$sbin:$PATH
unset REKINDLE_NAME
name="a fleet of the README's worker, under the installed rekindle, answers the README's client"
if [ -x "$sbin/rekindled" ]; then
	skip "$name" "installed: $sbin/rekindled would be run instead"
else
	start "$tmp/readme1" >"$tmp/said"
	result "$name" "$(cat "$tmp/said"
	readlink "/proc/$keeper/exe" | grep -vxF "$dest$sbin/rekindled"
	for i in 1 2; do "$tmp/readme2" 2>&1 | grep -vxF "done, 8 bytes"; done
	"$dest$bin/rekindle" call user:7 | od -An -tu8 -N8 | grep -vx ' *3')"
	stop >"$tmp/said"
	result "and it ends well" "$(cat "$tmp/said")"
	start "$tmp/bank" >"$tmp/said"
	"$tmp/bank_client" 500 2>&1 | grep -v '^total 100000 after' >>"$tmp/said"
	stop >>"$tmp/said"
	result "the installed bank and its client do the same" "$(cat "$tmp/said")"
fi

make -s -C "$build" uninstall DESTDIR="$dest" >"$tmp/log" 2>&1
result "uninstall leaves no file" "$(find "$dest" ! -type d)"
finish
