#!/usr/bin/env bash
. "$(dirname "$0")/common.sh"
need go gofmt cc pkg-config
# What is compiled is kept in the build folder, without the paths of these temporary ones.
export HOME=$work GOPATH=$work/path GOCACHE=$build/go GOFLAGS="-mod=mod -trimpath" GOPROXY=off GOTOOLCHAIN=local
export PKG_CONFIG_PATH=$work

# Go does not see that a header of C's changed: its hash among the flags makes it compile anew.
cat >"$work/libudi.pc" <<END
Name: libudi
Description: the build tree's
Version: 0
Cflags: -I$source/include -DUDI_HEADER=0x$(sha256sum "$source/include/udi.h" | cut -c 1-16)
Libs: -L$build/lib -ludi
END

# module NAME: a copy of the package, with the tests in it
module() {
  mkdir "$work/$1"
  cp -r "$source/bindings/go/." "$here/go/." "$work/$1"
  cd "$work/$1"
}

# A binding that was made from another header does not run.
made_for() {
  rm -rf "$work/other"
  module other
  sed -i "$2" layout.go
  ! cmp -s "$source/bindings/go/layout.go" layout.go || die "nothing changed by $2"
  go build -o "$work/other.exe" ./semantics
  fails "$1" "$work/other.exe"
}

# Every write of a Go pointer into C memory is found.
case $(go env GOVERSION) in
  go1.19* | go1.20*) strict="GODEBUG=cgocheck=2" ;;
  *) strict="" && export GOEXPERIMENT=cgocheck2 ;;
esac

module tested
case $part in
  semantics)
    go build -o "$work/semantics" ./semantics
    same_as_c env $strict "$work/semantics"
    ;;
  checks)
    unformatted=$(gofmt -l "$source/bindings/go" "$here/go")
    [ -z "$unformatted" ] || die "not as gofmt has it: $unformatted"
    GOFLAGS=-mod=mod go vet ./... # with -trimpath it looks for the folder of an earlier run
    go test -vet=off -c -o "$work/checks"
    env $strict "$work/checks" -test.v -test.run='^Test([^L]|L[^e])' # not TestLeaks, which
    env $strict "$work/checks" -test.v -test.run=Leaks               # needs a process where nothing was freed before
    made_for "does not fit this binding" 's/"[0-9a-f]\{64\}"/"0123456789abcdef"/'
    made_for "udi_array is at or of" 's/\({"udi_array", .*, \)[0-9]*/\147/'
    made_for "udi_array.ndim is at or of" 's/\({"udi_array.ndim", .*, \)[0-9]*/\115/'
    ;;
  example) # prints what the one in C prints
    cc -o "$work/train" "$source/examples/train.c" -I"$source/include" -L"$build/lib" -ludi
    "$work/train" >"$work/c.txt"
    go build -o "$work/example" ./examples/train
    env $strict "$work/example" >"$work/go.txt"
    cmp "$work/c.txt" "$work/go.txt" || die "not what examples/train.c prints"
    tail -n 3 "$work/go.txt"
    ;;
esac
