"""Builds the two measuring programs of a comparison, with the peers that can be had.

What a peer needs to be linked is installed from Debian; a peer that cannot be installed is left out of the build.
"""

import dataclasses
import os
import subprocess
import sys

from systems import Unavailable, install_packages

# Engines that are linked, and what Debian calls them.
LINKED = {"leveldb": "libleveldb-dev", "rocksdb": "librocksdb-dev", "lmdb": "liblmdb-dev", "sqlite": "libsqlite3-dev"}
_CLIENT_PACKAGES = ["libsnappy-dev"]
_LOAD = "bench/peers/load/load"
_EMBEDDED = "bench/peers/embedded/embedded"


@dataclasses.dataclass
class Built:
    """Paths; None for a client that cannot be had."""

    load: str | None
    embedded: str
    missing: dict[str, str]  # the reason by what is left out


def _label(path):
    package, _, name = path.rpartition("/")
    return f"//{package}:{name}"


def _bazel(*arguments):
    """Its standard output. Exits with 1 if it fails: these are our own sources."""
    done = subprocess.run(["bazel", *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        print("bench-peers: the measuring programs do not build; see above", file=sys.stderr)
        sys.exit(1)
    return done.stdout.strip()


def build(wanted, servers):
    """`wanted`: names of engines to link; `servers`: whether the client of servers is."""
    missing, defines = {}, []
    for engine, package in LINKED.items():
        if engine in wanted:
            try:
                install_packages([package])
                continue
            except Unavailable as error:
                missing[engine] = str(error)
        defines.append(f"--define={engine}=no")
    targets = [_EMBEDDED]
    if servers:
        try:
            install_packages(_CLIENT_PACKAGES)
            targets.append(_LOAD)
        except Unavailable as error:
            missing["servers"] = f"their client cannot be built: {error}"
    quiet = [] if sys.stderr.isatty() else ["--noshow_progress"]
    _bazel("build", "--config=release", *quiet, *defines, *map(_label, targets))
    folder = _bazel("info", "--config=release", *defines, "bazel-bin")
    return Built(os.path.join(folder, _LOAD) if _LOAD in targets else None, os.path.join(folder, _EMBEDDED), missing)
