#!/usr/bin/env bash
# Attention maps as PNG files, of models with one class token and with two.
source "$(dirname "$0")/common.sh"

run 0 demo-data --out set --train 20 --test 20
small=(pretrain --data set/train "${tiny[@]}" --steps 5)
run 0 "${small[@]}" --out run
model=run/checkpoint.safetensors

# A PNG of the image, of each head, of their mean; for every source.
run 0 attention --model $model --data set/test/disk --out maps --image-size 64 --source cls cls_plus srs --patch 1 2 --json
result 'r["images"] == 2 and r["files"] == 2 * (1 + 3 * 3)'
[ "$(find maps -type f | wc -l)" -eq 20 ] || die 'twenty files'
for file in maps/*.png; do python3 "$tests/cli/check.py" png "$file" 64 64 || die "$file"; done
cmp -s maps/000000-cls-head0.png maps/000000-cls-head1.png && die 'two heads look at the same'

# Without a word, who asks are the class tokens that the model has.
run 0 attention --model $model --data set/test/disk --out both --json
result 'r["files"] == 2 * (1 + 2 * 3)'
[ -e both/000000-cls-mean.png ] && [ -e both/000000-cls_plus-mean.png ] || die 'cls and cls_plus'
run 0 "${small[@]}" --out dino --class-tokens 1 --no-include-patch
run 0 attention --model dino/checkpoint.safetensors --data set/test/disk --out one --json
result 'r["files"] == 2 * (1 + 3)'
[ "$(ls one | grep -c -- -cls-)" -eq 6 ] || die 'cls alone'
run 0 convert $model timm.safetensors --to timm
run 0 attention --model timm.safetensors --data set/test/disk --out timm --json
result 'r["files"] == 2 * (1 + 3)'

# What the model lacks is refused before anything is written; so is a patch that nobody asks for, or outside the image.
refused() {  # WORDS ARGUMENTS...
  run 2 attention --data set/test/disk --out never "${@:2}"
  says "$1"
  [ -z "$(find never -type f 2>/dev/null)" ] || die "files of: $*"
}
refused 'cls_plus, and the model has cls alone' --model dino/checkpoint.safetensors --source cls cls_plus
refused 'srs, and the model has no SRS module' --model dino/checkpoint.safetensors --source cls srs
refused 'patch: does nothing unless srs' --model $model --patch 1 2
refused '99' --model $model --image-size 64 --source cls srs --patch 99 0
refused 'row and column' --model $model --source srs --patch 1
