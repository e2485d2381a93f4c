#!/usr/bin/env bash
# The C example against a server: what it prints is what it wrote.
set -euo pipefail
nexus=$1
remote=$2
folder=$TEST_TMPDIR/db

"$nexus" serve --data "$folder" --listen 127.0.0.1:0 >"$TEST_TMPDIR/log" 2>&1 &
server=$!
trap 'kill -9 "$server" 2>/dev/null || true' EXIT
address=
for _ in $(seq 100); do
  address=$(sed -nE 's/.*listening.*address=([0-9.:]+).*/\1/p' "$TEST_TMPDIR/log")
  if [ -n "$address" ]; then break; fi
  sleep 0.1
done
if [ -z "$address" ]; then
  cat "$TEST_TMPDIR/log" >&2
  exit 1
fi

"$remote" "$address" >"$TEST_TMPDIR/printed"
diff "$TEST_TMPDIR/printed" - <<'EXPECTED'
120 samples are durable
remote_example{host="a"} 0s 9.5
remote_example{host="a"} 20s 29.5
remote_example{host="a"} 40s 49.5
remote_example{host="b"} 0s 109.5
remote_example{host="b"} 20s 129.5
remote_example{host="b"} 40s 149.5
EXPECTED

kill -TERM "$server"
wait "$server"
trap - EXIT

# Nobody there: said, and a failure.
if "$remote" "$address" 2>"$TEST_TMPDIR/error"; then
  echo "the example succeeded without a server" >&2
  exit 1
fi
grep -q "Connection refused" "$TEST_TMPDIR/error"
