#!/usr/bin/env bash
# Wrong usage, help, exit codes, and what goes to stdout.
source "$(dirname "$0")/common.sh"

# wrong WORDS ARGUMENTS...: exit 2, nothing on stdout, and the words on stderr.
wrong() {
  local words=$1
  shift
  run 2 "$@"
  [ ! -s out.txt ] || die "wrong usage wrote to stdout: udi $*"
  says "$words"
}

wrong 'Usage: udi COMMAND'
wrong "did you mean 'pretrain'?" pretrian
wrong "'wash' is not known" wash
wrong "did you mean '--batch-size'?" pretrain --data a --out b --batchsize 4
wrong '--out must be given' pretrain --data a
wrong 'Try: udi pretrain --help' pretrain --data a
wrong "--batch-size: 'four' is not an integer" pretrain --data a --out b --batch-size four
wrong "--lr: 'nan' is not a finite number" pretrain --data a --out b --lr nan
wrong "--batch-size: '99999999999999999999' is not an integer" pretrain --data a --out b --batch-size 99999999999999999999
wrong 'arch' pretrain --data a --out b --arch vit_huge
wrong "--device: 'tpu' is not cpu, cuda or cuda:N" pretrain --data a --out b --device tpu
wrong "'b' is not known" inspect a b
wrong 'cannot be read' pretrain --config nowhere.json
echo '{"batch_size": }' >broken.json
wrong 'broken.json' pretrain --config broken.json
echo '[1, 2]' >list.json
wrong 'is not a JSON object' pretrain --config list.json

# What the library alone can judge is wrong usage too.
wrong 'patch_size' pretrain --data a --out b --image-size 30 --patch-size 16
wrong 'batch_size: 0 is below the minimum of 1' pretrain --data a --out b --batch-size 0
echo '{"batchsize": 4}' >unknown.json
wrong "did you mean 'batch_size'?" pretrain --data a --out b --config unknown.json
wrong 'needs a GPU' pretrain --data a --out b --augment-on device
wrong 'knn_train and knn_test' pretrain --data a --out b --knn-train a

# An option that would do nothing is refused, with what it lacks.
wrong 'knn_every: does nothing without knn_train' pretrain --data a --out b --knn-every 5
wrong 'partial: does nothing without init' pretrain --data a --out b --partial
wrong "'--max-bad' is not known" inspect a --max-bad 5
wrong "'--workers' is not known" attention --model a --data b --out c --workers 5

# Help starts without LibTorch: no file of it may be opened. So does --version.
torch=$(LD_DEBUG=files "$udi" --help 2>&1 | grep -c -e libtorch -e libudi_core || true)
[ "$torch" -eq 0 ] || die '--help opens LibTorch'
run 0 --version
grep -qE '^udi [0-9]+\.[0-9]+\.[0-9]+$' out.txt || die '--version'
run 0 --help
commands=$(sed -n '/^Commands:/,/^$/p' out.txt | awk '/^  [a-z]/ {print $1}')
[ "$(wc -w <<<"$commands")" -ge 8 ] || die "commands in the help: $commands"
for command in $commands; do
  run 0 "$command" --help
  grep -q "^Usage: udi $command" out.txt || die "help of $command"
  [ ! -s err.txt ] || die "help of $command writes to stderr"
  [ "$(wc -L <out.txt)" -le 100 ] || die "help of $command is wider than 100 columns"
done

# Flags come before the configuration file, which comes before the defaults.
echo '{"train": 3, "test": 1, "out": "by_file"}' >demo.json
run 0 demo-data --config demo.json --train 2 --json
result 'r["train_images"] == 2 and r["test_images"] == 1 and r["train"] == "by_file/train"'
[ "$(find by_file/train -type f | wc -l)" -eq 2 ] || die 'two images were asked for'

# --json: one object on the last line of stdout, of failures too. Everything else goes to stderr.
run 1 pretrain --data nowhere --out run --json
result 'r["status"] == "UDI_E_NOT_FOUND" and "nowhere" in r["error"]'
[ "$(wc -l <out.txt)" -eq 1 ] || die 'more than the object on stdout'
says 'error: ' 'nowhere'
run 2 extract --model a --data b --out c.txt --json
result 'r["status"] == "UDI_E_INVALID"'
run 0 inspect by_file/train
grep -q '^images *2$' out.txt || die 'the result for people'

# -q says nothing but errors; a stdout that is full is a failure.
run 0 demo-data --out quiet --train 1 --test 1 -q
[ ! -s err.txt ] || die '-q writes to stderr'
if [ -w /dev/full ]; then
  code=0
  "$udi" --help >/dev/full 2>err.txt || code=$?
  [ $code -eq 1 ] || die "exit $code with a full stdout"
  says 'No space left on device'
fi
