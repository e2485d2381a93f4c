#!/usr/bin/env bash
# The names of planted bugs are in no program but those built to hold them.
#
#   planted_absent_test.sh PROGRAM_WITH PROGRAM_WITHOUT...
set -euo pipefail

with=$1
shift
names=$("$with" --plant list | cut -d: -f1)
[ -n "$names" ]
for program in "$@"; do
  while read -r name; do
    if grep -qF -- "$name" "$program"; then
      echo "$program contains \"$name\"" >&2
      exit 1
    fi
  done <<<"$names"
done
