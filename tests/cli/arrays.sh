#!/usr/bin/env bash
# Images of five channels as .npy arrays of uint8, uint16 and float32: looked at, trained on, turned into features.
source "$(dirname "$0")/common.sh"

check() { python3 "$tests/cli/check.py" "$@" || die "check.py $*"; }
for type in u1 u2 f4; do
  mkdir $type
  for number in 10 11 12 13 14 15 16 17; do check array $type/$number.npy $type $((number + 30)) 36 5 $number; done
done

# What a set and an array hold is said: so many channels, of that type.
for type in u1:U8 u2:U16 f4:F32; do
  run 0 inspect ${type%:*} --json
  result 'r["npy"] == 8 and r["bad_images"] == 0 and r["height"] == {"smallest": 40, "median": 44, "largest": 47}'
  result 'r["npy_channels"] == {"smallest": 5, "median": 5, "largest": 5}'
  run 0 inspect ${type%:*}/13.npy --json
  result "r['kind'] == 'image' and r['type'] == '${type#*:}' and r['shape'] == [43, 36, 5] and r['channels'] == 5"
done
check array mono.npy u1 9 7 1 0
run 0 inspect mono.npy --json
result 'r["kind"] == "image" and r["type"] == "U8" and r["shape"] == [9, 7, 1] and r["channels"] == 1'
head -c 200 u1/10.npy >cut_off.npy
run 1 inspect cut_off.npy
says 'cut_off.npy: the .npy file is smaller than its shape'

# All three train a model of five channels with its own means and deviations, and the next extraction knows them.
mean='0.4 0.45 0.5 0.55 0.6' std='0.2 0.25 0.3 0.35 0.4'
for type in u1 u2 f4; do
  run 0 pretrain --data $type --out run_$type "${tiny[@]}" --channels 5 --mean $mean --std $std --steps 4 --json
  result 'r["images"] == 8 and r["bad_images"] == 0 and r["steps_done"] == 4 and r["loss"] > 0'
  run 0 inspect run_$type/checkpoint.safetensors --json
  result 'r["model"]["channels"] == 5'
  result '[round(v, 6) for v in r["model"]["mean"] + r["model"]["std"]] == [0.4, 0.45, 0.5, 0.55, 0.6, 0.2, 0.25, 0.3, 0.35, 0.4]'
  run 0 extract --model run_u1/checkpoint.safetensors --data $type --out $type.npy --json
  result 'r["images"] == 8 and r["bad_images"] == 0 and r["row_shape"] == [24]'
done

# The same picture gives the same features in every type: 257 v / 65535 is v / 255, and bytes are rounded after the
# resize. Other means give others.
check rows u2.npy f4.npy
check near u1.npy f4.npy 0.02
run 0 pretrain --data u1 --out other "${tiny[@]}" --channels 5 --mean 0.9 0.45 0.5 0.55 0.6 --std $std --steps 0
run 0 pretrain --data u1 --out plain "${tiny[@]}" --channels 5 --mean $mean --std $std --steps 0
for model in other plain; do
  run 0 extract --model $model/checkpoint.safetensors --data f4 --out $model.npy
done
! python3 "$tests/cli/check.py" near other.npy plain.npy 0.02 2>/dev/null || die 'the means do nothing'

# Types may be mixed where images become features, not where they become batches of crops; arrays of another number of
# channels are bad images that are named.
mkdir mixed
cp u1/10.npy u1/11.npy mixed
cp f4/12.npy f4/13.npy mixed
run 1 pretrain --data mixed --out run_mixed "${tiny[@]}" --channels 5 --steps 2
says 'the image holds float or 16-bit values in a set of 8-bit images'
run 0 extract --model run_u1/checkpoint.safetensors --data mixed --out mixed.npy --json
result 'r["images"] == 4'
run 0 attention --model run_u1/checkpoint.safetensors --data u1/10.npy --out maps --source srs --json
result 'r["files"] == 4'
run 1 extract --model run_u1/checkpoint.safetensors --data mono.npy --out mono_rows.npy
says 'mono.npy' '1 channels, 5 are wanted'
run 0 demo-data --out drawn --train 10 --test 0
run 1 extract --model run_u1/checkpoint.safetensors --data drawn/train --out drawn.npy
says 'a JPEG or PNG gives 1 or 3 channels, 5 are wanted'
