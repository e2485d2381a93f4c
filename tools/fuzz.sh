#!/usr/bin/env bash
# Runs each libFuzzer target of the tree for a number of seconds, starting from its committed corpus, as many at a
# time as there are cores.
#
#   tools/fuzz.sh SECONDS
#
# New inputs are kept in .cache/fuzz/TARGET/ (never in git) and are used again by the next run; a crashing input is
# left there as crash-*. Ends with 1 if any target found something. Run by `make fuzz`.
set -euo pipefail
cd "$(dirname "$0")/.."
bazel=${BAZEL:-bazel}

seconds=${1:-}
if ! [[ $seconds =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: tools/fuzz.sh SECONDS (a whole number of seconds for each target)" >&2
  exit 2
fi

mapfile -t targets < <("$bazel" query --noshow_progress 'attr(tags, "\bfuzz\b", kind(cc_binary, //...))' 2>/dev/null | sort)
if [ "${#targets[@]}" -eq 0 ]; then
  echo "fuzz: no target is tagged fuzz (see nexus_fuzz_target in tools/bazel/nexus.bzl)" >&2
  exit 1
fi
"$bazel" build --noshow_progress --config=fuzz "${targets[@]}"
binaries=$("$bazel" info --config=fuzz bazel-bin 2>/dev/null)

# Runs one target; leaves a file `failed` beside its log if it found something.
run() {
  local target=$1 package name found words=()
  package=${target%:*}
  package=${package#//}
  name=${target#*:}
  found=.cache/fuzz/$name
  mkdir -p "$found/inputs"
  rm -f "$found/failed"
  [ -f "$package/$name.dict" ] && words=("-dict=$package/$name.dict")
  if "$binaries/$package/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$found/" "${words[@]}" "$found/inputs" "$package/corpus/$name" >"$found/log" 2>&1 </dev/null; then
    echo "fuzz: $target for $seconds s: $(sed -nE 's/^stat::(number_of_executed_units|new_units_added): +/\1 /p' "$found/log" | paste -sd' ')"
  else
    touch "$found/failed"
    tail -n 40 "$found/log" >&2
    echo "fuzz: $target FAILED; whole log in $found/log" >&2
  fi
}

cores=$(nproc)
echo "fuzz: ${#targets[@]} targets, $seconds s each, $cores at a time"
for target in "${targets[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$cores" ]; do wait -n || true; done
  run "$target" &
done
wait
failed=0
for target in "${targets[@]}"; do
  if [ -e ".cache/fuzz/${target#*:}/failed" ]; then failed=$((failed + 1)); fi
done
echo "fuzz: ${#targets[@]} targets, $failed failed"
[ "$failed" -eq 0 ]
