#!/usr/bin/env bash
# Damaged checkpoints, full disks, folders that cannot be written: clear words, and the last good state stays.
source "$(dirname "$0")/common.sh"

run 0 demo-data --out set --train 40 --test 0
train=(pretrain --data set/train "${tiny[@]}" --steps 40 --save-steps 10 --json)
run 0 "${train[@]}" --out straight
flip() { python3 "$tests/cli/check.py" flip "$@"; }

# A byte of a tensor, of the header, of its length; a file that is cut off, empty, no file at all. The checkpoint
# before it is used, said so, and the end is the same.
for damage in 'flip -1000' 'flip 2000' 'flip 7' 'truncate -s 1000' 'truncate -s 0' 'rm'; do
  run 0 "${train[@]}" --out run
  run 0 inspect run/checkpoint.safetensors.prev --json
  result 'r["steps_done"] == 30'
  case $damage in
    flip*) flip run/checkpoint.safetensors ${damage#flip} ;;
    *) $damage run/checkpoint.safetensors ;;
  esac
  run 0 "${train[@]}" --out run
  says 'warning: run/checkpoint.safetensors' 'going on from run/checkpoint.safetensors.prev' 'after step 30 of 40'
  same_tensors straight/checkpoint.safetensors run/checkpoint.safetensors
  whole_log run 40
  rm -r run
done

# inspect names the tensor; extraction refuses the file.
run 0 "${train[@]}" --out run
flip run/checkpoint.safetensors -1000
run 0 inspect run/checkpoint.safetensors --json
result '"damaged: the checksum of" in r["checksums"]'
run 1 extract --model run/checkpoint.safetensors --data set/train --out rows.npy
says 'checkpoint.safetensors' 'damaged'
[ ! -e rows.npy ] || die 'features of damaged weights'

# Both damaged: an error that names the file, nothing is trained and nothing is overwritten.
flip run/checkpoint.safetensors.prev -1000
sum=$(cat run/checkpoint.safetensors run/checkpoint.safetensors.prev | cksum)
run 1 "${train[@]}" --out run
says 'error: run/checkpoint.safetensors: damaged' 'checksum'
[ "$sum" = "$(cat run/checkpoint.safetensors run/checkpoint.safetensors.prev | cksum)" ] || die 'it was written to'
run 1 "${train[@]}" --out other --resume run/checkpoint.safetensors
says 'damaged'
run 1 "${train[@]}" --out other --resume nowhere.safetensors
says 'nowhere.safetensors: no such file'
run 1 "${train[@]}" --out other --init set/train/disk/000000.jpg
run 0 convert "$tests/golden/udi_tiny/official_checkpoint.pth" weights.safetensors
run 1 "${train[@]}" --out other --resume weights.safetensors
says 'weights.safetensors' 'udi.format'

# A disk that fills up (here: a limit on a file's size) ends the run; the last checkpoint stays, and with room the run
# goes on to the same bits.
rm -rf run
run 0 "${train[@]}" --out run
mv run/checkpoint.safetensors.prev run/checkpoint.safetensors
cp run/checkpoint.safetensors before.safetensors
code=0
(ulimit -f 300 && exec "$udi" "${train[@]}" --out run --save-steps 1) >out.txt 2>err.txt || code=$?
[ $code -eq 1 ] || die "exit $code on a full disk"
says 'going on after step 30 of 40' 'cannot be written: File too large'
result 'r["status"] == "UDI_E_IO"'
same_tensors before.safetensors run/checkpoint.safetensors
[ -z "$(find run -name '*.tmp*' -o -name '*.next')" ] || die 'half a file is left'
run 0 "${train[@]}" --out run
same_tensors straight/checkpoint.safetensors run/checkpoint.safetensors

# A loss that is not finite ends the run; the images are named, the last checkpoint is one of before.
wild=(pretrain --data set/train "${tiny[@]}" --optimizer sgd --lr 1000 --weight-decay 1000 --weight-decay-end 1000
  --clip-grad 0 --steps 40 --save-steps 1 --json)
run 1 "${wild[@]}" --out wild
says 'the loss is not finite' 'The last checkpoint is untouched' '.prev' '--keep N'
result 'r["status"] == "UDI_E_NONFINITE"'
[ "$(grep -c 'in the step that is not finite: [a-z_]*/00000[0-9]' err.txt)" -eq 4 ] || die 'four images are named'
run 0 inspect wild/checkpoint.safetensors --json
result 'r["checksums"] == "good" and 0 < r["steps_done"] < 40'

# Folders that cannot be made or written.
touch file
run 1 "${train[@]}" --out file/run
says 'error: file/run: cannot be created'
mkdir locked
chmod 555 locked
# root may write everywhere, unless it gives that right up
user=()
[ "$(id -u)" -ne 0 ] || user=(setpriv --bounding-set=-dac_override)
if "${user[@]}" true 2>/dev/null; then
  code=0
  "${user[@]}" "$udi" "${train[@]}" --out locked >out.txt 2>err.txt || code=$?
  [ $code -eq 1 ] || die "exit $code with a folder that is read-only"
  says 'error: locked: cannot be written to: Permission denied'
  code=0
  "${user[@]}" "$udi" extract --model straight/checkpoint.safetensors --data set/train --out locked/rows.npy \
    >out.txt 2>err.txt || code=$?
  [ $code -eq 1 ] || die "exit $code of features into a folder that is read-only"
  says 'locked/rows.npy' 'Permission denied'
else
  echo 'not tested: a folder that is read-only (root cannot give up its rights here)'
fi
chmod 755 locked
