#!/usr/bin/env bash
# A bare Debian 12 as a tar file, made once: clean_root.sh OUT.tar
# It holds what debootstrap's minbase has, from the mirrors that this machine's apt uses. Packages that the tests install
# into it later lie in apt's cache, so that the tests need no network.
set -euo pipefail
out=$1
[ ! -f "$out" ] || exit 0

later=(libjpeg62-turbo libpng16-16 zlib1g libgomp1 gcc libc6-dev pkg-config)
mkdir -p "$(dirname "$out")"
apt-get indextargets 'Created-By: Packages' 'Origin: Debian' --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' |
  grep -E ' bookworm(-updates|-security)? ' | sort -u |
  mmdebstrap --quiet --variant=minbase --skip=cleanup/apt --aptopt='Acquire::Languages "none"' \
    --customize-hook="chroot \"\$1\" apt-get install -qq -y --download-only --no-install-recommends ${later[*]}" \
    bookworm "$out.part.tar" -
mv "$out.part.tar" "$out"
