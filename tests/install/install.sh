#!/usr/bin/env bash
# Installs libudi, moves the tree, and builds and runs both examples against it, by pkg-config and by CMake:
#   install.sh SOURCE_FOLDER BUILD_FOLDER CMAKE LIBDIR TORCH_FOLDER_IF_NAMED
set -euo pipefail
source=$1 build=$2 cmake=$3 libdir=$4 torch=$5
work=$(realpath "$(mktemp -d)")
trap 'rm -rf "$work"' EXIT
unset LD_LIBRARY_PATH

fail() {
  echo "$@" >&2
  exit 1
}

dynamic() { # TAG FILE: the entries of the dynamic section
  readelf -d "$2" | sed -nE "s/.*\(($1)\).*\[(.*)\]/\2/p"
}

expect() { # WHAT FOUND WANTED
  [ "$2" = "$3" ] || fail "$1: '$2' instead of '$3'"
}

"$cmake" --install "$build" --prefix "$work/first" >"$work/log" 2>&1 || fail "$(cat "$work/log")"
prefix=$work/moved
mv "$work/first" "$prefix"
lib=$prefix/$libdir

# What is there, and what it needs.
for file in include/udi{.h,.hpp,/layout.hpp} bin/udi \
  "$libdir"/{libudi.so,udi/libudi_core.so,pkgconfig/libudi.pc,cmake/udi/udiConfig.cmake} \
  share/man/man{1/udi.1,1/udi-pretrain.1,3/udi.h.3}.gz share/bash-completion/completions/udi \
  share/zsh/site-functions/_udi share/fish/vendor_completions.d/udi.fish share/doc/libudi/LICENSE; do
  [ -f "$prefix/$file" ] || fail "$file is not installed"
done
[ -z "$(find "$prefix" -type l ! -name 'libudi.so*')" ] || fail "links instead of copies: $(find "$prefix" -type l)"
python3 "$source/tests/c/symbols.py" "$source" "$lib/libudi.so" "$lib/udi/libudi_core.so"
expect "run path of bin/udi" "$(dynamic RUNPATH "$prefix/bin/udi")" "\$ORIGIN/$(realpath -m --relative-to="$prefix/bin" "$lib")"
"$prefix/bin/udi" --version
echo "$(du -sh "$prefix" | cut -f1) installed"

# No file says where it was built, but for the LibTorch that a user named.
named=$(grep -raoE "($build|$source)[[:graph:]]{0,80}" "$prefix" | grep -vF "${torch:-/no/torch}" | head || true)
[ -z "$named" ] || fail "these name the build: $named"

# Symbols lie in files of their own, which gdb takes for those of the installed ones: same build-id, right checksum.
"$cmake" --install "$build" --prefix "$work/debug" --component debug >"$work/log" 2>&1 || fail "$(cat "$work/log")"
build_id() { readelf -n "$1" | sed -n 's/ *Build ID: //p'; }
while read -r file; do
  readelf -SW "$file" | grep -qE '\.(symtab|debug_line)' && fail "$file has symbols"
done < <(find "$prefix/bin" "$lib" -type f \( -perm -u+x -o -name '*.so*' \))
for file in bin/udi "$(realpath --relative-to="$prefix" "$lib/libudi.so")" "$libdir/udi/libudi_core.so"; do
  debug=$work/debug/$(dirname "$file")/.debug/$(basename "$file").debug
  readelf -SW "$debug" | grep -q '\.debug_line' || fail "$debug has no line numbers"
  expect "build-id of $debug" "$(build_id "$debug")" "$(build_id "$prefix/$file")"
  objcopy -O binary --only-section=.gnu_debuglink --set-section-flags .gnu_debuglink=alloc "$prefix/$file" "$work/link"
  expect "checksum of $debug" "$(tail -c 4 "$work/link" | od -An -tx4 | tr -d ' ')" \
    "$(python3 -c 'import sys, zlib; print("%08x" % zlib.crc32(open(sys.argv[1], "rb").read()))' "$debug")"
done

# Clients: cc with pkg-config, and CMake.
pc() { PKG_CONFIG_PATH=$lib/pkgconfig pkg-config "$@" libudi; }
expect "abi of libudi.pc" "$(pc --variable=abi)" "$(sed -n 's/#define UDI_ABI_VERSION \([0-9]*\).*/\1/p' "$prefix/include/udi.h")"
[ -n "$(pc --variable=torch_version)" ] || fail "libudi.pc has no torch_version"
mkdir "$work/cc"
for example in train extract; do
  # shellcheck disable=SC2046
  cc -std=c99 -Wall -Wextra -Wpedantic -Werror -o "$work/cc/$example" "$source/examples/$example.c" $(pc --cflags --libs)
done
"$cmake" -S "$source/tests/install/client" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$prefix" -DUDI_EXAMPLES="$source/examples" \
  >"$work/log" 2>&1 || fail "$(cat "$work/log")"
"$cmake" --build "$work/cmake" >"$work/log" 2>&1 || fail "$(cat "$work/log")"

for client in "$work"/{cc,cmake}/{train,extract}; do
  expect "what $client needs" "$(dynamic NEEDED "$client" | grep -v '^libm\.so' | sort | xargs)" \
    "libc.so.6 libudi.so.$(pc --variable=abi)"
done
while read -r file; do
  path=$(dynamic 'RUNPATH|RPATH' "$file")
  case $path in *"$build"* | *"$source"* | *"$work/first"*) fail "$file looks into $path" ;; esac
done < <(find "$prefix" "$work/cc" "$work/cmake" -type f \( -perm -u+x -o -name '*.so*' \))

# They run, on the libraries of the moved tree, and both builds say the same.
cd "$work/cc"
LD_DEBUG=libs LD_DEBUG_OUTPUT=$work/loaded ./train | tee "$work/trained"
grep -q '^cls of 32 images' "$work/trained" || fail "train did not come to its end"
grep -qF "calling init: $lib/udi/libudi_core.so" "$work"/loaded.* || fail "the core came from elsewhere"
grep -F "calling init: $build/lib/" "$work"/loaded.* && fail "libraries came from the build folder"
pictures=("$source"/tests/data/image/jpeg_{420,gray,cmyk}.jpg)
./extract model.safetensors "${pictures[@]}" >"$work/by_cc"
"$work/cmake/extract" model.safetensors "${pictures[@]}" >"$work/by_cmake"
cmp "$work/by_cc" "$work/by_cmake"
expect "tokens" "$(awk '{print NF}' "$work/by_cc" | xargs)" "48 48 48"
expect "distinct tokens" "$(sort -u "$work/by_cc" | wc -l)" 3
grep -qi nan "$work/by_cc" && fail "tokens are not numbers"

# Failures are told.
told() { # WORD COMMAND...
  local word=$1 text
  shift
  text=$("$@" 2>&1) && fail "$*: succeeded"
  case $text in *"$word"*) ;; *) fail "$*: '$text' instead of $word" ;; esac
}
told UDI_E_NOT_FOUND ./extract none.safetensors "${pictures[0]}"
told UDI_E_FORMAT ./extract model.safetensors "$source/examples/train.c"
told "cannot be read" ./extract model.safetensors none.jpg
mv "$lib/udi/libudi_core.so" "$work"
told UDI_E_NOT_FOUND ./extract model.safetensors "${pictures[0]}"
