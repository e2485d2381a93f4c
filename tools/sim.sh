#!/usr/bin/env bash
# Runs the simulator over a range of seeds, split over all cores; prints the seeds that failed and what the
# runs exercised.
#
#   tools/sim.sh FIRST COUNT
#
# Ends with 1 if any seed failed; `bin/nexus-sim --seed N` replays one. Run by `make sim`, which builds it.
set -euo pipefail
cd "$(dirname "$0")/.."

first=${1:-}
count=${2:-}
if ! [[ $first =~ ^[0-9]+$ && $count =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: tools/sim.sh FIRST COUNT (whole numbers, COUNT at least 1)" >&2
  exit 2
fi

cores=$(nproc)
share=$(((count + cores - 1) / cores))
pids=()
for ((from = first; from < first + count; from += share)); do
  left=$((first + count - from))
  bin/nexus-sim --seed "$from" --seeds $((left < share ? left : share)) </dev/null &
  pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
echo "$count seeds in $SECONDS s on $cores cores: $(awk "BEGIN { printf \"%.1f\", $count / ($SECONDS + ($SECONDS == 0)) }") a second"
exit $failed
