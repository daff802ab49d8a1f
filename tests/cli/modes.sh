#!/usr/bin/env bash
# Ways to train that change how a step is computed: accumulation, bf16, one class token, weights that fit in part; k-NN on
# the way.
source "$(dirname "$0")/common.sh"
check() { python3 "$tests/cli/runs.py" "$@" || die "runs.py $*"; }

run 0 demo-data --out set --train 40 --test 20
train=(pretrain --data set/train "${tiny[@]}" --json)
parts="global_cls global_cls_plus global_patch local_cls local_cls_plus"
centers="center_norm_cls center_norm_cls_plus center_norm_patch"

# Two batches of four are one of eight, step by step: losses, norms, centers, monitors.
run 0 "${train[@]}" --steps 3 --out whole --batch-size 8 --drop-path-rate 0.2
run 0 "${train[@]}" --steps 3 --out halves --batch-size 4 --accumulate 2 --drop-path-rate 0.2
result 'r["images_a_step"] == 8 and r["steps_per_epoch"] == 5'
check near halves/log.jsonl whole/log.jsonl 1e-5
check fields whole/log.jsonl $parts $centers

# bf16 is another rounding of the same losses.
run 0 "${train[@]}" --steps 10 --out wide
run 0 "${train[@]}" --steps 10 --out narrow --precision bf16
check fields narrow/log.jsonl $parts $centers
python3 - <<'END' || die 'bf16 is far from float32'
import json
wide, narrow = ([json.loads(line)["loss"] for line in open(f"{run}/log.jsonl")] for run in ("wide", "narrow"))
assert wide != narrow and all(abs(a - b) < 0.05 * a for a, b in zip(wide, narrow)), (wide, narrow)
END

# From the checkpoint after step 4 to the bits of the run that made it.
for mode in '--precision bf16' '--accumulate 2' '--precision bf16 --accumulate 3 --optimizer lars'; do
  rm -rf straight resumed
  run 0 "${train[@]}" --steps 8 --out straight --save-steps 4 --keep 9 --drop-path-rate 0.2 $mode
  run 0 "${train[@]}" --steps 8 --out resumed --resume straight/checkpoint-000000004.safetensors --drop-path-rate 0.2 $mode
  says 'going on after step 4 of 8'
  same_tensors straight/checkpoint.safetensors resumed/checkpoint.safetensors
done

# One class token: no cls_plus anywhere.
run 0 "${train[@]}" --steps 8 --out one --class-tokens 1 --knn-train set/train --knn-test set/test --knn-every 3 --knn-k 3
result '0 <= r["knn_cls_top1"] <= 100 and not any("cls_plus" in name for name in r)'
check fields one/log.jsonl global_cls global_patch local_cls center_norm_cls center_norm_patch
check measured one/log.jsonl 0 3 6 8
run 0 extract --model one/checkpoint.safetensors --data set/test --out one.npy
run 2 extract --model one/checkpoint.safetensors --data set/test --out two.npy --token cls_plus
says 'one class token'

# Weights of two blocks into three, and of other prototypes: with --partial, what fits is taken.
run 0 "${train[@]}" --steps 0 --out deep --init wide/checkpoint.safetensors --depth 3 --out-dim 32 --partial
says 'backbone.backbone.blocks.2.norm1.weight' 'head.0.last_layer.weight_v'
check shared deep/checkpoint.safetensors wide/checkpoint.safetensors teacher. 44
