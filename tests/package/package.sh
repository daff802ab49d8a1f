#!/usr/bin/env bash
# Makes the packages, unpacks and installs them in a bare Debian 12, and trains, extracts and compiles there:
#   package.sh SOURCE_FOLDER BUILD_FOLDER CPACK
set -euo pipefail
source=$1 build=$2 cpack=$3

skip() {
  echo "skipped: $*"
  exit 77
}
for tool in mmdebstrap dpkg-shlibdeps file; do
  command -v "$tool" >/dev/null || skip "$tool is not installed"
done
[ "$(id -u)" = 0 ] || skip "chroot needs root"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

fail() {
  echo "$@" >&2
  exit 1
}

# In the root alone, without a network and without what the environment says.
inside() {
  # shellcheck disable=SC2016
  unshare --mount --pid --net --fork sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$root" \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive OMP_WAIT_POLICY=passive "$@"
}

# ---- Packages ---------------------------------------------------------------------------------------------------------
"$cpack" --config "$build/CPackConfig.cmake" -B "$work/packages" >"$work/log" 2>&1 || fail "$(tail -50 "$work/log")"
packages=$work/packages
rm -r "$packages/_CPack_Packages"
version=$(sed -n 's/.*VERSION \([0-9.]*\) LANGUAGES.*/\1/p' "$source/CMakeLists.txt")
library=libudi$(sed -n 's/^#define UDI_ABI_VERSION \([0-9]*\).*/\1/p' "$source/include/udi.h")
tarball=$(echo "$packages"/udi-"$version"-linux-*.tar.gz)
for package in "$library" libudi-dev udi-tools "$library-dbgsym"; do
  [ -f "$packages/${package}_${version}_amd64.deb" ] || fail "$package was not made: $(ls "$packages")"
done
(cd "$packages" && du -h ./*.tar.gz ./*.deb)
for package in "$packages"/*.deb; do
  echo "$(basename "$package"): $(dpkg-deb -f "$package" Depends) ($(dpkg-deb -f "$package" Installed-Size) KiB installed)"
done
dpkg-deb -f "$packages/${library}_${version}_amd64.deb" Depends | grep -q libjpeg62-turbo ||
  fail "$library does not depend on libjpeg"

# ---- The .tar.gz on a system that has nothing -------------------------------------------------------------------------
"$source/tests/package/clean_root.sh" "$build/packages/clean_root.tar"
mkdir "$root"
tar -xf "$build/packages/clean_root.tar" -C "$root"
for file in libjpeg.so.62 libpng16.so.16 libgomp.so.1; do
  [ -z "$(find "$root/usr/lib" -name "$file")" ] || fail "$file is in the bare system"
done
tar -xzf "$tarball" -C "$root/opt"
tool=/opt/$(basename "$tarball" .tar.gz)/bin/udi

try() { # UDI: trains, extracts, and says what the features are
  inside "$1" --version
  inside rm -rf /tmp/images /tmp/run
  inside "$1" demo-data --out /tmp/images --train 64 --test 16 -q >/dev/null
  inside "$1" pretrain --preset small-data --data /tmp/images/train --out /tmp/run --batch-size 16 --epochs 1 -q >/dev/null
  inside "$1" extract --model /tmp/run/checkpoint.safetensors --data /tmp/images/test --out /tmp/features.npy -q >/dev/null
  sha256sum <"$root/tmp/features.npy"
}
by_tarball=$(try "$tool")
echo "$by_tarball"
rm -r "${root:?}/opt"/*

# ---- The .deb packages --------------------------------------------------------------------------------------------------
mkdir "$root/packages"
cp "$packages"/{"$library"_,libudi-dev_,udi-tools_}*.deb "$root/packages"
apt() { # already in the cache: there is no network
  inside apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@" >"$work/log" 2>&1 || fail "apt-get $*: $(cat "$work/log")"
}
apt install "/packages/${library}_${version}_amd64.deb" "/packages/udi-tools_${version}_amd64.deb"
by_package=$(try udi)
[ "$by_package" = "$by_tarball" ] || fail "features: $by_package by the package, $by_tarball by the .tar.gz"

apt install "/packages/libudi-dev_${version}_amd64.deb" gcc libc6-dev pkg-config
cp "$source/examples/extract.c" "$source/tests/data/image/jpeg_420.jpg" "$root/tmp"
inside sh -ec 'cd /tmp; gcc -std=c99 -Wall -Werror -o extract extract.c $(pkg-config --cflags --libs libudi)
               ./extract run/checkpoint.safetensors jpeg_420.jpg >tokens'
[ "$(awk '{print NF}' "$root/tmp/tokens")" = 72 ] || fail "the client printed $(cat "$root/tmp/tokens")"
readelf -d "$root/tmp/extract" | grep -q RUNPATH && fail "the client has a run path"
apt purge "$library"
left=$(find "$root/usr" -name 'libudi*' -o -name 'udi[.-]*' -o -name udi -o -name _udi)
[ -z "$left" ] || fail "left behind: $left"
