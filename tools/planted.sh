#!/usr/bin/env bash
# Prints the table of planted bugs in docs/testing.md: of each, the first seed that fails and how many of SEEDS do.
#
#   tools/planted.sh [SEEDS]
#
# Takes about a second for 15 seeds a bug and core. A run that one of the program's own checks ends counts as failed.
set -euo pipefail
cd "$(dirname "$0")/.."

seeds=${1:-200}
if ! [[ $seeds =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: tools/planted.sh [SEEDS] (a whole number, at least 1)" >&2
  exit 2
fi
bazel build --ui_event_filters=-info --noshow_progress //tests/sim:nexus-sim-planted
sim=$(bazel info bazel-bin 2>/dev/null)/tests/sim/nexus-sim-planted

# Prints the row of one bug.
row() {
  local bug=$1 what=$2 from=1 failed=0 first='' output seed code
  # A check ends the process: the seeds behind it take another one.
  while [ "$from" -le "$seeds" ]; do
    code=0
    output=$("$sim" --plant "$bug" --seed "$from" --seeds "$((seeds - from + 1))" --stop 2>/dev/null </dev/null) || code=$?
    [ "$code" -eq 0 ] && break
    seed=$(sed -nE 's/^seed=([0-9]+) .*/\1/p' <<<"$output" | tail -1)
    if [ -z "$seed" ]; then
      # Ended by a check: which seed it was, single runs tell.
      for ((seed = from; seed <= seeds; seed++)); do
        "$sim" --plant "$bug" --seed "$seed" >/dev/null 2>&1 </dev/null || break
      done
    fi
    [ "$seed" -gt "$seeds" ] && break
    first=${first:-$seed}
    failed=$((failed + 1))
    from=$((seed + 1))
  done
  printf '| %s | %s | %s | %s %% |\n' "$bug" "$what" "${first:-beyond $seeds}" "$(awk "BEGIN { printf \"%.1f\", 100 * $failed / $seeds }")"
}
rows=$(mktemp -d)
trap 'rm -rf "$rows"' EXIT
mapfile -t bugs < <("$sim" --plant list)
for i in "${!bugs[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
  row "${bugs[i]%%: *}" "${bugs[i]#*: }" >"$rows/$i" &
done
wait
echo '| bug | what is wrong | first seed | runs that fail |'
echo '|---|---|---|---|'
for i in "${!bugs[@]}"; do
  if ! [ -s "$rows/$i" ]; then
    echo "tools/planted.sh: the runs of ${bugs[i]%%: *} ended without a result; run it again" >&2
    exit 1
  fi
  cat "$rows/$i"
done
