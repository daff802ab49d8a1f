# What every language's script begins with. Usage of one: LANGUAGE.sh semantics|checks|example SOURCE_FOLDER BUILD_FOLDER
set -euo pipefail
part=$1 source=$2 build=$3
here=$source/tests/bindings
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# One thread: with more, sums are taken in another order, and the languages could not be compared to the bit.
export LD_LIBRARY_PATH=$build/lib OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive

die() {
  echo "FAILED: $*"
  exit 1
}

# Skips the test, by name, if a tool is missing.
need() {
  local tool
  for tool; do
    command -v "$tool" >/dev/null || { echo "SKIPPED: no $tool; scripts/languages installs it"; exit 77; }
  done
}

# What the command prints must be what the C program prints, which must look as it should and have moved.
same_as_c() {
  "$build/bin/c_semantics" >"$work/c.txt" || die "the C program"
  [ "$(grep -cE '^(api [0-9a-f]{64}|step [012] loss [0-9a-f]{16}|tokens 8 48 [0-9a-f]{16})$' "$work/c.txt")" = 5 ] &&
    [ "$(grep '^step' "$work/c.txt" | cut -d' ' -f4 | sort -u | wc -l)" = 3 ] ||
    die "the C program printed $(cat "$work/c.txt")"
  "$@" >"$work/own.txt" || die "exit $? of: $*"
  cmp "$work/c.txt" "$work/own.txt" || { diff "$work/c.txt" "$work/own.txt" || true; die "not what the C program prints"; }
  cat "$work/own.txt"
}

# The command must fail, and stderr must hold the words.
fails() {
  local words=$1
  shift
  if "$@" >"$work/out.txt" 2>"$work/err.txt"; then die "did not fail: $*"; fi
  grep -qF -- "$words" "$work/err.txt" || { cat "$work/err.txt"; die "stderr does not say: $words"; }
}
