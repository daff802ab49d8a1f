# What every script begins with: `udi` in a folder of its own, and words for what must hold.
# Usage of a script: SCRIPT PATH_OF_UDI
set -euo pipefail
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive LC_ALL=C
udi=$1
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
clean_up() {
  local left
  left=$(jobs -p)
  [ -z "$left" ] || kill -KILL $left 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap clean_up EXIT
cd "$work"

# A model of 26 thousand weights, whose steps take milliseconds and move every one of them.
tiny=(--image-size 32 --patch-size 8 --embed-dim 24 --depth 2 --heads 2 --srs-heads 2 --out-dim 64 --head-hidden-dim 32
  --head-bottleneck-dim 16 --local-size 16 --local-crops 2 --batch-size 4 --workers 1 --log-steps 1 --lr 0.05
  --warmup-steps 5 --freeze-last-layer-steps 3 --teacher-temp-warmup-epochs 2)

die() {
  echo "FAILED: $*"
  for file in out.txt err.txt; do
    [ ! -s $file ] || tail -n 20 $file | sed "s/^/  $file: /"
  done
  exit 1
}

# run CODE ARGUMENTS...: udi must end with CODE; its words are in out.txt and err.txt.
run() {
  local wanted=$1 code=0
  shift
  "$udi" "$@" >out.txt 2>err.txt || code=$?
  [ $code -eq "$wanted" ] || die "exit $code, not $wanted, of: udi $*"
}

# The words must be in err.txt, each of them.
says() {
  local words
  for words in "$@"; do grep -qF -- "$words" err.txt || die "stderr does not say: $words"; done
}

# The Python expression over the object r, the JSON on the last line of out.txt, must be true.
result() {
  tail -n 1 out.txt | python3 -c 'import json, sys
r = json.load(sys.stdin)
sys.exit(not eval(sys.argv[1]))' "$1" || die "the result does not hold: $1"
}

# Every tensor of two safetensors files must be equal to the bit.
same_tensors() { python3 "$tests/cli/check.py" tensors "$1" "$2" || die "$1 and $2 differ"; }

# A run's log must have each of N steps once, in order.
whole_log() { python3 "$tests/cli/check.py" log "$1/log.jsonl" "$2" || die "$1/log.jsonl is not whole"; }

# Waits until the log of a run in the background (process $1) has $3 lines; fails when it ends before.
wait_for_lines() {
  while [ "$(cat "$2/log.jsonl" 2>/dev/null | wc -l)" -lt "$3" ]; do
    kill -0 "$1" 2>/dev/null || die "the run ended before it was to be stopped"
    sleep 0.01
  done
}
