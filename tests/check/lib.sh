# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the checks share: the tree's root, its files, and TAP. Sourced, not run.

set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
n=0
failed=0

# files DIR PATTERN…: the files below DIR whose names match one of the patterns, as DIR-relative
# paths, without what git or a build put there.
files() {
	local dir=$1 names=() p
	shift
	for p in "$@"; do names+=(-o -name "$p"); done
	(cd "$dir" && find . \( -name .git -o -name build -o -name build-aux -o -name autom4te.cache \
		-o -path ./m4/lt\* -o -path ./m4/libtool.m4 -o -path ./aclocal.m4 -o -path ./configure \
		-o -path ./Makefile.in \) -prune -o -type f \( "${names[@]:1}" \) -print | sed 's,^\./,,' | sort)
}

# What a failed test tells besides; those who know more say more.
details() { :; }

# result NAME OUTPUT: a test passes if there is nothing to complain of.
result() {
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		{ printf '%s\n' "$2"; details; } | sed 's/^/# /'
		failed=1
	fi
}

# skip NAME TOKEN: REASON
skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

finish() {
	echo "1..$n"
	exit "$failed"
}
