#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Goal    the labels of doc/models are those of the code's comments, and every labelled access of
#         the modelled modules is in a model.
# Method  a label is a letter and a digit. The code labels an access with a comment that begins
#         "Q3:" or that is the label alone; a model labels a step with "Q3:" at the line's
#         beginning, or with a comment that is the label alone (Promela wants labels once a
#         process). Then a planted label in each, which must be found.
. "$(dirname "$0")/../check/lib.sh"

modules=(queue call owner deliver state part bell beat evict dead vigil)

# of_code DIR: labels of the modelled modules
of_code() {
	local m
	for m in "${modules[@]}"; do
		grep -hoE '(/\*|^[[:space:]]*\*) ([A-Z][0-9]:|[A-Z][0-9] \*/)' "$1/shm/$m".[ch]
	done | grep -oE '[A-Z][0-9]' | sort -u
}

# mentioned DIR: labels anywhere in the comments of shm/
mentioned() {
	grep -hE '/\*|^[[:space:]]*\*' "$1"/shm/*.[ch] | grep -oE '\<[A-Z][0-9]\>' | sort -u
}

# of_models DIR
of_models() {
	grep -hoE '^[A-Z][0-9]:|/\* [A-Z][0-9] \*/' "$1"/doc/models/*.pml | grep -oE '[A-Z][0-9]' | sort -u
}

# strangers DIR: labels of the models that the code does not know
strangers() {
	comm -23 <(of_models "$1") <(mentioned "$1") | sed 's/$/ is in a model and not in shm\//'
}

# forgotten DIR: labels of the code that no model has
forgotten() {
	comm -13 <(of_models "$1") <(of_code "$1") | sed 's/$/ is in shm\/ and not in a model/'
}

result "each of $(of_models "$root" | wc -l) labels of the models is one of the code's" "$(strangers "$root")"
result "each of $(of_code "$root" | wc -l) labels of the modelled modules is in a model" "$(forgotten "$root")"

planted=$(mktemp -d)
trap 'rm -rf "$planted"' EXIT
mkdir -p "$planted/doc"
cp -r "$root/shm" "$planted/shm"
cp -r "$root/doc/models" "$planted/doc/models"
printf '\t/* Z8: a label of the code alone. */\n' >>"$planted/shm/queue.c"
printf 'Z9:\tskip\n' >>"$planted/doc/models/bell.pml"
result "a label of a model alone is found" \
	"$([ "$(strangers "$planted")" = "Z9 is in a model and not in shm/" ] || strangers "$planted")"
result "a label of the code alone is found" \
	"$([ "$(forgotten "$planted")" = "Z8 is in shm/ and not in a model" ] || forgotten "$planted")"
finish
