#!/bin/sh
# unfused.sh NVCC FOLDER NAME...: what nvcc makes of FOLDER/NAME.cu rounds every operation by itself, as the CPU does.
nvcc=$1 folder=$2
shift 2
for name; do
  ptx=$("$nvcc" -std=c++17 -O3 -ptx -I "$folder" "$folder/$name.cu" -o -) || exit 1
  echo "$ptx" | grep -q 'mul\.rn\.f' || { echo "$name.cu: no product that is rounded by itself"; exit 1; }
  if echo "$ptx" | grep -n 'fma\.\|\(mul\|add\|sub\)\.f\|div\.\(approx\|full\)'; then
    echo "$name.cu: the above is fused, or not rounded as IEEE 754 says (cuda/exact.h)"
    exit 1
  fi
done
