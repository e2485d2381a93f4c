#!/usr/bin/env bash
# Installs into a folder and, with what pkg-config says of it, compiles and runs programs in C and C++ against the
# shared and the static libraries. Nothing of the source tree is on their include path.
set -euo pipefail
directory=$(mktemp -d "${TEST_TMPDIR:-/tmp}/install.XXXXXX")
trap 'rm -rf "$directory"' EXIT
examples=$PWD/examples
here=$PWD/tests/install

DESTDIR=$directory/root PREFIX=/opt/nexus LIBDIR=/opt/nexus/lib tools/install/install.sh tools/install
prefix=$directory/root/opt/nexus
cd "$directory"

fail() {
  echo "install_test: $*" >&2
  exit 1
}
package() {
  PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config --define-variable=prefix="$prefix" "$@"
}

# compile OUT SOURCE PACKAGE...: OUT-shared and OUT-static.
compile() {
  local out=$1 source=$2
  shift 2
  local compiler=(g++ -std=c++20)
  case $source in *.c) compiler=(gcc -std=c11 -Wpedantic) ;; esac
  local flags libraries static
  read -ra flags < <(package --cflags "$@")
  read -ra libraries < <(package --libs "$@")
  read -ra static < <(package --static --libs "$@" | sed -E 's/-l(nexus(_client)?)\b/-l:lib\1.a/g')
  "${compiler[@]}" -Wall -Wextra -Werror -O1 "${flags[@]}" -c "$source" -o "$out.o"
  "${compiler[@]}" "$out.o" "${libraries[@]}" -o "$out-shared"
  "${compiler[@]}" "$out.o" "${static[@]}" -o "$out-static"
  readelf -d "$out-shared" | grep -q 'NEEDED.*libnexus' || fail "$out-shared does not use the shared library"
  if readelf -d "$out-static" | grep -q 'NEEDED.*libnexus'; then fail "$out-static uses the shared library"; fi
}

compile c "$examples/embedded_c.c" nexus
compile cxx "$examples/embedded.cc" nexus
compile remote "$examples/remote.c" nexus-client
compile both "$here/both.cc" nexus nexus-client

export LD_LIBRARY_PATH=$prefix/lib
for kind in shared static; do
  output=$(./c-$kind "db-c-$kind")
  grep -qx 'embedded_example{host="b"} 40s 149.5' <<<"$output" || fail "c-$kind printed: $output"
  output=$(./cxx-$kind "db-cxx-$kind")
  grep -qE '  2[0-5]\.[0-9]{2}$' <<<"$output" || fail "cxx-$kind printed: $output"
  # Without an address it says how it is used: loaded and run.
  status=0
  ./remote-$kind 2>usage || status=$?
  [ "$status" = 2 ] || fail "remote-$kind ended with $status"
  grep -q '^usage: ' usage || fail "remote-$kind said: $(cat usage)"
  # The version of the package is that of the library.
  [ "$(./both-$kind "db-both-$kind")" = "$(package --modversion nexus)" ] || fail "both-$kind has another version"
done

# The shared libraries show what the headers declare and no insides.
for name in nexus nexus_client; do
  nm -DC --defined-only "$prefix/lib/lib$name.so" >symbols
  grep -q ' nexus_' symbols || fail "lib$name.so shows no C interface"
  if grep -E ' [TBDR] (nexus::(c_edge|engine|wal|layer|catalog|io|batch|protocol)::|[^n])' symbols; then
    fail "lib$name.so shows what it should not"
  fi
done
