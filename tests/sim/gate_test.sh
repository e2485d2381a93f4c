#!/usr/bin/env bash
# The gate of every commit: SEEDS runs of the simulator hold, and together they met everything that there is to
# meet (nexus-sim fails on what was never exercised).
#
#   gate_test.sh NEXUS_SIM SEEDS
#
# The first seed is NEXUS_FIRST_SEED, which CI makes of the commit, or 1. NEXUS_GATE_SEEDS is for slow builds. Bazel's
# shards share the seeds out.
set -uo pipefail

sim=$1
seeds=${NEXUS_GATE_SEEDS:-$2}
first=${NEXUS_FIRST_SEED:-1}
shards=${TEST_TOTAL_SHARDS:-1}
shard=${TEST_SHARD_INDEX:-0}
[ -n "${TEST_SHARD_STATUS_FILE:-}" ] && touch "$TEST_SHARD_STATUS_FILE"

share=$(((seeds + shards - 1) / shards))
from=$((first + shard * share))
started=$SECONDS
echo "seeds $from to $((from + share - 1))"
"$sim" --seed "$from" --seeds "$share"
code=$?
echo "$share seeds in $((SECONDS - started)) s"
exit "$code"
