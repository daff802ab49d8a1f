#!/usr/bin/env bash
# A run that is stopped and goes on ends in the bits of one that was never stopped.
source "$(dirname "$0")/common.sh"

steps=600
run 0 demo-data --out set --train 40 --test 0
train=(pretrain --data set/train "${tiny[@]}" --steps $steps --json)

# --dry-run says what would be done and writes nothing.
run 0 "${train[@]}" --out straight --dry-run
result 'r["dry_run"] and r["images"] == 40 and r["steps"] == 600 and r["steps_per_epoch"] == 10 and r["memory_bytes"] > 0'
[ ! -e straight ] || die '--dry-run made the folder'

run 0 "${train[@]}" --out straight
result 'r["steps_done"] == 600 and r["bad_images"] == 0 and r["loss"] > 0'
whole_log straight $steps

# stop SIGNAL CODE LINES WORD: the run ends with CODE and WORD once its log has LINES lines.
stop() {
  local code=0
  "$udi" "${train[@]}" --out stopped >out.txt 2>err.txt &
  local process=$!
  wait_for_lines $process stopped "$3"
  kill -"$1" $process
  wait $process || code=$?
  [ $code -eq "$2" ] || die "exit $code, not $2, after SIG$1"
  result 'r["status"] == "UDI_E_CANCELLED"'
  says 'the same command goes on from there' "$4"
  ! grep -q '^error' err.txt || die 'being stopped is no error'
}

stop INT 130 100 interrupted
stop TERM 143 250 terminated
says 'going on after step'
[ "$(wc -l <stopped/log.jsonl)" -lt $steps ] || die 'the second run was not stopped'

# Another configuration is refused with the difference; what does not change the result may change.
run 1 "${train[@]}" --out stopped --lr 0.04 --alpha 0.25
says 'lr: 0.05 before, 0.04 now' 'alpha: 0.5 before, 0.25 now' '--resume never'
cp stopped/checkpoint.safetensors before.safetensors
run 1 "${train[@]}" --out stopped --seed 7
same_tensors before.safetensors stopped/checkpoint.safetensors

# From a checkpoint file into another folder.
run 0 "${train[@]}" --out elsewhere --resume stopped/checkpoint.safetensors
same_tensors straight/checkpoint.safetensors elsewhere/checkpoint.safetensors

run 0 "${train[@]}" --out stopped --workers 3 --save-steps 100 --keep 2
says 'going on after step'
same_tensors straight/checkpoint.safetensors stopped/checkpoint.safetensors
whole_log stopped $steps
[ "$(cd stopped && ls checkpoint-*.safetensors)" = "$(printf 'checkpoint-000000%s.safetensors\n' 500 600)" ] ||
  die '--keep 2 keeps the newest two'

# A run that is done is done: nothing is trained, the bits stay.
run 0 "${train[@]}" --out stopped
result 'r["steps_done"] == 600'
same_tensors straight/checkpoint.safetensors stopped/checkpoint.safetensors

# --resume never starts anew, with other options too.
run 0 "${train[@]}" --out stopped --resume never --steps 20
result 'r["steps_done"] == 20'
whole_log stopped 20
! python3 "$tests/cli/check.py" tensors straight/checkpoint.safetensors stopped/checkpoint.safetensors 2>/dev/null ||
  die 'twenty steps gave the bits of six hundred'

# Two runs cannot write to one folder.
"$udi" "${train[@]}" --out shared --steps 100000 >/dev/null 2>&1 &
process=$!
wait_for_lines $process shared 1
run 1 "${train[@]}" --out shared --steps 100000
says 'another run writes there now'
kill -TERM $process
wait $process || true
