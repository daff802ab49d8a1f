#!/usr/bin/env bash
. "$(dirname "$0")/common.sh"
need javac java jar cc
jna=/usr/share/java/jna.jar
[ -f "$jna" ] || { echo "SKIPPED: no $jna; scripts/languages installs libjna-java"; exit 77; }
export LC_ALL=C.UTF-8 # Java's names of files are of the locale
binding=$source/bindings/java/src/main/java/org/libudi

# compile FOLDER CLASSPATH OPTIONS_AND_SOURCES...: a warning is an error
compile() {
  local folder=$1 path=$2
  shift 2
  javac -encoding UTF-8 -Xlint:all -Werror -cp "$jna:$path" -d "$work/$folder" "$@"
}

# run FOLDERS CLASS ARGUMENTS...: Java's own memory is small and does not move, so that VmRSS tells what libudi's does
run() {
  local path=$1
  shift
  java -Xms48m -Xmx48m -XX:+AlwaysPreTouch -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$jna:$path" "$@"
}

# made_for WORDS SED_SCRIPT: a binding that was made from another header does not run
made_for() {
  rm -rf "$work/other" && cp -r "$binding" "$work/other"
  sed -i "$2" "$work/other/Native.java"
  ! cmp -s "$binding/Native.java" "$work/other/Native.java" || die "nothing changed by $2"
  compile otherclasses "" "$work"/other/*.java "$here"/java/{Recipe,Semantics}.java
  fails "$1" run "$work/otherclasses" org.libudi.Semantics
}

compile classes "" -Xdoclint:all/protected "$binding"/*.java
case $part in
  semantics)
    compile tests "$work/classes" "$here"/java/{Recipe,Semantics}.java
    same_as_c run "$work/classes:$work/tests" org.libudi.Semantics
    ;;
  checks)
    compile tests "$work/classes" "$here"/java/*.java
    run "$work/classes:$work/tests" org.libudi.Checks "$work" "$source/tests/data/image"
    made_for "does not fit this binding" 's/"[0-9a-f]\{64\}"/"0123456789abcdef"/'
    made_for 'Array: size is 48, must be 47' '/class Array /,/^    }/s/super(48,/super(47,/'
    made_for 'Array.ndim: offset is 16, must be 15' '/class Array /,/^    }/s/super(48, 0, 4, 8, 12, 16,/super(48, 0, 4, 8, 12, 15,/'
    ;;
  example)
    compile example "$work/classes" "$source/bindings/java/examples/Train.java"
    cc -o "$work/train" "$source/examples/train.c" -I"$source/include" -L"$build/lib" -ludi
    "$work/train" >"$work/c.txt"
    cp -r "$source/bindings/java" "$work/java"
    cd "$work/java"
    sed -n 's/^    \(java\|jar\)/\1/p' README.md >"$work/commands" # as a user would
    [ "$(wc -l <"$work/commands")" = 4 ] || die "README.md has other commands: $(cat "$work/commands")"
    bash -eu "$work/commands" >"$work/java.txt"
    cmp "$work/c.txt" "$work/java.txt" || die "Train.java prints something else than train.c"
    tail -n 3 "$work/java.txt"
    ;;
esac
