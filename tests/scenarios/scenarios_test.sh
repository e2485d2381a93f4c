#!/usr/bin/env bash
# Every scripted scenario of this folder holds. One that once failed is here with the bug that it found.
#
#   scenarios_test.sh NEXUS_SIM FILE...
set -uo pipefail

sim=$1
shift
failed=0
for scenario in "$@"; do
  if output=$("$sim" --scenario "$scenario" 2>&1); then
    echo "holds   $(basename "$scenario")"
  else
    failed=$((failed + 1))
    printf 'FAILED  %s\n%s\n' "$scenario" "$output"
  fi
done
echo "$# scenarios, $failed failed"
[ "$#" -gt 0 ] && [ "$failed" -eq 0 ]
