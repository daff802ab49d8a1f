#!/usr/bin/env bash
# Photographs that lie on their side: set upright where exif_turn says so, and the model remembers that it does.
source "$(dirname "$0")/common.sh"

check() { python3 "$tests/cli/check.py" "$@" || die "check.py $*"; }
# Pictures as they are to be seen, and the same as cameras store them in each of the eight orientations.
mkdir upright stored
for orientation in 1 2 3 4 5 6 7 8; do
  check picture upright/$orientation.png 0 50 40 $orientation
  check picture stored/$orientation.png $orientation 50 40 $orientation
done
for model in as_stored turned; do
  flag=--no-exif-turn
  [ $model = as_stored ] || flag=--exif-turn
  run 0 pretrain --data stored --out $model "${tiny[@]}" --steps 0 $flag --json
done
run 0 inspect turned/checkpoint.safetensors --json
result 'r["model"]["exif_turn"] == 1'
features() {  # MODEL DATA OUT OPTIONS...
  run 0 extract --model $1/checkpoint.safetensors --data "$2" --out $3.npy "${@:4}" --json
  result 'r["bad_images"] == 0'
}
same() { check rows $1.npy $2.npy; }
differ() { ! python3 "$tests/cli/check.py" rows $1.npy $2.npy 2>/dev/null || die "$1 and $2 do not differ"; }

# The model's own word, or the flag's; upright pictures stay as they are.
features turned upright upright
features turned stored stored
same upright stored
features turned stored lying --no-exif-turn
differ upright lying
features as_stored stored as_stored
same lying as_stored
features as_stored stored flag --exif-turn
same upright flag
features turned upright both --no-exif-turn
same upright both

# JPEG, with k-NN and maps: a picture of 40 x 50 that stands gives maps that stand.
run 0 demo-data --out set --train 40 --test 0
mkdir photo
jpeg=$(find set -name '*.jpg' | LC_ALL=C sort | head -n 1)
check turned "$jpeg" photo/six.jpg 6
check turned "$jpeg" photo/one.jpg 1
features as_stored photo/six.jpg six --exif-turn
features as_stored photo/six.jpg six_lying
features as_stored photo/one.jpg one --exif-turn
same six_lying one
differ six six_lying
for set in upright stored; do
  mkdir -p classes/$set
  for number in 1 2 3 4 5 6 7 8; do
    mkdir -p classes/$set/$number
    cp $set/$number.png classes/$set/$number
  done
done
# Each picture's nearest neighbour is itself, set upright.
run 0 knn --model as_stored/checkpoint.safetensors --train classes/upright --test classes/stored --exif-turn --k 1 --json
result 'r["top1"] == 100'
for flag in --exif-turn --no-exif-turn; do
  run 0 attention --model turned/checkpoint.safetensors --data stored/6.png --out maps$flag --image-size 40 $flag --source cls
done
check png maps--exif-turn/stored_6-image.png 40 48
check png maps--no-exif-turn/stored_6-image.png 48 40
run 0 bench data --data stored --exif-turn --batch-size 4 --image-size 32 --patch-size 8 --local-size 16 --local-crops 1 \
  --repeats 1 --json
result 'r["images_per_second"] > 0'
