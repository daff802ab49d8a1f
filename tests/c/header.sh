#!/bin/sh
# udi.h in every language it promises, without holes in its structs: header.sh INCLUDE_FOLDER CC CXX
set -e
file=$(mktemp)
trap 'rm -f "$file"' EXIT
printf '#include "udi.h"\n#include "udi.h"\nextern udi_error error_of_mine;\n' > "$file"
strict="-fsyntax-only -Wall -Wextra -Wpedantic -Wpadded -Werror -I$1"
for standard in c99 c11 c17; do "$2" -x c -std=$standard $strict "$file"; done
for standard in c++11 c++17 c++20; do "$3" -x c++ -std=$standard $strict "$file"; done
