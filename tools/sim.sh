#!/usr/bin/env bash
# Runs the simulator once for each of a range of seeds, on all cores, and prints the runs that failed.
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

failures=$(mktemp)
trap 'rm -f "$failures"' EXIT

one_seed() {
  local out
  if ! out=$(bin/nexus-sim --seed "$1" 2>&1 </dev/null); then
    printf '%s\nFAILED bin/nexus-sim --seed %s\n' "$out" "$1"
    echo "$1" >>"$2"
  fi
}
export -f one_seed

# The inner bash expands its own arguments.
# shellcheck disable=SC2016
seq "$first" $((first + count - 1)) |
  xargs -P "$(nproc)" -I{} bash -c 'one_seed "$1" "$2"' one_seed {} "$failures"

failed=$(wc -l <"$failures")
echo "sim: $count seeds from $first, $failed failed"
[ "$failed" -eq 0 ]
