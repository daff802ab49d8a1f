#!/usr/bin/env bash
. "$(dirname "$0")/common.sh"
need mcs mono
export HOME=$work # Mono keeps notes there

# program NAME NATIVE.CS SOURCES...: compiles against udi.h's raw layer; a warning is an error
program() {
  local name=$1 native=$2
  shift 2
  mcs -unsafe -warn:4 -warnaserror -out:"$work/$name.exe" "$native" "$source/bindings/csharp/Udi.cs" "$@"
}

# A binding that was made from another header does not run.
made_for() {
  sed "$2" "$native" >"$work/Other.cs"
  ! cmp -s "$native" "$work/Other.cs" || die "nothing changed by $2"
  program other "$work/Other.cs" "$here/csharp/Recipe.cs" "$here/csharp/Semantics.cs"
  fails "$1" mono "$work/other.exe"
}

native=$source/bindings/csharp/Native.cs
case $part in
  semantics)
    program semantics "$native" "$here/csharp/Recipe.cs" "$here/csharp/Semantics.cs"
    same_as_c mono "$work/semantics.exe"
    ;;
  checks)
    program checks "$native" "$here/csharp/Recipe.cs" "$here/csharp/Checks.cs"
    mono "$work/checks.exe"
    made_for "does not fit this binding" 's/"[0-9a-f]\{64\}"/"0123456789abcdef"/'
    made_for "Array is at or of" 's/Expect("Array", sizeof(Array), [0-9]*/Expect("Array", sizeof(Array), 47/'
    made_for "Array.ndim is at or of" 's/\(Expect("Array.ndim", .*, \)[0-9]*/\115/'
    ;;
  example)
    program example "$native" "$source/bindings/csharp/Example.cs"
    mono "$work/example.exe"
    ;;
esac
