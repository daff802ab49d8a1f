#!/usr/bin/env bash
. "$(dirname "$0")/common.sh"
need cargo rustc rustfmt pkg-config
# What cargo writes goes into the temporary folder; it asks nobody; a warning is an error.
export CARGO_HOME=$work/cargo CARGO_TARGET_DIR=$work/target CARGO_NET_OFFLINE=true CARGO_TERM_QUIET=true
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_TEST_DEBUG=0 RUSTFLAGS=-Dwarnings RUSTDOCFLAGS=-Dwarnings
export UDI_LIB_DIR=$build/lib UDI_SOURCE=$source TMPDIR=$work
cp -r "$source/bindings/rust" "$work/udi"
rm -rf "$work/udi/target"
cd "$work/udi"

# A crate that was made from another header does not work.
made_for() {
  sed -i.kept "$2" src/sys.rs
  ! cmp -s src/sys.rs src/sys.rs.kept || die "nothing changed by $2"
  cargo build --example semantics
  fails "$1" "$work/target/debug/examples/semantics"
  mv src/sys.rs.kept src/sys.rs
}

cp "$here"/rust/{semantics,recipe}.rs examples
case $part in
  semantics)
    cargo build --example semantics
    same_as_c "$work/target/debug/examples/semantics"
    ;;
  checks)
    rustfmt --check --edition 2021 build.rs src/lib.rs examples/*.rs "$here"/rust/*.rs --config-path .
    mkdir tests
    cp "$here"/rust/{errors,lanes,memory,recipe,work}.rs tests
    cargo test --test errors --test lanes --test memory --test work
    cargo test --doc
    cargo doc --no-deps
    made_for "does not fit this binding" 's/FINGERPRINT: &str = "[0-9a-f]*"/FINGERPRINT: \&str = "0123456789abcdef"/'
    made_for "udi_array is at or of" 's/rows!(rows, udi_array, [0-9]*/rows!(rows, udi_array, 47/'
    made_for "udi_array.ndim is at or of" 's/ndim=[0-9]*/ndim=15/'
    ;;
  example)
    # Found through pkg-config, in a tree as it is installed; without one the build says so.
    mkdir -p "$work/tree/lib/pkgconfig"
    ln -s "$build"/lib/* "$work/tree/lib"
    cp "$build/pkgconfig/development/libudi.pc" "$work/tree/lib/pkgconfig"
    unset UDI_LIB_DIR
    export PKG_CONFIG_LIBDIR=$work/none
    fails "set UDI_LIB_DIR" cargo build --example train
    PKG_CONFIG_LIBDIR=$work/tree/lib/pkgconfig cargo run --example train >"$work/rust.txt"
    cc -o "$work/train" "$source/examples/train.c" -I"$source/include" -L"$build/lib" -ludi
    "$work/train" >"$work/c.txt"
    cmp "$work/c.txt" "$work/rust.txt" || die "examples/train.rs prints something else than train.c"
    tail -n 3 "$work/rust.txt"
    ;;
esac
