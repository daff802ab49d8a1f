#!/usr/bin/env bash
# Twenty kills at random moments cost nothing but the steps since the last checkpoint.
source "$(dirname "$0")/common.sh"

steps=300
run 0 demo-data --out set --train 40 --test 0
train=(pretrain --data set/train "${tiny[@]}" --steps $steps --json)
run 0 "${train[@]}" --out straight --save-steps 0

# Every run begins with a log file of its own.
log_file() { stat -c %i killed/log.jsonl 2>/dev/null || true; }

# What must hold between two runs: checkpoints are whole files, and the run that was killed found a good one.
check_folder() {
  local file said
  for file in killed/checkpoint.safetensors killed/checkpoint.safetensors.prev; do
    [ ! -e $file ] || same_tensors $file $file
  done
  # 300 steps on 40 images may well collapse: that this is said has nothing to do with the kills.
  said=$(grep -E 'warning|error' err.txt | grep -v 'warning: the run is collapsing' || true)
  [ -z "$said" ] || die "a checkpoint is damaged: $said"
}

RANDOM=3  # the moments are the same in every run of this test, as far as a clock allows
kills=0
while [ $kills -lt 20 ]; do
  "$udi" "${train[@]}" --out killed --save-steps 1 >out.txt 2>err.txt &
  process=$!
  # One kill of four comes while the run starts, the others some steps and milliseconds later.
  if [ $((RANDOM % 4)) -gt 0 ]; then
    first=$(log_file)
    while [ -d /proc/$process ] && [ "$(log_file)" = "$first" ]; do sleep 0.01; done
    sleep 0.0$((RANDOM % 10))$((RANDOM % 10))
  else
    sleep 0.$((RANDOM % 4))$((RANDOM % 10))
  fi
  kill -KILL $process 2>/dev/null || true
  code=0
  wait $process 2>/dev/null || code=$?
  if [ $code -eq 0 ]; then  # it was done before: its bits count, and another run takes the next kills
    same_tensors straight/checkpoint.safetensors killed/checkpoint.safetensors
    rm -rf killed
  elif [ $code -eq 137 ]; then
    kills=$((kills + 1))
  else
    die "exit $code of a run that was to be killed"
  fi
  [ ! -d killed ] || check_folder
done

run 0 "${train[@]}" --out killed --save-steps 1
same_tensors straight/checkpoint.safetensors killed/checkpoint.safetensors
whole_log killed $steps
left=$(ls -A killed | grep -v -e '^events\.' | sort | tr '\n' ' ')
[ "$left" = '.lock checkpoint.safetensors checkpoint.safetensors.prev config.json log.jsonl ' ] ||
  die "left in the folder: $left"
