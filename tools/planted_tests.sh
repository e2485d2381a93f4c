#!/usr/bin/env bash
# Prints which of the planted bugs tests other than the simulator's see, each with the first such test.
#
#   tools/planted_tests.sh [BUG]...
#
# A bug that no other test sees is one for which the simulator is needed. The tests are the units of log, layers,
# catalog, engine, client and server, and the kill loop; those that enumerate cuts, failures or random runs are left
# out. All bugs take about an hour on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly exhaustive='every_cut_test|nth_failure_test|random|stateful_test|soak|bit_flip_test|start_crash_test'
readonly of_the_real_kernel='serve_test|connect_test|install|nab_test|recorded_test'
mapfile -t tests < <(bazel query --noshow_progress --ui_event_filters=-info 'kind(".*_test rule",
  //tests/wal/... + //tests/layer/... + //tests/catalog/... + //tests/batch/... + //tests/engine/... + //tests/client/... +
  //tests/server/...)' | grep -vE "$exhaustive|$of_the_real_kernel")
run=(bazel test --config=planted --ui_event_filters=-info --noshow_progress)
bazel build --config=planted --ui_event_filters=-info --noshow_progress //tests/sim:nexus-sim-planted
sim=$(bazel info --config=planted bazel-bin 2>/dev/null)/tests/sim/nexus-sim-planted
if [ $# -gt 0 ]; then bugs=("$@"); else mapfile -t bugs < <("$sim" --plant list | sed 's/: .*//'); fi
if ! "${run[@]}" "${tests[@]}" //tests/kill_loop:kill_loop_test >/dev/null; then
  echo "tools/planted_tests.sh: a test fails without any bug" >&2
  exit 1
fi
# The first test of these that fails, or nothing.
first_of() {
  { "${run[@]}" --notest_keep_going --test_env=NEXUS_PLANT="$bug" "$@" 2>/dev/null || true; } |
    grep -oE '^//\S+ +(FAILED|TIMEOUT)' | head -1 | cut -d' ' -f1
}
echo '| bug | unit tests | kill loop |'
echo '|---|---|---|'
for bug in "${bugs[@]}"; do
  unit=$(first_of "${tests[@]}" || true)
  loop=$(first_of //tests/kill_loop:kill_loop_test || true)
  printf "| \`%s\` | %s | %s |\n" "$bug" "${unit:-survives}" "${loop:+seen}"
done
