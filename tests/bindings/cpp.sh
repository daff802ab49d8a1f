#!/usr/bin/env bash
# The C++ layer: include/udi.hpp, in C++17 and in C++20.
. "$(dirname "$0")/common.sh"
need g++ nm
headers=$source/include
strict="-O1 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"

# objects STANDARD NAMES...: tests/bindings/cpp/NAME.cpp as $work/STANDARD/NAME.o; a warning is an error
objects() {
  local standard=$1 name
  shift
  mkdir -p "$work/$standard"
  for name; do
    # shellcheck disable=SC2086
    g++ -std="$standard" $strict -I"$headers" -c -o "$work/$standard/$name.o" "$here/cpp/$name.cpp"
  done
}

link() { # PROGRAM OBJECTS...
  g++ -o "$@" -L"$build/lib" -ludi -pthread
}

# What the objects ask of libudi is in udi.h, all of it; what they define can be defined by others as well.
no_symbol_added() {
  local strong
  nm -u "$@" | grep -oE '\budi\w*$' | sort -u >"$work/used.txt"
  python3 -B "$source/scripts/gen_forwarders.py" "$headers/udi.h" --names | tr ' ' '\n' | sort -u >"$work/declared.txt"
  diff "$work/declared.txt" "$work/used.txt" || die "functions of udi.h and what udi.hpp uses are not the same"
  strong=$(nm -g --defined-only "$@" | awk 'NF == 3 && $2 !~ /^[WV]$/' | grep -vE ' (main|_Z[0-9]+check_[a-z]+RK.*|_ZZNSt.*)$' || true)
  [ -z "$strong" ] || die "strong symbols: $strong"
  nm -C --defined-only "$@" | grep -E ' W udi::' >/dev/null || die "nm shows nothing of udi.hpp"
  echo "$(wc -l <"$work/used.txt") functions used, no strong symbol"
}

# made_for WORDS SED_SCRIPT: a program that was made from another header is refused
made_for() {
  rm -rf "$work/other" && cp -r "$source/include" "$work/other"
  sed -i "$2" "$work/other/udi/layout.hpp"
  ! cmp -s "$headers/udi/layout.hpp" "$work/other/udi/layout.hpp" || die "nothing changed by $2"
  fails "$1" built_with "$work/other"
}

built_with() {
  g++ -std=c++17 -I"$1" -o "$work/other/program" "$here/cpp/semantics.cpp" -L"$build/lib" -ludi && "$work/other/program"
}

# What would borrow from memory that is gone does not compile.
refused() {
  printf '#include <udi.hpp>\nauto image = %s;\n' "$1" >"$work/refused.cpp"
  fails "give it a name" g++ -std=c++17 -fsyntax-only -I"$headers" "$work/refused.cpp"
}

case $part in
  semantics)
    for standard in c++17 c++20; do
      objects $standard semantics
      link "$work/$standard/program" "$work/$standard/semantics.o"
      same_as_c "$work/$standard/program"
    done
    ;;
  checks)
    parts=(checks memory training callbacks)
    g++ -std=c++17 -fsyntax-only -x c++ -D_Static_assert=static_assert -I"$headers" "$source/bindings/layout.c"
    for standard in c++17 c++20; do
      objects $standard "${parts[@]}"
      no_symbol_added "$work/$standard"/*.o
      mkdir "$work/$standard/folder"
      link "$work/$standard/program" "$work/$standard"/*.o
      "$work/$standard/program" "$work/$standard/folder" "$source/tests/data/image"
    done
    made_for "does not fit this binding" 's/"[0-9a-f]\{64\}"/"0123456789abcdef"/'
    made_for "size of udi_array" 's/sizeof(udi_array) == [0-9]*/sizeof(udi_array) == 47/'
    made_for "udi_array.ndim" 's/\(udi_array, ndim) == \)[0-9]*/\115/'
    made_for "two releases" 's/UDI_VERSION_NUMBER == [0-9]*/UDI_VERSION_NUMBER == 7/'
    refused 'udi::encoded(std::string("bytes"))'
    refused 'udi::Array(std::vector<float>(4), {2, 2})'
    ;;
  example)
    cd "$work"
    cc -o c_train "$source/examples/train.c" -I"$headers" -L"$build/lib" -ludi
    # shellcheck disable=SC2086
    g++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -o train "$source/examples/train.cpp" -I"$headers" -L"$build/lib" -ludi
    ./c_train >c.txt
    ./train >cpp.txt
    cmp c.txt cpp.txt || die "train.cpp prints something else than train.c"
    tail -n 3 cpp.txt
    ;;
esac
