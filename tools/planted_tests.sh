#!/usr/bin/env bash
# Prints which of the planted bugs other tests than the simulator's see, each with the first test that does.
#
#   tools/planted_tests.sh [BUG]...
#
# A bug that no other test sees is one for which the simulator is needed (docs/testing.md has the table). The tests are
# those of log, layers, catalog, batches, engine, client and server, and 30 seconds of the kill loop. Left out are those
# that enumerate power cuts and failures or run random lives in the simulated world: they are the crash model as well.
# All bugs take about three quarters of an hour on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly crash_model='every_cut_test|nth_failure_test|random|stateful_test|soak|bit_flip_test|start_crash_test'
# With the machine's recordings, or a folder of the machine, and slow for what they would see here.
readonly beside='serve_test|connect_test|nab_test|recorded_test'
readonly loop=//tests/kill_loop:kill_loop_test
quiet=(--config=planted --ui_event_filters=-info --noshow_progress)
mapfile -t tests < <(bazel query --noshow_progress --ui_event_filters=-info 'kind(".*_test rule", //tests/wal/... + //tests/layer/... +
  //tests/catalog/... + //tests/batch/... + //tests/engine/... + //tests/client/... + //tests/server/...)' | grep -vE "$crash_model|$beside")
bazel build "${quiet[@]}" --build_runfile_links "${tests[@]}" "$loop" //tests/sim:nexus-sim
built=$(bazel info --config=planted bazel-bin 2>/dev/null)
mapfile -t bugs < <("$built/tests/sim/nexus-sim" --plant list | sed 's/: .*//')
[ $# -eq 0 ] || bugs=("$@")

# Whether a test passes with the bug: passes LABEL [ARGUMENT]... What it leaves behind goes.
passes() {
  local program=${1#//} code=0 folder
  program=$built/${program/:/\/}
  folder=$(mktemp -d)
  (cd "$program.runfiles/nexus" && TEST_TMPDIR=$folder NEXUS_BINARY=server/nexus NEXUS_PLANT=$bug timeout -k 5 300 "$program" "${@:2}") \
    >/dev/null 2>&1 </dev/null || code=$?
  chmod -R u+rwx "$folder" 2>/dev/null && rm -rf "$folder"
  return "$code"
}
# The first unit test that sees the bug, or nothing.
seen_by() {
  local test
  for test in "${tests[@]}"; do
    passes "$test" || { echo "${test#//tests/}" && return; }
  done
}

bug=''
seen=$(seen_by)
if [ -n "$seen" ] || ! passes "$loop" kills --seconds 30; then
  echo "tools/planted_tests.sh: ${seen:-$loop} fails without any bug" >&2
  exit 1
fi
echo '| bug | unit tests | kill loop |'
echo '|---|---|---|'
for bug in "${bugs[@]}"; do
  unit=$(seen_by)
  if passes "$loop" kills --seconds 30; then kills=; else kills=sees; fi
  echo "| \`$bug\` | $unit | $kills |"
done
