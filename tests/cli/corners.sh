#!/usr/bin/env bash
# Settings at their corners train: masks without a sample, one sample a grid, no local crops, warm-ups longer than the run.
source "$(dirname "$0")/common.sh"

run 0 demo-data --out set --train 8 --test 0
train=(pretrain --data set/train "${tiny[@]}" --json)
parts="global_cls global_cls_plus global_patch local_cls local_cls_plus"
centers="center_norm_cls center_norm_cls_plus center_norm_patch"

# corner FIELDS OPTIONS...: four steps, each of which has these fields in the log, none of them missing or no number.
corner() {
  local fields=$1
  shift
  run 0 "${train[@]}" --steps 4 --out run --resume never "$@"
  result 'r["steps_done"] == 4 and r["loss"] > 0'
  python3 "$tests/cli/runs.py" fields run/log.jsonl $fields || die "fields of: $*"
}

corner "$parts $centers"
# The grid of a global crop is 4 x 4 tokens, that of a local one 2 x 2.
none="${parts/global_patch/global_patch=0}"
corner "$none ${centers/%patch/patch=0} valid_share=0" --global-window 5 --local-window 5
corner "$none $centers" --global-window 5 --local-window 1
corner "$parts $centers" --global-window 2 --local-window 3
corner "$none ${centers/%patch/patch=0} valid_share=0" --global-window 5 --local-window 3 --target-blend probabilities
corner "$parts $centers" --global-window 4 --local-window 2
corner "global_cls global_cls_plus global_patch $centers" --local-crops 0
corner "global_cls global_cls_plus ${centers% *}" --local-crops 0 --no-include-patch
corner "$parts $centers" --warmup-steps 1000 --teacher-temp-warmup-epochs 1000 --freeze-last-layer-steps 1000
corner "$parts $centers" --batch-size 1 --micro-batch 1
