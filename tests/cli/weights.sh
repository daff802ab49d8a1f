#!/usr/bin/env bash
# Weights to other people's formats and back, tensors that do not fit, and limits on what files say of themselves.
source "$(dirname "$0")/common.sh"
weights() { python3 "$tests/cli/weights.py" "$@" || die "weights.py $*"; }

# tiny with one option changed.
changed() {
  args=("${tiny[@]}")
  local i
  for i in "${!args[@]}"; do [ "${args[i]}" != "$1" ] || args[i + 1]=$2; done
}
extract() { run 0 extract --data set/test --model "$1" --out "$2" --token "${3:-cls}" --json; }
same_rows() { python3 "$tests/cli/check.py" rows "$1" "$2" || die "$1 and $2 differ"; }
other_rows() { ! python3 "$tests/cli/check.py" rows "$1" "$2" 2>/dev/null || die "$1 and $2 are the same"; }

run 0 demo-data --out set --train 40 --test 20
transform=(--mean 0.3 0.5 0.6 --std 0.2 0.3 0.4 --resize-size 45 --exif-turn)
run 0 pretrain --data set/train "${tiny[@]}" "${transform[@]}" --steps 10 --out run
run=run/checkpoint.safetensors

# A run as the official code's checkpoint: Python reads it, and finds the run.
run 0 convert $run run.pth
weights official run.pth $run 10 10 3

# There and back: the weights see the images as before, in both roles.
run 0 convert run.pth back.safetensors
for role in teacher student; do
  run 0 extract --data set/test --model $run --role $role --out run.npy --token both
  run 0 extract --data set/test --model run.pth --role $role --out pth.npy --token both
  same_rows run.npy pth.npy
done
run 0 inspect back.safetensors --json
result 'r["model"]["resize_size"] == 45 and r["model"]["exif_turn"] == 1'
result '[round(v, 6) for v in r["model"]["mean"]] == [0.3, 0.5, 0.6] and [round(v, 6) for v in r["model"]["std"]] == [0.2, 0.3, 0.4]'
extract $run run.npy
extract back.safetensors back.npy
same_rows run.npy back.npy
run 0 convert back.safetensors again.pth
extract again.pth again.npy
same_rows run.npy again.npy

# timm's format has one class token, so a model that has one loses nothing.
changed --local-crops 0
run 0 pretrain --data set/train "${args[@]}" "${transform[@]}" --class-tokens 1 --no-include-patch --steps 2 --out dino
run 0 convert dino/checkpoint.safetensors timm.safetensors --to timm
run 0 convert timm.safetensors back.safetensors
extract dino/checkpoint.safetensors run.npy
for file in timm.safetensors back.safetensors; do
  extract $file back.npy
  same_rows run.npy back.npy
done
weights drop_words timm.safetensors silent.safetensors # without the file's word: ImageNet's
run 0 extract --data set/test --model silent.safetensors --heads 2 --out back.npy
other_rows run.npy back.npy

# A ViT for 384 pixels that libudi has not written.
weights deit deit.safetensors 384
run 0 inspect deit.safetensors --heads 3 --json
result 'r["layout"] == "vit" and r["model"]["image_size"] == 384 and r["model"]["resize_size"] == 439'
run 0 convert deit.safetensors udi.safetensors --heads 3 --json
result 'r["notes"] == 3' # the classifier's weight and bias, no projection head
run 0 extract --data set/test/disk --model deit.safetensors --heads 3 --out deit.npy --json
result 'r["images"] == 2 and r["row_shape"] == [24]'
run 0 extract --data set/test/disk --model udi.safetensors --out udi.npy
same_rows deit.npy udi.npy

# Tensors that do not fit: the error names what it has room for, the log every one.
lines() { [ "$(grep -cE "$2" err.txt)" -eq "$1" ] || die "not $1 lines of: $2"; }
changed --depth 1
run 1 pretrain --data set/train "${args[@]}" --steps 2 --out init --init $run --json
result '"do not fit" in r["error"] and "extra backbone.backbone.blocks.1.attn.proj.bias" in r["error"]'
result 'r["error"].endswith("more, all in the log") and "--partial" in r["error"] and len(r["error"]) < 504'
lines 12 '^error: run/checkpoint.safetensors: extra backbone.backbone.blocks.1.[a-z0-9.]*$'
[ ! -e init/log.jsonl ] || die 'a run began with weights that do not fit'
run 0 pretrain --data set/train "${args[@]}" --steps 2 --out part --init $run --partial
lines 12 '^warning: run/checkpoint.safetensors: extra backbone.backbone.blocks.1.[a-z0-9.]*$'
run 1 pretrain --data set/train "${tiny[@]}" --no-include-patch --steps 2 --out init --init $run
lines 8 'checkpoint.safetensors: extra backbone.(attn.qkv|attn.proj|attn.norm|norm1).(weight|bias)$'
changed --out-dim 32
run 1 pretrain --data set/train "${args[@]}" --steps 2 --out init --init $run
lines 1 'checkpoint.safetensors: misshapen head.0.last_layer.weight_v is \[64, 16\], must be \[32, 16\]$'
changed --heads 4
run 1 pretrain --data set/train "${args[@]}" --steps 2 --out init --init $run
lines 1 'checkpoint.safetensors: heads are 2, must be 4$'
run 1 pretrain --data set/train "${tiny[@]}" --steps 2 --out init --init timm.safetensors
lines 2 'timm.safetensors: misshapen backbone.backbone.(cls_token|pos_embed) is '
lines 16 'timm.safetensors: missing (head.0|backbone.attn|backbone.norm1).[a-z0-9_.]*$'

