#!/usr/bin/env bash
# Every linked engine gives the right answers, over each kind of workload, also after it was opened again, settled and
# compacted. By hand, since it needs the peers:
#
#   bazel test --config=release //bench/peers/embedded:agree_test --test_arg=LIBDUCKDB.SO [--test_arg=RECORDINGS]
#   agree_test.sh EMBEDDED [LIBDUCKDB.SO [RECORDINGS]]
#
# Without the library DuckDB is left out, which is said; without the folder the recordings are.
set -euo pipefail

embedded=$1
duckdb=${2:-}
recordings=${3:-}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

# agree RIGHT GIVEN: the answers in two files are the same, but for the order of additions.
agree() {
  python3 - "$1" "$2" <<'PYTHON'
import json
import sys

right, given = (json.load(open(path))["answers"] for path in sys.argv[1:3])
if not right or len(right) != len(given):
    sys.exit(f"{len(given)} answers of {len(right)}")
for number, ((count, total), (given_count, given_total)) in enumerate(zip(right, given)):
    if count != given_count or abs(total - given_total) > 1e-9 * max(1, abs(total), abs(given_total)):
        sys.exit(f"question {number}: {given_count} and {given_total}, right is {count} and {total}")
PYTHON
}

# check ENGINE KIND WORKLOAD...: its answers are those of the truth.
check() {
  local engine=$1 kind=$2 state=$3
  shift 3
  "$embedded" ask "$engine" --duckdb "$duckdb" --dir "$scratch/$engine" --kind "$kind" --count 30 --answers 30 "$@" \
    >"$scratch/given"
  if ! agree "$scratch/truth-$kind" "$scratch/given"; then
    echo "WRONG   $engine $kind $state: $*"
    failed=$((failed + 1))
  fi
}

# run ENGINE KINDS WORKLOAD...: writes, and asks in each state of the files.
run() {
  local engine=$1 kinds=$2 kind
  shift 2
  rm -rf "${scratch:?}/$engine"
  local place=("$engine" --duckdb "$duckdb" --dir "$scratch/$engine")
  "$embedded" ingest "${place[@]}" --batch 3000 "$@" >"$scratch/ingested"
  for kind in $kinds; do check "$engine" "$kind" written "$@"; done
  "$embedded" latency "${place[@]}" --count 3 "$@" >/dev/null
  "$embedded" series "${place[@]}" --count 50 "$@" >/dev/null
  "$embedded" settle "${place[@]}" --compact "$@" >/dev/null
  for kind in $kinds; do check "$engine" "$kind" compacted "$@"; done
  "$embedded" scan "${place[@]}" "$@" >"$scratch/scan-$engine"
  echo "asked   $engine: $*"
}

# The scans of all engines agree with that of the first.
compare_scans() {
  python3 - "$@" <<'PYTHON'
import json
import sys

scans = [json.load(open(path)) for path in sys.argv[1:]]
for scan in scans:
    first = scans[0]
    if scan["samples"] != first["samples"] or abs(scan["sum"] - first["sum"]) > 1e-9 * abs(first["sum"]):
        sys.exit(f"{scan['engine']} has {scan['samples']} samples of sum {scan['sum']}, "
                 f"{first['engine']} {first['samples']} of {first['sum']}")
PYTHON
}

# workload KINDS WORKLOAD...: every engine over it.
workload() {
  local kinds=$1 kind engine scans=()
  shift
  for kind in $kinds; do
    "$embedded" truth --kind "$kind" --count 30 --answers 30 "$@" >"$scratch/truth-$kind"
  done
  for engine in $engines; do
    run "$engine" "$kinds" "$@"
    scans+=("$scratch/scan-$engine")
  done
  compare_scans "${scans[@]}" || failed=$((failed + 1))
}

engines="nexus leveldb rocksdb lmdb sqlite"
if [ -n "$duckdb" ]; then
  engines="$engines duckdb"
else
  echo "left out: duckdb, no libduckdb.so was given"
fi
small="--hosts 11 --ticks 500"
# shellcheck disable=SC2086  # words
{
  workload "latest raw max average" --workload cpu $small
  workload "latest raw max average" --workload mixed $small
  workload "latest raw max average" --workload churn $small
  workload "latest raw max average" --workload tenants $small
  # Of late rows the truth takes the one that came last for the latest.
  workload "raw max average" --workload backfill $small
}
if [ -n "$recordings" ]; then
  # Recordings have 49 samples twice, at one time: DuckDB keeps both, the others the later one. Their first minute is
  # no whole one, in which nexus has no maxima.
  engines=${engines% duckdb}
  workload "latest raw average" --workload nab --directory "$recordings"
fi
echo "$failed wrong"
[ "$failed" -eq 0 ]
