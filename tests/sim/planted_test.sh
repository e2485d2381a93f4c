#!/usr/bin/env bash
# The test of the tests: every planted bug (base/planted.h) is caught by a simulator gate of SEEDS seeds.
#
#   planted_test.sh NEXUS_SIM [SEEDS]
#
# Prints for each bug the first seed that fails and how; ends with 1 if a bug survives. A program that one of its own
# checks ended has been caught, too. Bazel's shards share the bugs out.
set -uo pipefail

sim=$1
seeds=${2:-2000}
shards=${TEST_TOTAL_SHARDS:-1}
shard=${TEST_SHARD_INDEX:-0}
[ -n "${TEST_SHARD_STATUS_FILE:-}" ] && touch "$TEST_SHARD_STATUS_FILE"

number=0
survivors=0
while IFS=: read -r bug _; do
  number=$((number + 1))
  [ $((number % shards)) -eq "$shard" ] || continue
  output=$("$sim" --plant "$bug" --seeds "$seeds" --stop 2>&1)
  code=$?
  # Ended in order, it has named the seed that failed: that something was not exercised is no catch.
  if [ "$code" -eq 0 ] || [ "$code" -eq 2 ] || { [ "$code" -eq 1 ] && ! grep -q '^seed=' <<<"$output"; }; then
    survivors=$((survivors + 1))
    echo "SURVIVED $bug: $seeds seeds"
  else
    echo "caught   $bug: $(tail -1 <<<"$output" | cut -c1-200)"
  fi
done < <("$sim" --plant list)

if [ "$number" -lt 25 ]; then
  echo "only $number planted bugs in $sim; there should be at least 25" >&2
  exit 1
fi
[ "$survivors" -eq 0 ]
