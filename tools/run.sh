#!/usr/bin/env bash
# `make run`: serves a database that records this machine, shows live what is stored, and says how to query and
# plot it. Ctrl-C ends it in order.
#
#   tools/run.sh [DATA [TIME]]      default: a folder under the user's data home; 0: until Ctrl-C
#
# Without a terminal, or with a TIME, it ends by itself (default then 20 s).
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
nexus=$top/bin/nexus
data=${1:-${NEXUS_RUN_DATA:-${XDG_DATA_HOME:-${HOME:-/tmp}/.local/share}/nexus}}
time=${2:-${NEXUS_RUN_TIME:-$([ -t 1 ] && echo 0 || echo 20)}}
time=${time%s}
address=${NEXUS_RUN_LISTEN:-127.0.0.1:8080}

if ! [[ $time =~ ^[0-9]+$ ]]; then
  echo "usage: tools/run.sh [DATA [TIME]] (TIME in whole seconds, 0 until Ctrl-C)" >&2
  exit 2
fi

mkdir -p "$data"
"$nexus" serve --data "$data" --listen "$address" --host-metrics &
server=$!
trap 'kill -TERM $server 2>/dev/null; wait $server 2>/dev/null || true; exit 0' INT TERM
trap 'kill -TERM $server 2>/dev/null; wait $server 2>/dev/null || true' EXIT

until "$nexus" health-check --connect "$address" >/dev/null 2>&1; do
  kill -0 $server 2>/dev/null || { wait $server; exit 1; }
  sleep 0.2
done

cat <<END

This machine is recorded every second into $data. In another terminal:
  bin/nexus query --connect $address node_load1 --from now-15m --plot
  bin/nexus query --connect $address 'node_cpu_seconds_total{mode!="idle"}' --from now-5m --agg rate --step 5s --by mode --plot
  bin/nexus query --connect $address node_memory_MemAvailable_bytes --from now-15m --agg avg --step 10s
  bin/nexus stats --connect $address
  curl $address/metrics
END

for ((second = 0; time == 0 || second < time; second += 5)); do
  sleep 5
  echo
  "$nexus" stats --connect "$address"
  "$nexus" query --connect "$address" 'node_cpu_seconds_total{mode!="idle"}' --from now-60s --agg rate --step 2s --by mode --plot
done
