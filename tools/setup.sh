#!/usr/bin/env bash
# Installs what nexus builds and tests with, from Debian's own archive. Run by `make setup`, and so by every target
# that builds. Says nothing and takes well under a second when nothing is missing. Needs Debian 12, and root or sudo
# only when there is something to install.
set -euo pipefail

packages=(
  # Compilers, build, checks. g++ is 12 and the default; clang 14 is for sanitizers, fuzzing and lint.
  g++ clang-14 libclang-rt-14-dev llvm-14 bazel-bootstrap bazel-bootstrap-data
  bazel-platforms bazel-rules-java bazel-rules-proto bazel-skylib
  clang-format-14 clang-tidy-14 shellcheck python3 git make pkgconf
  # Libraries, one binding each in third_party/BUILD.bazel.
  liburing-dev liblmdb-dev libabsl-dev libxxhash-dev libzstd-dev zlib1g-dev libhwy-dev libroaring-dev libssl-dev
  libre2-dev libfmt-dev libspdlog-dev libsimdjson-dev libyaml-cpp-dev libcli11-dev libboost1.81-dev
  libgtest-dev libgmock-dev librapidcheck-dev libbenchmark-dev
)

die() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  die "this needs Debian 12 (dpkg and apt were not found)." \
    "Elsewhere, install the equivalents of: ${packages[*]}"
fi

# The packages that are not fully installed, one a line.
missing() {
  comm -23 <(printf '%s\n' "${packages[@]}" | sort) \
    <(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
      sed -n 's/^installed //p' | sort -u)
}

mapfile -t wanted < <(missing)
[ "${#wanted[@]}" -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null ||
    die "missing: ${wanted[*]}" "Run this as root once, or install sudo: apt-get install ${wanted[*]}"
  as_root=(sudo)
  # Without a terminal sudo must not stop to ask for a password.
  [ -t 0 ] || as_root+=(-n)
fi

printf 'setup: installing %d Debian packages: %s\n' "${#wanted[@]}" "${wanted[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" \
    >>"$log" 2>&1 </dev/null
}

# /dev/null is stdin above, so a password is asked for here, once, where a person can see it.
"${as_root[@]}" true || die "sudo refused. As root: apt-get install ${wanted[*]}"

if ! apt update || ! apt install --no-install-recommends "${wanted[@]}"; then
  tail -n 20 "$log" >&2
  die "apt-get could not install: ${wanted[*]}" "Its last words are above; mend that and run again."
fi

mapfile -t wanted < <(missing)
[ "${#wanted[@]}" -eq 0 ] || die "apt-get succeeded, yet these are still missing: ${wanted[*]}"
