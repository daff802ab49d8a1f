#!/usr/bin/env bash
# The same program built against several releases' headers computes the same: clients.sh IMAGE_FOLDER CLIENT...
set -euo pipefail
images=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/images"
cp "$images"/{jpeg_420,jpeg_422,exif_6}.jpg "$images/png_rgb_8.png" "$work/images"

"$1" "$work" >"$work/wanted"
[ "$(wc -l <"$work/wanted")" -ge 7 ]
for client in "${@:2}"; do
  "$client" "$work" >"$work/found" || { echo "$client failed with $?" >&2; exit 1; }
  diff "$work/wanted" "$work/found" || { echo "$client computes something else" >&2; exit 1; }
done
