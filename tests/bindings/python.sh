#!/usr/bin/env bash
. "$(dirname "$0")/common.sh"
need python3 cc
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$here/python
"$here/python/prepare" "$source" "$build"
python() { "$build/python/bin/python" "$@"; }

# The example in C and in Python print the same.
example() {
  local name=$1
  shift
  cc -o "$work/$name" "$source/examples/$name.c" -I"$source/include" -L"$build/lib" -ludi
  "$work/$name" "$@" >"$work/c.txt"
  python "$source/examples/$name.py" "$@" >"$work/python.txt"
  [ -s "$work/c.txt" ] || die "$name.c prints nothing"
  cmp "$work/c.txt" "$work/python.txt" || die "$name.py prints something else than $name.c"
  tail -n 3 "$work/python.txt" | cut -c 1-100
}

case $part in
  semantics) same_as_c python "$here/python/semantics.py" ;;
  checks)
    python -m unittest discover -s "$here/python" -v
    python -m mypy --strict --cache-dir "$work/mypy" -p udi
    python -m mypy --cache-dir "$work/mypy" "$source"/examples/*.py
    ;;
  example)
    cd "$work"
    example train
    example extract model.safetensors "$source"/tests/data/image/jpeg_{420,gray,cmyk}.jpg
    fails "no such file" python "$source/examples/extract.py" none.safetensors "$source/tests/data/image/jpeg_420.jpg"
    ;;
esac
