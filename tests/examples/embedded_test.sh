#!/usr/bin/env bash
# Runs the linking example and looks at what it prints: six averages, the averages of kitchen temperatures.
set -euo pipefail
directory=$(mktemp -d "${TEST_TMPDIR:-/tmp}/example.XXXXXX")
trap 'rm -rf "$directory"' EXIT
output=$("$1" "$directory/db")
echo "$output"
[ "$(wc -l <<<"$output")" -ge 6 ]
# Buckets are aligned to the epoch, so the first may be cut; a full one averages ten steps of 0.1.
grep -qE '  2[0-5]\.[0-9]{2}$' <<<"$output"
# Again: the folder is opened, not made anew.
"$1" "$directory/db" >/dev/null
