#!/usr/bin/env bash
# `make run`: records this machine for a while, shows what is stored, and says how to query and plot it.
#
#   tools/run.sh [DATA [TIME]]      default: a folder under the user's data home, 20 s
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
nexus=$top/bin/nexus
data=${1:-${NEXUS_RUN_DATA:-${XDG_DATA_HOME:-${HOME:-/tmp}/.local/share}/nexus}}
time=${2:-${NEXUS_RUN_TIME:-20s}}

"$nexus" record --data "$data" --interval 1s --for "$time"
echo
"$nexus" stats --data "$data"
echo
"$nexus" query --data "$data" 'node_cpu_seconds_total{mode!="idle"}' --from "now-$time" --agg rate --step 2s --by mode --plot
cat <<END

What was recorded stays in $data. Next:
  bin/nexus record --data $data                                      record on; Ctrl-C ends it, kill -9 loses nothing
  bin/nexus query --data $data node_load1 --from now-15m --plot      draw a chart
  bin/nexus query --data $data 'node_memory_MemAvailable_bytes' --from now-15m --agg avg --step 10s
  bin/nexus query --data $data 'node_network_receive_bytes_total' --agg rate --step 5s --by device --format json
  bin/nexus help                                                     everything else
END
