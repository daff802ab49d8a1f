#!/usr/bin/env bash
# The report and the log of a run; inspect, convert, bench.
source "$(dirname "$0")/common.sh"

run 0 demo-data --out set --train 40 --test 20
run 0 pretrain --data set/train "${tiny[@]}" --steps 20 --out run --report report.html --json \
  --knn-train set/train --knn-test set/test --knn-every 0 --knn-k 5
result 'all(0 <= r[f"knn_{token}_top1{when}"] <= 100 for token in ("cls", "cls_plus") for when in ("", "_before"))'
# Eight charts; a dozen images, each with the maps of both class tokens: the image, the mean, every head.
occurs() { [ "$(grep -oF -- "$2" report.html | wc -l)" -eq "$1" ] || die "$2 is not $1 times in the report"; }
occurs 8 '<figure>'
for title in Loss k-NN 'Parts of the loss' Teacher 'Learning rate' 'Spread of the features' 'Gradient norm' Speed; do
  occurs 1 "<b>$title</b>"
done
for line in 'global cls' 'global cls+' 'global patch' 'local cls' 'local cls+' entropy; do occurs 1 "</span>$line "; done
occurs 12 'class="image"'
occurs $((12 * 2 * (1 + 1 + 2))) 'class="cell"'
occurs $((12 + 12 * 2 * (1 + 2))) 'data:image/png;base64,'
! grep -qE '(src|href)="https?:' report.html || die 'the report needs a network'
ls run/events.out.tfevents.* >/dev/null
python3 "$tests/cli/check.py" monitors run || die 'the monitors in the log'
model=run/checkpoint.safetensors

# k-NN every so many steps, at the start and at the end.
run 0 pretrain --data set/train "${tiny[@]}" --steps 8 --out watched --knn-train set/train --knn-test set/test --knn-every 3
[ "$(grep knn_cls_top1 watched/log.jsonl | grep -o '"step":[0-9]*' | tr '\n' ' ')" = '"step":0 "step":3 "step":6 "step":8 ' ] ||
  die '--knn-every 3'

# What is in a file or a set.
run 0 inspect $model --json
result 'r["kind"] == "checkpoint" and r["checksums"] == "good" and r["steps_done"] == 20'
result 'r["model"]["embed_dim"] == 24 and r["train"]["total_steps"] == 20'
run 0 inspect $model --tensors --json
result 'len(r["tensor_list"]) == r["tensors"] and sum(1 for t in r["tensor_list"] if t["tensor"] == "center") == 1'
run 0 inspect set/train --json
result 'r["kind"] == "images" and r["images"] == 40 and r["jpeg"] + r["png"] == 40 and r["bad_images"] == 0'
result 'len(r["classes"]) == 10 and all(c["images"] == 4 for c in r["classes"])'
run 1 inspect nowhere
says 'nowhere'
head -c 5000 /dev/urandom >garbage.safetensors
for name in garbage.pth garbage.npy garbage.tar garbage.bin; do
  cp garbage.safetensors $name
done
for file in garbage.*; do
  run 1 inspect $file
  says "$file"
done
printf '\xff\xff\xff\xff\xff\xff\xff\x7f{}' >hostile.safetensors
run 1 inspect hostile.safetensors
says 'hostile.safetensors'

# The official checkpoint: in, out again, and into timm's names. Features stay.
official=$tests/golden/udi_tiny/official_checkpoint.pth
run 0 inspect "$official" --json
result 'r["kind"] == "weights" and r["layout"] == "official" and r["model"]["heads"] == 3 and not r["missing"]'
run 0 convert "$official" udi.safetensors --json
result 'r["layout"] == "official" and r["to"] == "udi" and r["notes"] == 0'
run 0 convert udi.safetensors again.pth
run 0 convert again.pth again.safetensors --heads 3
same_tensors udi.safetensors again.safetensors
run 0 inspect again.pth --heads 3 --json
result 'r["layout"] == "official" and not r["missing"]'
run 0 convert udi.safetensors timm.safetensors --to timm
run 0 inspect timm.safetensors --heads 3 --json
result 'r["layout"] == "vit" and r["model"]["class_tokens"] == 1'
run 0 extract --model "$official" --data set/test --out official.npy
run 0 extract --model udi.safetensors --data set/test --out udi.npy
cmp official.npy udi.npy || die 'features of converted weights'
run 0 convert "$official" student.safetensors --role student
! python3 "$tests/cli/check.py" tensors udi.safetensors student.safetensors 2>/dev/null || die 'the student is the teacher'
run 2 convert udi.safetensors weights.tflite
says 'weights.tflite'
run 2 convert udi.safetensors weights.pth --to timm
head -c 20000 "$official" >cut_off.pth
run 1 convert cut_off.pth never.safetensors
says 'cut_off.pth'
[ ! -e never.safetensors ] || die 'weights of half a file'

# Training goes on from weights, if they fit.
run 0 pretrain --data set/train "${tiny[@]}" --steps 2 --out second --init $model
run 1 pretrain --data set/train "${tiny[@]}" --steps 2 --out third --init udi.safetensors
says 'udi.safetensors' 'misshapen' '--partial'

# Figures are there; their size is the bench's own affair.
model_options=(--image-size 32 --patch-size 8 --embed-dim 24 --depth 2 --heads 2 --srs-heads 2 --out-dim 64
  --head-hidden-dim 32 --head-bottleneck-dim 16 --local-size 16 --local-crops 2 --repeats 2 --json)
for what in data step extract; do
  run 0 bench $what "${model_options[@]}"
  result 'r["images_per_second"] > 0 and r["rounds"] == 2 and r["peak_bytes"] >= 0'
done
run 0 bench data "${model_options[@]}" --augment-on device  # crops are left to a GPU: none is needed to decode
result 'r["images_per_second"] > 0 and r["augment_on"] == "device"'
run 2 bench step "${model_options[@]}" --augment-on device
says 'needs a GPU'
run 0 bench extract "${model_options[@]}" --precision int8
result 'r["images_per_second"] > 0 and r["precision"] == "int8"'
run 2 bench step "${model_options[@]}" --precision int8
says 'int8 is of extract'
