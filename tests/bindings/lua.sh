#!/usr/bin/env bash
. "$(dirname "$0")/common.sh"
need luajit
export LUA_PATH="$source/bindings/lua/?.lua;$here/lua/?.lua"

# A binding that was made from another header does not load.
made_for() {
  mkdir -p "$work/other"
  sed "$2" "$source/bindings/lua/udi_raw.lua" >"$work/other/udi_raw.lua"
  ! cmp -s "$source/bindings/lua/udi_raw.lua" "$work/other/udi_raw.lua" || die "nothing changed by $2"
  fails "$1" env LUA_PATH="$work/other/?.lua;$LUA_PATH" luajit -e 'require "udi"'
}

case $part in
  semantics) same_as_c luajit "$here/lua/semantics.lua" ;;
  checks)
    luajit "$here/lua/checks.lua" "$work/drawn"
    made_for "does not fit this binding" 's/fingerprint = "[0-9a-f]*"/fingerprint = "0123456789abcdef"/'
    made_for "udi_array" 's/{"udi_array", [0-9]*/{"udi_array", 47/'
    made_for "udi_array.ndim" 's/ndim=[0-9]*/ndim=15/'
    ;;
  example) luajit "$source/bindings/lua/example.lua" ;;
esac
