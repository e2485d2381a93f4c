#!/usr/bin/env bash
# See readme_test.py.
exec python3 "$@"
