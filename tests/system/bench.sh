#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    every bench runs to its end and prints a line of figures for each of its cases. What the
#         figures are is nobody's business here: machines differ.
# Method  scripts/bench over the programs of $BUILD.
. "$(dirname "$0")/lib.sh"

export BUILD=$build
for name in route publish commit arena call recover idle place; do
	run_program scripts/bench --json "$name"
	expect "bench_$name runs to its end" 0 "^\\{\"bench\":\"$name\",.*\"p50\":-?[0-9.e+-]+"
done
finish