# The same of a file whose tensors contradict each other.
weights spoil $run spoilt.safetensors -blocks.1.mlp +teacher.backbone.norm9.weight \
  /teacher.backbone.backbone.blocks.0.mlp.fc2.weight -student
for job in 'convert spoilt.safetensors never.safetensors --srs-heads 2' \
  'extract --data set/test --model spoilt.safetensors --out never.npy --srs-heads 2'; do
  run 1 $job --heads 2 --json
  result 'all(word in r["error"] for word in ("missing ", "extra ", "misshapen "))'
  lines 4 '^error: spoilt.safetensors: missing backbone.backbone.blocks.1.mlp.fc[12].(weight|bias)$'
  lines 1 '^error: spoilt.safetensors: extra backbone.norm9.weight$'
  lines 1 '^error: spoilt.safetensors: misshapen backbone.backbone.blocks.0.mlp.fc2.weight is \[2, 12, 96\], must be \[24, 96\]$'
done
run 0 convert spoilt.safetensors mended.safetensors --heads 2 --srs-heads 2 --partial --json
result 'r["notes"] == 6'
lines 6 '^warning: spoilt.safetensors: (missing|extra|misshapen) '
extract mended.safetensors mended.npy

# Limits: a lower one refuses what is good, a higher one takes what is over the default.
for file in $run run.pth; do
  run 1 inspect $file --max-header-bytes 100
  says "$file" 'limit of 100 (max_header_bytes)'
  run 1 convert $file never.safetensors --max-name-bytes 20
  says "$file" 'max_name_bytes'
  run 1 extract --model $file --data set/test --out never.npy --max-header-bytes 100
  says 'max_header_bytes'
  run 1 pretrain --data set/train "${tiny[@]}" --steps 2 --out init --init $file --max-header-bytes 100
  says 'max_header_bytes'
done
[ ! -e never.safetensors ] && [ ! -e never.npy ] || die 'a file over a limit was used'
run 1 pretrain --data set/train "${tiny[@]}" "${transform[@]}" --steps 10 --out run --max-header-bytes 100
says 'max_header_bytes'
bytes=$(weights header $run)
run 0 inspect $run --max-header-bytes "$bytes"
run 1 inspect $run --max-header-bytes $((bytes - 1))
extract $run train.safetensors
run 1 knn --train train.safetensors --test train.safetensors --max-header-bytes 100
says 'max_header_bytes'

weights spoil timm.safetensors long.safetensors "+$(printf 'n%.0s' {1..2000})"
run 1 inspect long.safetensors
says 'a name of 2000 bytes is longer than the limit of 1024 (max_name_bytes)'
run 0 inspect long.safetensors --heads 2 --max-name-bytes 2000
python3 -c 'import sys; sys.path.insert(0, sys.argv[1]); import weights; weights.write_tensors("wide.safetensors", {}, room=110 << 20)' "$tests/cli"
run 1 inspect wide.safetensors
says 'a header of 115343360 bytes is larger than the limit of 104857600 (max_header_bytes)'
run 0 inspect wide.safetensors --max-header-bytes 115343360
rm wide.safetensors

python3 -c 'import sys, tarfile
with tarfile.open("long.tar", "w", format=tarfile.PAX_FORMAT) as tar:
    tar.add(sys.argv[1], "a/" * 2500 + "b.jpg")' "$(ls set/test/disk/*.jpg | head -n 1)"
run 1 extract --model $run --data long.tar --out never.npy
says 'long.tar' 'a name of 5005 bytes, more than max_name_bytes 4096'
run 0 extract --model $run --data long.tar --out long.npy --max-name-bytes 5005
run 1 inspect long.tar --max-name-bytes 5005 --max-header-bytes 5000
says 'pax header' 'max_header_bytes 5000'

# Metadata that nest deeper than any stack.
python3 -c 'import sys; sys.path.insert(0, sys.argv[1]); import weights
weights.write_tensors("deep.safetensors", {}, {"udi.config": "[" * 1000000 + "]" * 1000000})' "$tests/cli"
run 0 inspect deep.safetensors
run 1 extract --model deep.safetensors --data set/test --out never.npy
