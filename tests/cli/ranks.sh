#!/usr/bin/env bash
# Runs of several processes: ranks.sh UDI PART
source "$(dirname "$0")/common.sh"
python3 "$tests/cli/ranks.py" "$udi" "$2" "$work"
