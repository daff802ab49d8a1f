#!/usr/bin/env bash
# Files that are no images, or no whole ones, and images that vanish.
source "$(dirname "$0")/common.sh"

run 0 demo-data --out set --train 40 --test 0
train=(pretrain --data set/train "${tiny[@]}" --steps 20 --json)
run 0 "${train[@]}" --out good

# Cut off, empty, under a wrong name, a picture of a claimed 60000 x 60000 pixels, a folder called like a picture.
disk=set/train/disk
cp $disk/000000.* picture
head -c 300 picture >$disk/a_cut_off.jpg
: >$disk/b_empty.png
echo 'no picture' >$disk/c_words.jpg
printf '\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\xea\x60\x00\x00\xea\x60\x08\x02\x00\x00\x00\x0f\xb0\xe2\x15\x00\x00\x10\x00IDAT' \
  >$disk/d_huge.png
mkdir $disk/e_folder.jpg
cp picture $disk/f_no_extension

names='a_cut_off.jpg b_empty.png c_words.jpg d_huge.png'

# Four of 44 are 9 percent: with the limit of one percent every job fails and says which.
run 1 "${train[@]}" --out run
says 'error: ' 'unreadable'
result 'r["status"] == "UDI_E_FORMAT" and "max_bad" in r["error"]'
run 1 extract --model good/checkpoint.safetensors --data set/train --out rows.npy
says 'more than max_bad = 1 percent'
[ ! -e rows.npy ] || die 'features of half a set'
[ -z "$(find . -name 'rows*')" ] || die 'half a file is left'

# With another limit they are left out, counted and named, once each.
run 0 "${train[@]}" --out run --max-bad 10
result 'r["bad_images"] == 4 and r["images"] == 44'
says $names
for name in $names; do
  [ "$(grep -c "warning: .*$name" err.txt)" -eq 1 ] || die "$name is not named once"
done
run 0 extract --model good/checkpoint.safetensors --data set/train --out rows.npy --max-bad 10 --json
result 'r["images"] == 40 and r["bad_images"] == 4'
says $names
[ "$(wc -l <rows.paths.txt)" -eq 40 ] || die 'a line for each row'
for name in $names; do ! grep -q $name rows.paths.txt || die "$name has a row"; done
run 0 inspect set/train --json
result 'r["images"] == 44 and r["bad_images"] == 4 and len(r["bad"]) == 4'
result '"60000" in [b["why"] for b in r["bad"] if "d_huge" in b["image"]][0]'
run 0 inspect set/train --max-pixels 100 --json
result 'r["bad_images"] == 44'

# The same images and the same seed give the same bits, whoever reads the bad ones.
run 0 "${train[@]}" --out again --max-bad 10 --workers 3
same_tensors run/checkpoint.safetensors again/checkpoint.safetensors

# No image at all; none that can be read; fewer than a batch.
mkdir empty
run 1 "${train[@]}" --data empty --out none
says 'error: ' 'empty'
mkdir hopeless
for number in 1 2 3 4 5 6 7 8; do echo $number >hopeless/$number.png; done
run 1 "${train[@]}" --data hopeless --out none --max-bad 100
says 'error: 8 of 8 images'
run 2 "${train[@]}" --data hopeless --out none --batch-size 9
says 'fewer than one batch of 9'

# A set that vanishes while it is trained on: an error, and the last checkpoint is whole.
cp -r set/train vanishing
train=(pretrain --data vanishing "${tiny[@]}" --steps 100000 --save-steps 10 --max-bad 10 --json)
"$udi" "${train[@]}" --out vanished >out.txt 2>err.txt &
process=$!
wait_for_lines $process vanished 30
rm -r vanishing
code=0
wait $process || code=$?
[ $code -eq 1 ] || die "exit $code after the images vanished"
says 'no such file' 'unreadable'
run 0 inspect vanished/checkpoint.safetensors --json
result 'r["checksums"] == "good" and r["steps_done"] >= 10'
