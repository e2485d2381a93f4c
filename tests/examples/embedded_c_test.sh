#!/usr/bin/env bash
# Runs the linking example in C and compares what it prints, a repeated batch and exact averages included.
set -euo pipefail
directory=$(mktemp -d "${TEST_TMPDIR:-/tmp}/example.XXXXXX")
trap 'rm -rf "$directory"' EXIT
output=$("$1" "$directory/db")
diff - <(echo "$output") <<'WANT'
120 samples are durable
120 samples are durable, and were before
embedded_example{host="a"} 0s 9.5
embedded_example{host="a"} 20s 29.5
embedded_example{host="a"} 40s 49.5
embedded_example{host="b"} 0s 109.5
embedded_example{host="b"} 20s 129.5
embedded_example{host="b"} 40s 149.5
WANT
# A folder that cannot be made is an error by name, not a crash.
echo "not a folder" >"$directory/file"
if "$1" "$directory/file/db" 2>"$directory/errors"; then exit 1; fi
grep -q '^opening: .*file.* (code [0-9]*)$' "$directory/errors"
