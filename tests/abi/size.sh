#!/bin/sh
# What a library weighs without symbols and debug information: size.sh FILE KIB. The budgets are docs/abi.md's.
set -e
file=$(mktemp)
trap 'rm -f "$file"' EXIT
strip -o "$file" "$1"
size=$(($(wc -c < "$file") / 1024))
echo "$1: $size KiB of $2"
[ "$size" -le "$2" ]
