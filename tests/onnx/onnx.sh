#!/usr/bin/env bash
# Exports two models and compares what ONNX Runtime and libudi say of the same images: onnx.sh BUILD_FOLDER
set -euo pipefail
build=$1
tests=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

venv=$build/onnx-venv
if ! cmp -s "$tests/requirements.txt" "$venv/installed.txt"; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check -r "$tests/requirements.txt"
  cp "$tests/requirements.txt" "$venv/installed.txt"
fi
"$venv/bin/python" "$tests/onnx_test.py" "$build/bin/udi" "$build/lib/libudi.so" "$work"
