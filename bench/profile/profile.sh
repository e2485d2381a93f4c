#!/usr/bin/env bash
# Profiles durable ingest and queries of the embedded engine: flame graphs in .cache/profile/, the functions that were
# most often at work, and what a sample or an answer takes from the heap.
#
#   bench/profile/profile.sh PROFILED_WORK SECONDS
#
# With perf where the machine lets this user sample, else with gperftools (Debian: linux-perf, google-perftools). Run by
# `make profile`, which builds the program.
set -euo pipefail

work=${1:-}
seconds=${2:-}
if ! [[ -x $work && $seconds =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: bench/profile/profile.sh PROFILED_WORK SECONDS (a whole number)" >&2
  exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
out=.cache/profile
mkdir -p "$out"
profiler=/usr/lib/x86_64-linux-gnu/libprofiler.so.0

if perf record -q -o "$out/probe" true >/dev/null 2>&1; then
  with=perf
elif [ -e "$profiler" ] && command -v google-pprof >/dev/null; then
  with=gperftools
else
  echo "profile: neither perf nor gperftools can be used here: apt-get install linux-perf google-perftools; perf" \
    "also wants root, or kernel.perf_event_paranoid of at most 1" >&2
  exit 1
fi
echo "profile: with $with, $seconds s each"

for what in ingest query; do
  run=("$work" "$what" --dir "$out/database" --seconds "$seconds")
  if [ "$with" = perf ]; then
    perf record -q -F 997 --call-graph fp -o "$out/$what.perf" "${run[@]}"
    perf script -i "$out/$what.perf" -F comm,ip,sym 2>/dev/null | "$here/flame.py" "$what" >"$out/$what.svg"
  else
    CPUPROFILE=$out/$what.prof CPUPROFILE_FREQUENCY=997 LD_PRELOAD=$profiler "${run[@]}"
    google-pprof --collapsed "$work" "$out/$what.prof" 2>/dev/null | "$here/flame.py" --collapsed "$what" >"$out/$what.svg"
  fi
  echo "profile: $out/$what.svg"
done
