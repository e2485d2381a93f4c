#!/usr/bin/env bash
# Installs nexus: install.sh LIBRARIES [BINARY], called from the top of the source tree by `make install`.
#
# LIBRARIES is the folder with libnexus.{a,so} and libnexus_client.{a,so}. PREFIX, LIBDIR and DESTDIR come from the
# environment. Headers keep their paths below PREFIX/include/nexus, and only those go there that the public ones
# reach. Ends with 1 at the first thing that fails.
set -euo pipefail

libraries=$1
binary=${2:-}
prefix=${PREFIX:-/usr/local}
libdir=${LIBDIR:-$prefix/lib}
root=${DESTDIR:-}

# The version of the library (tests/install compares) and that of its binary interface.
version=0.1.0
interface=${version%.*}

public_headers=(engine/nexus.h engine/nexus_c.h client/client.h client/nexus_client.h)

# The public headers and all of ours that they include, one a line.
headers() {
  local -A seen=()
  local queue=("${public_headers[@]}") header
  while [ "${#queue[@]}" -gt 0 ]; do
    header=${queue[0]}
    queue=("${queue[@]:1}")
    # What is not in the tree is a system library's.
    if [ -n "${seen[$header]:-}" ] || [ ! -f "$header" ]; then continue; fi
    seen[$header]=yes
    echo "$header"
    while read -r included; do queue+=("$included"); done < <(sed -nE 's/^#include "([^"]+)".*/\1/p' "$header")
  done
}

for header in "${public_headers[@]}"; do
  [ -f "$header" ] || { echo "install: $header is not here: run this from the top of the source tree" >&2; exit 1; }
done
for header in $(headers); do
  install -D -m 644 "$header" "$root$prefix/include/nexus/$header"
done

for name in nexus nexus_client; do
  shared=lib$name.so.$version
  install -D -m 644 "$libraries/lib$name.a" "$root$libdir/lib$name.a"
  install -D -m 755 "$libraries/lib$name.so" "$root$libdir/$shared"
  # Debug information is nine tenths of them; symbols stay.
  strip --strip-debug --enable-deterministic-archives "$root$libdir/lib$name.a"
  strip --strip-unneeded "$root$libdir/$shared"
  ln -sfn "$shared" "$root$libdir/lib$name.so.$interface"
  ln -sfn "$shared" "$root$libdir/lib$name.so"
done

mkdir -p "$root$libdir/pkgconfig"
for file in nexus nexus-client; do
  sed -e "s|@PREFIX@|$prefix|; s|@LIBDIR@|${libdir/#"$prefix"/"\${prefix}"}|; s|@VERSION@|$version|" \
    "tools/install/$file.pc.in" >"$root$libdir/pkgconfig/$file.pc"
done

if [ -n "$binary" ]; then install -D -m 755 "$binary" "$root$prefix/bin/nexus"; fi
install -D -m 644 LICENSE "$root$prefix/share/doc/nexus/LICENSE"

echo "installed below $root$prefix: ${binary:+bin/nexus, }headers, libraries, pkg-config files nexus and nexus-client"
if [ -z "$root" ]; then echo "programs find the shared libraries after: ldconfig"; fi
