#!/usr/bin/env bash
# Every named option, changed, is in the run's configuration, in its checkpoint and in what inspect shows.
source "$(dirname "$0")/common.sh"
options=$tests/cli/every_option.json

run 0 demo-data --out set --train 20 --test 0
run 0 pretrain --config "$options" --data set/train --out run --workers 1 --json
result 'r["steps_done"] == 0 and r["steps"] == 0 and r["images_a_step"] == 10 and r["steps_per_epoch"] == 2'
run 0 inspect run/checkpoint.safetensors --json
python3 "$tests/cli/runs.py" options "$options" run out.txt "$tests/../src/jobs/schema.json" || die 'options'

# The configuration that was written is one: it goes on with the same run, and makes the same one again.
run 0 pretrain --config run/config.json --workers 1
says 'going on after step 0 of 0'
run 0 pretrain --config run/config.json --out again --workers 1
same_tensors run/checkpoint.safetensors again/checkpoint.safetensors
